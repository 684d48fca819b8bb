"""Files on their way from one domain into another, whoever reads them and whoever takes them."""

from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, field
from typing import Protocol

from qubes_manager.core.crossing.file_messages import Clash


async def _no_pieces() -> AsyncIterator[bytes]:
    return
    yield b""


@dataclass(frozen=True, slots=True)
class Member:
    """One file or folder of a copy: its path within it, size in bytes, mode, when it was changed (seconds since 1970).

    *pieces* are its bytes, *size* of them, to be read before the next member is asked for. A folder comes before all
    that is in it.
    """

    name: str
    is_folder: bool
    size: int
    mode: int
    changed: int
    pieces: AsyncIterator[bytes] = field(default_factory=_no_pieces)
    # It is a link, which receivers outside our guests do not take.
    is_link: bool = False


@dataclass(frozen=True, slots=True)
class Arrived:
    """A file that is where it was to go: its path there, bytes and SHA-256 in hex."""

    name: str
    size: int
    sha256: str


@dataclass(frozen=True, slots=True)
class Landed:
    """What has become of a copy.

    *names* has for each name that was sent the one that it has now, none where it was skipped. *is_proved* when who
    took it has counted the digests itself, and they are those of what was sent. *files* are the first ones.
    """

    names: Mapping[str, str]
    is_proved: bool
    files: tuple[Arrived, ...] = ()


@dataclass(frozen=True, slots=True)
class Room:
    """What a copy may take where it goes: bytes, and how many files and folders; None where that is not known."""

    size: int | None
    count: int | None = None


class Receiver(Protocol):
    """Who takes a copy: nothing of it is seen where it goes until ``finish``, and nothing is left by ``drop``."""

    async def room(self) -> Room:
        """How much may come; raises QubesManagerError."""

    async def add(self, member: Member) -> None:
        """Take a file or a folder; raises QubesManagerError, for this one or one that it has taken before."""

    async def finish(self, clash: Clash) -> Landed:
        """Move all to where it goes; raises QubesManagerError."""

    async def drop(self) -> None:
        """Take away what has come so far."""
