"""The program's own place in the desktop's menu, for who installed it by pip, which puts nothing there."""

from importlib import resources
from pathlib import Path

from qubes_manager.backend.user.small_files import write_whole
from qubes_manager.core.desktop_entry import exec_line
from qubes_manager.core.errors import QubesManagerError
from qubes_manager.services.applications.app_menus import launcher

_ENTRY = "qubes-manager.desktop"
_METAINFO = "org.qubes_manager.QubesManager.metainfo.xml"
_ICON = "qubes-manager.svg"


def install_desktop_files(data: Path) -> list[Path]:
    """Put entry, description and icon below *data* ($XDG_DATA_HOME); returns their paths. Blocks.

    The entry starts the program by its path: that of a virtual environment is seldom searched. Raises
    QubesManagerError.
    """
    entry = (
        _ours("packaging", _ENTRY).read_text("utf-8").replace("Exec=qubes-manager", f"Exec={exec_line([launcher()])}")
    )
    files = {
        data / "applications" / _ENTRY: entry.encode(),
        data / "metainfo" / _METAINFO: _ours("packaging", _METAINFO).read_bytes(),
        data / "icons/hicolor/scalable/apps" / _ICON: _ours("icons", _ICON, "resources/icons").read_bytes(),
    }
    try:
        for path, content in files.items():
            write_whole(path, content)
    except OSError as error:
        raise QubesManagerError(f"the desktop’s menu cannot be changed: {error}") from error
    return list(files)


def _ours(folder: str, name: str, in_checkout: str = "") -> Path:
    """A file that the wheel has in the package, and a checkout beside it."""
    package = Path(str(resources.files("qubes_manager")))
    packaged = package / folder / name
    return packaged if packaged.exists() else package.parent / (in_checkout or folder) / name
