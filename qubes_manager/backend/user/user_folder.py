"""Where the programs of one user meet: locks and sockets."""

import os
import stat
from pathlib import Path

from qubes_manager.core.errors import Refused


def user_folder() -> Path:
    """A folder of the user's that no other user can write to; gone at the next boot.

    The same for all programs of the user, so the environment has no say (a cron job has no XDG_RUNTIME_DIR).
    """
    runtime = Path(f"/run/user/{os.getuid()}")
    folder = runtime / "qubes-manager" if runtime.is_dir() else Path(f"/tmp/qubes-manager-{os.getuid()}")  # noqa: S108
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    found = folder.lstat()
    if found.st_uid != os.getuid() or not stat.S_ISDIR(found.st_mode):
        raise Refused(f"{folder} belongs to another user, or is no folder: remove it")
    return folder
