"""Unpacks what came from another domain: into a hidden folder, and from there to its names when it is whole."""

import os
import shutil
import stat
import tarfile
from collections.abc import Callable, Collection
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from qubes_manager.core.crossing.file_messages import Clash, Offer
from qubes_manager.core.errors import Refused
from qubes_manager.core.sizes import format_size
from qubes_manager.guest.archive.files import FOLDER, NEW, ORIGIN, refuse_full, write_all
from qubes_manager.guest.archive.hidden_folder import HiddenFolder, make_hidden_folder
from qubes_manager.guest.archive.names import check_link, is_unusual, refuse_unchosen, shown_name, split_name
from qubes_manager.guest.archive.placing import place, sync_file_system
from qubes_manager.guest.archive.tar_stream import TarStream

# Names beside each other; each is kept until all have come.
MAX_TOP = 100_000
_LATEST = 1 << 40


@dataclass(frozen=True, slots=True)
class Unpacked:
    """What has come: the names it has got, what was left out, bytes of files, and the archive's SHA-256 in hex.

    *renamed* of the names are other ones than were sent, since those were taken.
    """

    names: tuple[str, ...]
    renamed: int
    left_out: tuple[str, ...]
    size: int
    count: int
    sha256: str


def refuse_without_room(folder: Path, offer: Offer) -> None:
    """Raise Refused when what is offered does not fit into the file system of *folder*."""
    room = shutil.disk_usage(folder)
    # Some file systems in memory do not tell.
    if room.total and room.free < offer.size:
        raise Refused(f"there is no room: {format_size(offer.size)} are needed, {format_size(room.free)} are free")


def unpack(
    read: Callable[[int], bytes],
    folder: Path,
    offer: Offer,
    *,
    all_names: bool = False,
    clash: Clash = Clash.NUMBER,
    chosen: Collection[str] = (),
    origin: str = "",
    on_bytes: Callable[[int], object] = lambda _count: None,
) -> Unpacked:
    """Take the archive that *read* gives, of about what was offered, into *folder*, in constant memory.

    Nothing of it is seen there before all of it is there, on the disk and with the digest that the sender has. *read*
    returns up to as many bytes as it is asked for, none at the end. *all_names* lets names through that could deceive
    who reads them; where names are *chosen* no others come beside each other. *origin* marks each file as coming from
    there (``user.xdg.origin.url``). *on_bytes* is told how many bytes of files have come since it was
    told last. Raises Refused, with nothing left, and whatever *read* raises.
    """
    hidden = make_hidden_folder(folder)
    try:
        return _Unpacking(TarStream(read), hidden, offer, all_names, chosen, origin, on_bytes).run(folder, clash)
    except OSError as error:
        refuse_full(error)
        raise
    finally:
        hidden.remove()


@dataclass(frozen=True, slots=True)
class _Open:
    """A folder that things still come for; its mode and time are set when nothing more does."""

    part: str
    file: int
    info: tarfile.TarInfo


