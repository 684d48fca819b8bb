"""Puts files that a domain sends into a folder of this machine: marked as foreign, never to be run, seen when whole.

All of it is one thread's work: what hangs in a file system there keeps nothing else of the program waiting.
"""

import contextlib
import errno
import functools
import hashlib
import os
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import ParamSpec

from qubes_manager.backend.user.own_thread import OwnThread
from qubes_manager.core.crossing.copying import Arrived, Landed, Member, Room
from qubes_manager.core.crossing.file_messages import Clash
from qubes_manager.core.crossing.remarks import MAX_TOLD
from qubes_manager.core.errors import QubesManagerError, Refused
from qubes_manager.guest.archive.files import FOLDER, NEW, ORIGIN, refuse_full, write_all
from qubes_manager.guest.archive.hidden_folder import HiddenFolder, make_hidden_folder
from qubes_manager.guest.archive.names import shown_name, split_name
from qubes_manager.guest.archive.placing import place, sync_file_system

P = ParamSpec("P")
# Files and folders of one copy, and names beside each other, each of which is kept until all have come.
MAX_COUNT, MAX_TOP = 1_000_000, 10_000
# Files are read and written by their owner and never run, whatever they were.
_MODE = 0o600
# Bytes that are handed to the thread at once, and what a file, and each step, count for besides. Meanwhile who gives
# them waits: two threads that both do little at a time keep each other from the interpreter.
_BATCH, _EACH, _STEP = 256 << 10, 4096, 256
# Domains' images may be there too: bytes and files that stay free, as parts of all and at most.
_PART, _SPARE_SIZE, _SPARE_COUNT = 20, 1 << 30, 100_000
# Bytes, and files, between two looks at what is free by now: others write there too.
_LOOK_SIZE, _LOOK_COUNT = 64 << 20, 1000
# Seconds to take away what did not come whole; a file system that does not answer does so later, or the next copy.
_PATIENCE = 60.0


class IncomingFiles:
    """Takes a copy into *folder*, which is made where it is not there. *origin* is said to be where it is from."""

    def __init__(self, folder: Path, origin: str) -> None:
        self.folder = folder
        self._writing = _Writing(folder, origin.encode())
        self._thread = OwnThread("incoming files")
        self._batch: list[Callable[[], None]] = []
        self._weight = 0

    async def begin(self) -> None:
        """Make the folder; raises QubesManagerError."""
        await self._thread.run(self._writing.begin)

    async def room(self) -> Room:
        """How much may come; raises QubesManagerError."""
        return await self._thread.run(self._writing.room)

    async def add(self, member: Member) -> None:
        """Take a file or a folder; raises Refused, for this one or one that it has taken before."""
        parts = split_name(member.name)
        if member.is_folder:
            await self._give(_EACH, self._writing.make_folder, parts)
            return
        await self._give(_EACH, self._writing.begin_file, parts)
        async for piece in member.pieces:
            await self._give(len(piece), self._writing.write, piece)
        await self._give(0, self._writing.end_file, member.changed)

    async def finish(self, clash: Clash) -> Landed:
        """Move all to where it goes; raises Refused."""
        await self._hand_over()
        return await self._thread.run(self._writing.finish, clash)

    async def drop(self) -> None:
        """Take away what has come so far; after ``finish`` what was replaced."""
        await self._thread.end(self._writing.drop, _PATIENCE)

    async def _give(self, weight: int, func: Callable[P, None], *args: P.args, **kwargs: P.kwargs) -> None:
        """Have something done, with others."""
        self._batch.append(functools.partial(func, *args, **kwargs))
        self._weight += weight + _STEP
        if self._weight >= _BATCH:
            await self._hand_over()

    async def _hand_over(self) -> None:
        batch, self._batch, self._weight = self._batch, [], 0
        await self._thread.run(_do_all, batch)


@dataclass(slots=True)
class _File:
    """The one that is being written."""

    name: str
    descriptor: int
    size: int = 0
    digest: "hashlib._Hash" = field(default_factory=hashlib.sha256)


