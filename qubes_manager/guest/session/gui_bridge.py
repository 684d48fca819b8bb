"""Joins the host's virtio-serial port and the display server's socket, for ever.

The port reads end-of-file while no host is connected. The server must not see a client before there is one: it drops
a client that is silent, and that goodbye is what the host would read first. And the host takes an open port for a
server that is ready, so the port stays shut until there is one that takes clients: its socket has a name long before.

The first line to each host says which server it is, before anything of the server's own.
"""

import fcntl
import importlib.util
import os
import re
import select
import signal
import socket
import time
from collections.abc import Sequence
from pathlib import Path

PORT = "/dev/virtio-ports/org.qubes_manager.gui.0"
SERVER = "/run/qubes-manager-gui/xpra.sock"
CHUNK = 1 << 16
PAUSE = 0.05
# The driver raises SIGIO when a host comes or goes; a signal that was missed costs this many seconds.
LONGEST_WAIT = 5
VERSION = re.compile(r"""^__version__ *= *["']([0-9.]{1,40})["']""", re.MULTILINE)


def is_ready(path: str) -> bool:
    """Whether a server takes clients at *path*."""
    with socket.socket(socket.AF_UNIX) as client:
        try:
            client.connect(path)
        except OSError:
            return False
    return True


def preamble() -> bytes:
    """The line that tells the host which version of xpra is installed here.

    Read from its source: to import it takes longer than to start an application.
    """
    found = importlib.util.find_spec("xpra")
    version = VERSION.search(Path(found.origin).read_text("utf-8")) if found and found.origin else None
    return f"qubes-manager-gui 1 xpra {version[1] if version else 'unknown'}\n".encode()


def wait_for_host(port: int) -> None:
    """Return when a host is connected."""
    poll = select.poll()
    poll.register(port, select.POLLIN)
    while any(event & select.POLLHUP for _fd, event in poll.poll(0)):
        signal.sigtimedwait({signal.SIGIO}, LONGEST_WAIT)


def join(port: int, server: socket.socket) -> None:
    """Pass bytes both ways until either side ends."""
    server.setblocking(False)
    os.set_blocking(port, False)
    ends = {port: server.fileno(), server.fileno(): port}
    waiting = dict.fromkeys(ends, b"")  # what still has to go to each end
    while True:
        poll = select.poll()
        for fd, other in ends.items():
            # An end is read only while the other one takes what it says.
            poll.register(fd, (0 if waiting[other] else select.POLLIN) | (select.POLLOUT if waiting[fd] else 0))
        for fd, event in poll.poll():
            try:
                if event & select.POLLOUT:
                    waiting[fd] = waiting[fd][os.write(fd, waiting[fd]) :]
                if event & (select.POLLIN | select.POLLHUP | select.POLLERR) and not waiting[ends[fd]]:
                    data = os.read(fd, CHUNK)
                    if not data:
                        return
                    waiting[ends[fd]] = data
            except BlockingIOError:
                continue


def main(_arguments: Sequence[str] = ()) -> int:
    """Entry point; does not return."""
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGIO})
    while True:
        while not is_ready(SERVER):
            time.sleep(PAUSE)
        # Before there is a host: one that hears nothing for long takes these for tools that do not greet.
        greeting = preamble()
        port = os.open(PORT, os.O_RDWR)
        try:
            fcntl.fcntl(port, fcntl.F_SETOWN, os.getpid())
            fcntl.fcntl(port, fcntl.F_SETFL, fcntl.fcntl(port, fcntl.F_GETFL) | os.O_ASYNC)
            wait_for_host(port)
            with socket.socket(socket.AF_UNIX) as server:
                server.connect(SERVER)
                os.write(port, greeting)
                join(port, server)
        except OSError as error:
            print(f"bridge: {error}", flush=True)
        finally:
            os.close(port)
        time.sleep(PAUSE)