class _Unpacking:
    """One archive as it comes.

    It comes depth first, so only the folders above the newest member are open, and each is found by the descriptor of
    the one above it: no link that came is ever followed. What has no folder is called by its number until it is placed.
    """

    def __init__(
        self,
        archive: TarStream,
        hidden: HiddenFolder,
        offer: Offer,
        all_names: bool,
        chosen: Collection[str],
        origin: str,
        on_bytes: Callable[[int], object],
    ) -> None:
        self._archive = archive
        self._hidden = hidden
        self._offer = offer
        self._all_names = all_names
        self._chosen = chosen
        self._origin = os.fsencode(origin)
        self._on_bytes = on_bytes
        self._open: list[_Open] = []
        self._top: list[str] = []
        self._size = self._count = 0

    def run(self, folder: Path, clash: Clash) -> Unpacked:
        """Take all of it and put it into *folder*."""
        try:
            for info in self._archive.members():
                self._add(info)
            self._close_down_to(0)
        finally:
            for still in self._open:
                os.close(still.file)
        digest = self._archive.finish()
        # A sender who moves deletes its own when we say that we have it: a power cut must not take both.
        sync_file_system(self._hidden.lock)
        return self._place(folder, clash, digest)

    def _place(self, folder: Path, clash: Clash, digest: str) -> Unpacked:
        names: list[str] = []
        left_out: list[str] = []
        renamed = 0
        target = os.open(folder, FOLDER & ~os.O_NOFOLLOW)
        try:
            for number, name in enumerate(self._top):
                given = place(self._hidden.lock, str(number), target, name, clash)
                (names if given else left_out).append(given or name)
                renamed += given not in ("", name)
            os.fsync(target)
        finally:
            os.close(target)
        return Unpacked(tuple(names), renamed, tuple(left_out), self._size, self._count, digest)

    def _add(self, info: tarfile.TarInfo) -> None:
        parts = split_name(info.name)
        refuse_unchosen(parts[0], self._chosen)
        self._check(info)
        self._close_down_to(self._shared(parts[:-1]))
        if len(self._open) < len(parts) - 1:
            raise Refused(f"“{shown_name(info.name)}” came without the folder that it is in")
        parent, part = (self._open[-1].file, parts[-1]) if self._open else (self._hidden.lock, str(len(self._top)))
        try:
            self._make(info, parent, part, parts[-1])
        except FileExistsError:
            raise Refused(f"“{shown_name(info.name)}” came twice") from None
        if len(parts) == 1:
            self._top.append(info.name)

    def _check(self, info: tarfile.TarInfo) -> None:
        self._count += 1
        name = shown_name(info.name)
        if not self._all_names and (is_unusual(info.name) or is_unusual(info.linkname)):
            raise Refused(f"“{name}” has unusual characters: the policy must allow them (+allow-all-names)")
        if self._count > self._offer.most_things or len(self._top) >= MAX_TOP:
            raise Refused(f"more comes than was said: already {self._count} files")
        if self._size + info.size > self._offer.most_bytes:
            raise Refused(f"more comes than was said: “{name}” of {format_size(info.size)} is too much")
        if info.issym():
            check_link(info.name, info.linkname)
        # Python before 3.11.4 has none; a second judge beside our own.
        if judge := getattr(tarfile, "data_filter", None):
            try:
                judge(info, str(self._hidden.path))
            except tarfile.TarError as error:
                raise Refused(f"“{name}” is not taken: {shown_name(str(error))}") from error

    def _shared(self, parents: tuple[str, ...]) -> int:
        """How many of the open folders are those that *parents* names."""
        for depth, (folder, parent) in enumerate(zip(self._open, parents, strict=False)):
            if folder.part != parent:
                return depth
        return min(len(self._open), len(parents))

    def _close_down_to(self, depth: int) -> None:
        while len(self._open) > depth:
            folder = self._open.pop()
            try:
                # Its user must be able to look into it and to remove it.
                _finish(folder.file, folder.info, stat.S_IRWXU)
            finally:
                os.close(folder.file)

    def _make(self, info: tarfile.TarInfo, parent: int, part: str, name: str) -> None:
        if info.isdir():
            os.mkdir(part, 0o700, dir_fd=parent)
            self._open.append(_Open(name, os.open(part, FOLDER, dir_fd=parent), info))
        elif info.issym():
            os.symlink(info.linkname, part, dir_fd=parent)
            os.utime(part, ns=_times(info), dir_fd=parent, follow_symlinks=False)
        else:
            file = os.open(part, NEW, 0o600, dir_fd=parent)
            try:
                self._write(file, info)
                if self._origin:
                    with suppress(OSError):
                        os.setxattr(file, ORIGIN, self._origin)
                _finish(file, info, 0)
            finally:
                os.close(file)

    def _write(self, file: int, info: tarfile.TarInfo) -> None:
        for data in self._archive.content(info):
            write_all(file, data)
            self._size += len(data)
            self._on_bytes(len(data))


def _finish(file: int, info: tarfile.TarInfo, least: int) -> None:
    """Set mode and time: nothing that runs as another user, and nobody but the owner writes."""
    os.fchmod(file, (info.mode & 0o755) | least)
    os.utime(file, ns=_times(info))


def _times(info: tarfile.TarInfo) -> tuple[int, int]:
    # NaN is in no range.
    seconds = info.mtime if -_LATEST < info.mtime < _LATEST else 0
    return int(seconds * 1_000_000_000), int(seconds * 1_000_000_000)
