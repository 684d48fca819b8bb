"""Reads a tar archive that nobody vouches for, member by member, out of a pipe and in bounded memory."""

import hashlib
import tarfile
from collections.abc import Callable, Iterator
from typing import IO, cast

from qubes_manager.core.errors import Refused
from qubes_manager.guest.archive.names import shown_name

CHUNK = 256 << 10
# Bytes of the headers of one member: two pax headers with a path and a target of the longest. tarfile takes a header
# into memory whole, whatever its size, and looks for things in it in quadratic time.
_MOST_HEADERS = 24 << 10
# What tarfile may meet in bytes that are no header; all of it is only that.
_NO_HEADER = (tarfile.TarError, ValueError, OverflowError, RecursionError, LookupError, TypeError)
_KINDS = {tarfile.REGTYPE, tarfile.AREGTYPE, tarfile.DIRTYPE, tarfile.SYMTYPE}


class TarStream:
    """The members of an archive, each once, and the bytes of those that are files.

    *read* returns up to as many bytes as it is asked for, and none at the end. Raises Refused for what is no archive of
    ``pack``'s, and whatever *read* raises.
    """

    def __init__(self, read: Callable[[int], bytes]) -> None:
        self._pipe = _Pipe(read)

    def members(self) -> Iterator[tarfile.TarInfo]:
        """Each member; the content of one that is a file must be read before the next is asked for."""
        # tarfile's own loop keeps all members, and takes a broken header for the end; to write, it has none.
        archive = tarfile.TarFile(fileobj=cast(IO[bytes], self._pipe), mode="w", encoding="utf-8")
        while (info := self._next(archive)) is not None:
            _check(info, archive)
            self._pipe.seek(info.offset_data)
            yield info
            self._pipe.seek(archive.offset)

    def content(self, info: tarfile.TarInfo) -> Iterator[bytes]:
        """The bytes of the member that has come last."""
        left = info.size
        while left:
            data = self._pipe.take(min(left, CHUNK))
            left -= len(data)
            yield data

    def finish(self) -> str:
        """Read the end; returns the SHA-256 of the archive in hex. Raises Refused when the sender's is another one."""
        self._pipe.end_blocks()
        digest = self._pipe.digest.digest()
        said = b"".join(self._pipe.pieces(len(digest)))
        if said != digest:
            raise Refused("what came is not what was sent: the digests differ")
        return digest.hex()

    def _next(self, archive: tarfile.TarFile) -> tarfile.TarInfo | None:
        self._pipe.begin_headers()
        try:
            return tarfile.TarInfo.fromtarfile(archive)
        except tarfile.EOFHeaderError:  # type: ignore[attr-defined]
            return None
        except _NO_HEADER as error:
            raise Refused("what came is no archive, or a broken one") from error


def _check(info: tarfile.TarInfo, archive: tarfile.TarFile) -> None:
    name = shown_name(info.name)
    # Attributes for all members that follow are never in our archives, and would be kept for ever.
    if archive.pax_headers or info.issparse() or any(key.startswith("GNU.") for key in info.pax_headers):
        raise Refused(f"“{name}” is packed in a way that is not taken")
    if info.type not in _KINDS:
        raise Refused(f"“{name}” is no file, folder or link: a device, pipe or hard link is not taken")
    if info.size < 0 or (info.size and not info.isreg()):
        raise Refused(f"“{name}” has a size that makes no sense")


class _Pipe:
    """What tarfile reads, as a file that only goes forward."""

    def __init__(self, read: Callable[[int], bytes]) -> None:
        self._read = read
        self._at = 0
        self._headers = 0
        self.digest = hashlib.sha256()

    def begin_headers(self) -> None:
        """From here on come the headers of one member."""
        self._headers = 0

    def tell(self) -> int:
        """The place in the archive, in bytes."""
        return self._at

    def seek(self, place: int) -> int:
        """Go forward to *place*; there is no way back."""
        if not 0 <= place - self._at < tarfile.BLOCKSIZE:
            raise Refused("what came is a broken archive: its sizes make no sense")
        while self._at < place:
            self.take(place - self._at)
        return self._at

    def read(self, size: int) -> bytes:
        """Exactly *size* bytes of headers."""
        self._headers += size
        if not 0 <= size <= self._headers <= _MOST_HEADERS:
            raise Refused("what came has headers that are too long")
        data = b"".join(self.pieces(size))
        self.digest.update(data)
        return data

    def take(self, most: int) -> bytes:
        """From one to *most* bytes of a file."""
        data = self._some(most)
        self.digest.update(data)
        return data

    def end_blocks(self) -> None:
        """The second of the two blocks that end an archive; tarfile reads only one."""
        if self.read(tarfile.BLOCKSIZE) != bytes(tarfile.BLOCKSIZE):
            raise Refused("what came is a broken archive: it does not end where it says")

    def pieces(self, size: int) -> Iterator[bytes]:
        """Exactly *size* bytes, as they come, and not part of the digest yet."""
        while size:
            data = self._some(size)
            size -= len(data)
            yield data

    def _some(self, most: int) -> bytes:
        data = self._read(min(most, CHUNK))
        if not data:
            raise Refused("what came ends in the middle")
        self._at += len(data)
        return data
