"""The guest's service program with sockets in the place of ports: PORTS-FOLDER CALLS-SOCKET SERVICES-FOLDER."""

import asyncio
import logging
import socket
import sys
from pathlib import Path

from qubes_manager.guest.crossing import daemon


def open_socket(name: str) -> int:
    end = socket.socket(socket.AF_UNIX)
    try:
        end.setblocking(False)
        end.connect(str(Path(sys.argv[1], name)))
    except BaseException:
        end.close()
        raise
    return end.detach()


if __name__ == "__main__":
    logging.basicConfig(level=logging.INFO)
    services = Path(sys.argv[3])
    program = daemon.Daemon(open_socket, "digest", [services], [services / "rpc-config"])
    asyncio.run(daemon.run_until_told(program, Path(sys.argv[2])))
