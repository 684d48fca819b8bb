"""qubes.ConnectTCP: joins the caller to a TCP port of this domain's own; the argument is the port's number."""

import os
import select
import socket
import sys
from collections.abc import Sequence

from qubes_manager.core.errors import BadInput
from qubes_manager.guest.exchange import send

_CHUNK = 1 << 16
_TIMEOUT = 10


def main(arguments: Sequence[str] = ()) -> int:
    """Entry point."""
    try:
        port = parse_port(arguments[0] if arguments else "")
        with socket.create_connection(("localhost", port), _TIMEOUT) as server:
            server.settimeout(None)
            _join(server)
    except (BadInput, OSError) as error:
        print(error.strerror or error if isinstance(error, OSError) else error, file=sys.stderr)
        return 1
    return 0


def parse_port(text: str) -> int:
    """The port that *text* names; raises BadInput. Another machine than this one cannot be named."""
    if not (text.isascii() and text.isdigit() and len(text) <= 5 and 0 < int(text) < 1 << 16):
        raise BadInput("port", text[:80], "use a number from 1 to 65535")
    return int(text)


def _join(server: socket.socket) -> None:
    """Pass on bytes both ways until both have ended, or the server has."""
    stdin = sys.stdin.fileno()
    sources = [stdin, server]
    while server in sources:
        for source in select.select(sources, [], [])[0]:
            if source is server:
                if not (data := server.recv(_CHUNK)):
                    return
                send(data)
            elif data := os.read(stdin, _CHUNK):
                server.sendall(data)
            else:
                sources.remove(stdin)
                server.shutdown(socket.SHUT_WR)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
