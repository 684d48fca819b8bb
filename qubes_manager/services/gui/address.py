"""Where programs of the user's are found: the manager's window, and what shows a connection's guests' windows."""

from pathlib import Path

from qubes_manager.backend.user.screen import screen_name
from qubes_manager.backend.user.user_folder import user_folder
from qubes_manager.services.programs import address


def window_path() -> Path:
    """Where the manager's window listens for later starts; raises Refused when the folder is not ours. Blocks.

    Not below a folder for all users: anybody could be there before it.
    """
    return user_folder() / "window.sock"


def screen_paths() -> list[Path]:
    """Where all services listen, or did, of whatever connection and screen. Blocks."""
    return sorted(user_folder().glob("gui-*.sock"))


def socket_path(uri: str) -> Path:
    """Where the service of a connection and of this screen listens; raises Refused when the folder is not ours."""
    return address.socket_path("gui", f"{uri} {screen_name()}")
