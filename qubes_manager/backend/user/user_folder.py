"""Where the programs of one user meet: locks and sockets."""

import os
import stat
from pathlib import Path

from qubes_manager.core.errors import Refused


def user_folder() -> Path:
    """A folder that nobody else can read or write, below the user's state folder; made where it is not there.

    All programs of the user come to the same one, whatever else there is on the machine now: a folder that is there
    only while somebody is logged in (``/run/user``) would give two programs two locks. Raises Refused for a folder
    that others could put something into. Blocks.
    """
    named = os.environ.get("XDG_STATE_HOME", "")
    # The base directory specification lets only an absolute path count.
    state = Path(named) if Path(named).is_absolute() else Path.home() / ".local/state"
    ours = state / "qubes-manager"
    folder = ours / "run"
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        for above in (state, ours):
            if above.stat().st_mode & stat.S_IWOTH:
                raise Refused(
                    f"everybody may write to {above}: run “chmod o-w” on it, or let XDG_STATE_HOME be another"
                )
        _make_private(folder)
    except OSError as error:
        raise Refused(f"the folder {folder} cannot be used: {error.strerror}; locks are kept there") from error
    return folder


def _make_private(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
    try:
        found = os.fstat(handle)
        if found.st_uid != os.getuid():
            raise Refused(f"{folder} belongs to another user: remove it")
        if stat.S_IMODE(found.st_mode) != 0o700:
            os.fchmod(handle, 0o700)
    finally:
        os.close(handle)
