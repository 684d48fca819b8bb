"""Where the program that shows a connection's windows is found."""

import hashlib
import os
from pathlib import Path

from qubes_manager.backend.user.user_folder import user_folder


def socket_path(uri: str) -> Path:
    """Where the service of a connection and of this screen listens; raises Refused when the folder is not ours."""
    name = hashlib.sha256(f"{uri} {os.environ.get('DISPLAY', '')}".encode()).hexdigest()[:16]
    return user_folder() / f"gui-{name}.sock"
