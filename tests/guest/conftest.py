"""Applications of a guest, as files, and the system's own Python, which has GLib's bindings."""

import os
import subprocess
from pathlib import Path

import pytest

from qubes_manager.backend.host.host_facts import SYSTEM_PYTHON

ROOT = Path(__file__).parents[2]
GUEST = ROOT / "qubes_manager/guest/debian"
# For the system's Python, in the folder of all: the session's launcher, with the display that it is to use.
LAUNCHER = "import sys; from qubes_manager.guest.session.launcher import main; sys.exit(main(sys.argv[1:]))"
_NEEDS = "import gi; gi.require_version('Gtk', '3.0'); from gi.repository import Gio, Gtk"


@pytest.fixture(scope="session")
def has_glib() -> None:
    """Skips where the system's Python has not what is in every template (python3-gi, gir1.2-gtk-3.0)."""
    try:
        subprocess.run([SYSTEM_PYTHON, "-c", _NEEDS], check=True, capture_output=True)
    except (OSError, subprocess.CalledProcessError):
        pytest.skip("the system's Python has no GTK: install python3-gi and gir1.2-gtk-3.0")


class Guest:
    """The folders of a guest, and the environment of its session."""

    def __init__(self, folder: Path) -> None:
        self.run = folder / "run"
        self.applications = folder / "share/applications"
        self.icons = folder / "share/icons/hicolor/48x48/apps"
        for each in (self.run, self.applications, self.icons):
            each.mkdir(parents=True)
        # Of the theme that is in every template.
        (self.icons.parents[1] / "index.theme").write_text(
            "[Icon Theme]\nName=Hicolor\nDirectories=48x48/apps\n[48x48/apps]\nSize=48\n"
        )
        # By it GTK knows a picture.
        (folder / "share/mime").symlink_to("/usr/share/mime")
        kept = {name: os.environ[name] for name in ("PATH", "LANG") if name in os.environ}
        self.environment = {
            **kept,
            "HOME": str(folder),
            "XDG_DATA_HOME": str(folder / "home"),
            "XDG_DATA_DIRS": str(folder / "share"),
            "XDG_RUNTIME_DIR": str(self.run),
        }

    def install(self, app_id: str, *lines: str, command: str = "true") -> None:
        """Put a .desktop file among the applications."""
        own = [f"Exec={command}", "Type=Application", *lines]
        if not any(line.startswith("Name=") for line in own):
            own.append(f"Name={app_id}")
        (self.applications / f"{app_id}.desktop").write_text("\n".join(["[Desktop Entry]", *own, ""]))


@pytest.fixture
def guest(has_glib: None, tmp_path: Path) -> Guest:
    return Guest(tmp_path)
