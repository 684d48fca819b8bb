"""What qvm-console needs of the program."""

import os
import subprocess
import sys

from tests.waiting import PATIENCE

# A little more than the 79 that it takes, packages counted; the service would be 25 more.
MOST_MODULES = 82
# It goes as far as to the service's socket: without a screen it asks for none.
RUN = """
import sys
from qubes_manager.cli.qvm_console import main
code = main(["-c", "test:///default", "test"])
print(code, *sys.modules)
"""


def test_it_loads_neither_the_gui_service_nor_what_that_stands_on() -> None:
    environment = {name: value for name, value in os.environ.items() if not name.endswith("DISPLAY")}
    done = subprocess.run(
        [sys.executable, "-c", RUN], capture_output=True, text=True, timeout=PATIENCE, check=True, env=environment
    )
    assert "there is no screen" in done.stderr
    code, *modules = done.stdout.split()
    assert code == "1"
    ours = [name for name in modules if name.partition(".")[0] == "qubes_manager"]
    assert "qubes_manager.services.gui.address" in ours
    unwanted = (
        "qubes_manager.services.gui.service",
        "qubes_manager.services.gui.supervisor",
        "qubes_manager.services.applications",
        "qubes_manager.services.domains",
        "qubes_manager.backend.guests",
        "qubes_manager.backend.viewers",
        "qubes_manager.backend.storage",
    )
    assert not [name for name in ours if name.startswith(unwanted)]
    assert len(ours) <= MOST_MODULES
