"""Where our serving programs are found."""

import hashlib
import os
from pathlib import Path

from qubes_manager.backend.user.user_folder import user_folder
from qubes_manager.core.errors import Refused

# Of a socket's path (unix(7)), its end not counted.
_MOST_BYTES = 107


def socket_path(program: str, what: str) -> Path:
    """Where *program* (a short word) listens that serves *what*: a connection, a connection on a screen.

    Raises Refused when the folder is not ours, or its path too long for a socket's. Blocks.
    """
    path = user_folder() / f"{program}-{hashlib.sha256(what.encode()).hexdigest()[:16]}.sock"
    if len(os.fsencode(path)) > _MOST_BYTES:
        raise Refused(f"{path} is too long for the path of a socket: let XDG_STATE_HOME be a folder with a shorter one")
    return path
