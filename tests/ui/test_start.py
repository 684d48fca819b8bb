"""What the window loads before it is there."""

import subprocess
import sys


def test_what_few_windows_need_is_not_loaded_before_the_first() -> None:
    code = "import sys, qubes_manager.ui.app; print(*sys.modules)"
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
    assert "qubes_manager.ui.main_window" in loaded
    assert not {"email", "http.client", "qubes_manager.ui.dialogs.policy.policy_dialog"}.intersection(loaded)
