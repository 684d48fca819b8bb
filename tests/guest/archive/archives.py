"""Archives as our sender makes them, and as nobody should."""

import hashlib
import io
import tarfile
from collections.abc import Iterable
from pathlib import Path

from qubes_manager.core.crossing.file_messages import Offer
from qubes_manager.guest.archive.names import is_hidden
from qubes_manager.guest.archive.packing import Packed, pack
from qubes_manager.guest.archive.unpacking import Unpacked, unpack
from qubes_manager.guest.archive.walking import survey

PLENTY = Offer(1 << 30, 1 << 20)


def packed(*paths: Path) -> tuple[bytes, Packed, dict[str, str]]:
    """What our sender makes of *paths*, and what it says of those that it left out."""
    stream, problems = io.BytesIO(), dict[str, str]()
    result = pack(survey(paths), stream.write, problem=problems.__setitem__)
    return stream.getvalue(), result, problems


def with_digest(archive: bytes) -> bytes:
    """An archive as it goes through a pipe."""
    return archive + hashlib.sha256(archive).digest()


def file(name: str, content: bytes = b"x") -> tuple[tarfile.TarInfo, bytes]:
    """A file for ``hostile``."""
    info = tarfile.TarInfo(name)
    info.size = len(content)
    return info, content


def folder(name: str) -> tuple[tarfile.TarInfo, bytes]:
    """A folder for ``hostile``."""
    return special(name, tarfile.DIRTYPE)


def special(name: str, kind: bytes, link: str = "") -> tuple[tarfile.TarInfo, bytes]:
    """Any kind of member that has no bytes."""
    info = tarfile.TarInfo(name)
    info.type, info.linkname = kind, link
    return info, b""


def hostile(members: Iterable[tuple[tarfile.TarInfo, bytes]], tail: bytes = bytes(1024)) -> bytes:
    """An archive of just these members, with the right digest."""
    archive = b"".join(
        info.tobuf(tarfile.PAX_FORMAT, "utf-8", "surrogateescape") + content + bytes(-len(content) % 512)
        for info, content in members
    )
    return with_digest(archive + tail)


def unpacked(stream: bytes, target: Path, offer: Offer = PLENTY, *, all_names: bool = False) -> Unpacked:
    """What our receiver takes of *stream*; there is nothing hidden left."""
    try:
        return unpack(io.BytesIO(stream).read, target, offer, all_names=all_names)
    finally:
        assert not any(is_hidden(path.name) for path in target.iterdir())
