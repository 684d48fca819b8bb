"""Reading and writing many pieces of a port by one system call: a port moves little at a time, and each call is dear.

That is so most of all in a guest of one processor, where the host can do nothing meanwhile.
"""

import os

# Bytes that a read of a port brings at most, that a write takes at most (Linux, virtio_console.c), and such writes at
# once.
_PAGE, _PIECE, _MOST_PIECES = 4096, 32 << 10, 8


class Burst:
    """Room for what is read at a time. Each read of a port brings one page at most, so many are asked for at once."""

    def __init__(self, size: int) -> None:
        self._room = memoryview(bytearray(size))
        self._pages = self._cut(size)

    def read(self, fd: int, most: int) -> bytes | None:
        """What is there, at most *most* bytes; None while there is nothing, empty at the end."""
        try:
            count = os.readv(fd, self._pages if most >= len(self._room) else self._cut(most))
        except BlockingIOError:
            return None
        except OSError:
            return b""
        return bytes(self._room[:count])

    def _cut(self, most: int) -> list[memoryview]:
        return [self._room[at : min(at + _PAGE, most)] for at in range(0, most, _PAGE)]


def write_burst(port: int, data: bytes | memoryview) -> int:
    """Write what a port takes now, and return how many bytes: each write of one gives a piece at most.

    Raises BlockingIOError when it takes nothing, OSError.
    """
    rest = memoryview(data)[: _PIECE * _MOST_PIECES]
    return os.writev(port, [rest[at : at + _PIECE] for at in range(0, len(rest), _PIECE)])