class _Writing:
    """What the thread does. All of it raises QubesManagerError with one plain line."""

    def __init__(self, folder: Path, origin: bytes) -> None:
        self._folder = folder
        self._origin = origin
        self._hidden: HiddenFolder | None = None
        self._file: _File | None = None
        self._tops: dict[str, None] = {}
        self._told: list[Arrived] = []
        self._count = 0
        # Until the next look at what is free.
        self._size_left, self._count_left = _LOOK_SIZE, _LOOK_COUNT

    def begin(self) -> None:
        with _plain_errors():
            self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            self._hidden = make_hidden_folder(self._folder)

    def room(self) -> Room:
        with _plain_errors():
            facts = os.fstatvfs(self._lock)
        size, free = facts.f_blocks * facts.f_frsize, facts.f_bavail * facts.f_frsize
        # Some file systems do not tell, or have as many files as there is room for.
        return Room(
            max(0, free - min(size // _PART, _SPARE_SIZE)) if size else None,
            max(0, facts.f_favail - min(facts.f_files // _PART, _SPARE_COUNT)) if facts.f_files else None,
        )

    def make_folder(self, parts: tuple[str, ...]) -> None:
        with self._made(parts) as parent:
            os.mkdir(parts[-1], 0o700, dir_fd=parent)

    def begin_file(self, parts: tuple[str, ...]) -> None:
        with self._made(parts) as parent:
            self._file = _File("/".join(parts), os.open(parts[-1], NEW, _MODE, dir_fd=parent))
        # Before its first byte is there.
        with contextlib.suppress(OSError):
            os.setxattr(self._file.descriptor, ORIGIN, self._origin)

    def write(self, piece: bytes) -> None:
        file = self._open
        with _plain_errors(file.name):
            write_all(file.descriptor, piece)
        file.digest.update(piece)
        file.size += len(piece)
        self._size_left -= len(piece)
        self._look()

    def end_file(self, changed: int) -> None:
        file = self._open
        with _plain_errors(file.name):
            os.utime(file.descriptor, (changed, changed))
            self._close()
        if len(self._told) < MAX_TOLD:
            self._told.append(Arrived(file.name, file.size, file.digest.hexdigest()))

    def finish(self, clash: Clash) -> Landed:
        with _plain_errors():
            # A sender who moves deletes its own when we say that we have it.
            sync_file_system(self._lock)
            target = os.open(self._folder, FOLDER & ~os.O_NOFOLLOW)
            try:
                names = {name: place(self._lock, name, target, name, clash) for name in self._tops}
                os.fsync(target)
            finally:
                os.close(target)
        return Landed(names, True, tuple(_placed(file, names) for file in self._told if names[_top(file.name)]))

    def drop(self) -> None:
        with contextlib.suppress(OSError):
            self._close()
        hidden, self._hidden = self._hidden, None
        if hidden:
            hidden.remove()

    @property
    def _open(self) -> _File:
        assert self._file
        return self._file

    @property
    def _lock(self) -> int:
        assert self._hidden
        return self._hidden.lock

    def _close(self) -> None:
        file, self._file = self._file, None
        if file:
            os.close(file.descriptor)

    @contextlib.contextmanager
    def _made(self, parts: tuple[str, ...]) -> Iterator[int]:
        """The open folder in which one more is made, reached through real folders only."""
        self._count += 1
        self._count_left -= 1
        self._tops[parts[0]] = None
        if self._count > MAX_COUNT or len(self._tops) > MAX_TOP:
            raise Refused(
                f"at most {MAX_COUNT:,} files and folders come at a time, {MAX_TOP:,} of them beside each other: "
                "pack them in one file"
            )
        self._look()
        with _plain_errors("/".join(parts)):
            here = os.dup(self._lock)
            try:
                for part in parts[:-1]:
                    inner = os.open(part, FOLDER, dir_fd=here)
                    os.close(here)
                    here = inner
                yield here
            finally:
                os.close(here)

    def _look(self) -> None:
        """Look now and then whether so much is free still; raises Refused."""
        if self._size_left > 0 and self._count_left > 0:
            return
        self._size_left, self._count_left = _LOOK_SIZE, _LOOK_COUNT
        room = self.room()
        if 0 in (room.size, room.count):
            raise Refused("the disk is almost full: nothing was kept")


def _do_all(batch: Iterable[Callable[[], None]]) -> None:
    for step in batch:
        step()


def _placed(file: Arrived, names: dict[str, str]) -> Arrived:
    top = _top(file.name)
    return Arrived(names[top] + file.name[len(top) :], file.size, file.sha256)


def _top(name: str) -> str:
    return name.partition("/")[0]


@contextlib.contextmanager
def _plain_errors(name: str = "") -> Iterator[None]:
    try:
        yield
    except OSError as error:
        refuse_full(error)
        if error.errno == errno.EEXIST and name:
            raise Refused(f"“{shown_name(name)}” came twice") from error
        about = f"“{shown_name(name)}” cannot be written here" if name else "what came cannot be put where it goes"
        raise QubesManagerError(f"{about}: {error.strerror or error}", str(error)) from error
