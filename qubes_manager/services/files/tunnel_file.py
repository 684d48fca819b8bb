"""A file of WireGuard's, from this machine."""

from pathlib import Path

from qubes_manager.core.errors import BadInput
from qubes_manager.core.wireguard import MAX_FILE, Tunnel, parse_tunnel


def read_tunnel(path: Path) -> Tunnel:
    """Return the tunnel of a file for wg-quick; blocks. Raises BadInput, also where it cannot be read."""
    try:
        with path.expanduser().open("rb") as file:
            data = file.read(MAX_FILE + 1)
    except OSError as error:
        raise BadInput("WireGuard file", str(path)[:200], f"it cannot be read: {error.strerror}") from None
    try:
        return parse_tunnel(data.decode())
    except UnicodeDecodeError:
        raise BadInput("WireGuard file", str(path)[:200], "it is no text") from None
