"""Moving the bytes of whole volumes: from image files into pools, and back."""

import contextlib
import hashlib
import os
from collections.abc import Callable
from pathlib import Path
from typing import BinaryIO

import libvirt

from qubes_manager.backend.connection.connection import LibvirtConnection
from qubes_manager.backend.connection.libvirt_errors import translate
from qubes_manager.backend.connection.movement import STANDSTILL, Movement
from qubes_manager.backend.storage.images import open_regular, require_format
from qubes_manager.backend.storage.lost_upload import clear_after_loss
from qubes_manager.backend.storage.pool_space import data_bytes, require_space
from qubes_manager.backend.storage.volume_store import (
    POOL,
    Volume,
    active_pool,
    look_up,
    refresh_now,
    require_as_recorded,
    volume_xml,
)
from qubes_manager.backend.xml import parse
from qubes_manager.core.checksums import Checksum
from qubes_manager.core.errors import HostUnreachable, QubesManagerError, Refused
from qubes_manager.core.progress import SILENT, Progress
from qubes_manager.core.volumes import volume_format

_CHUNK = 1 << 20
# Holes are few that are a quarter of the data, and this many bytes, at most.
_FEW_HOLES = 256 << 20
# libvirt's messages carry at most 256 KiB of a stream (virnetprotocol.x).
_DOWNLOAD_CHUNK = 256 << 10


async def upload_volume(
    connection: LibvirtConnection,
    name: str,
    source: Path | BinaryIO,
    *,
    pool: str = POOL,
    checksum: str = "",
    progress: Progress = SILENT,
    standstill: float = STANDSTILL,
) -> tuple[Volume, str]:
    """Copy the image *source*, a path or an open file, into a new volume; return it with the SHA-256 of what was read.

    Holes stay holes, unless there are few of them. The bytes themselves must be of the format that the volume's name
    says, need no other file, and have the *checksum* where there is one: whatever else was found out about the file,
    another one may have written to it since. *progress* is told and asked after every MiB, from a thread. On any error
    the volume is gone again, also when libvirt went away; only of one that stood still for *standstill* seconds may
    something be left. Raises Cancelled, Refused, NotFound, TimedOut, QubesManagerError.
    """
    movement = Movement(standstill)

    def upload(raw: libvirt.virConnect) -> tuple[Volume, str]:
        with open_regular(source) if isinstance(source, Path) else contextlib.nullcontext(source) as file:
            size, data = os.fstat(file.fileno()).st_size, data_bytes(file.fileno())
            # libvirt 11.3 ends, or hangs, when others fill the disk under an upload: where it costs little the whole
            # room is taken first.
            room = size if size - data <= min(data // 4, _FEW_HOLES) else 0
            place = active_pool(raw, pool)
            refresh_now(place)
            require_space(place, room or data)
            # Made raw, so that its size is the file's; a refresh reads the real format.
            volume = place.createXML(volume_xml(name, size, "raw", allocation=room), 0)
            try:
                movement.on()
                sending = _Upload(name, file.fileno(), size, Checksum(checksum), progress, movement)
                digest = sending.send(raw, volume, keep_holes=not room)
                movement.on()
                refresh_now(place)
                require_as_recorded(volume, name, "")
            except BaseException:
                with contextlib.suppress(libvirt.libvirtError):
                    volume.delete(0)
                raise
            return Volume(pool, name, volume.path()), digest

    try:
        what = f"copy an image to “{name}”"
        return await movement.wait_for(what, connection.transfer(what, upload))
    except HostUnreachable as error:
        raise await clear_after_loss(connection.uri, pool, name) from error
    except OSError as error:
        raise QubesManagerError(f"the image for “{name}” cannot be read: {error.strerror}") from error


class _Upload:
    """Sends the *size* bytes of the descriptor *fd* to the volume *name*."""

    def __init__(
        self, name: str, fd: int, size: int, checksum: Checksum, progress: Progress, movement: Movement
    ) -> None:
        self._name, self._fd, self._size = name, fd, size
        self._checksum, self._progress, self._movement = checksum, progress, movement
        self._digest = hashlib.sha256()
        self._failure: BaseException | None = None

    def send(self, raw: libvirt.virConnect, volume: libvirt.virStorageVol, *, keep_holes: bool) -> str:
        """Send all of it and return its SHA-256."""
        stream = raw.newStream(0)
        volume.upload(stream, 0, self._size, libvirt.VIR_STORAGE_VOL_UPLOAD_SPARSE_STREAM)
        reader = _SparseReader(self._fd, self._size, keep_holes)
        try:
            stream.sparseSendAll(self._read, lambda *_: list(reader.section()), self._skip, None)
            self._checksum.require(self._name)
            stream.finish()
        except BaseException as error:
            with contextlib.suppress(libvirt.libvirtError):
                stream.abort()
            if self._failure:
                raise self._failure from error
            if isinstance(error, libvirt.libvirtError):
                raise translate(error, f"copy an image to “{self._name}”") from error
            raise
        return self._digest.hexdigest()

    def _read(self, _stream: object, count: int, _opaque: object) -> bytes:
        try:
            self._movement.on()
            self._progress.raise_if_cancelled()
            place = os.lseek(self._fd, 0, os.SEEK_CUR)
            data = os.read(self._fd, min(count, _CHUNK))
            if count and not data:
                raise Refused("the image has become shorter while it was copied; nothing was created")
            if not place:
                require_format(data, volume_format(self._name), self._name)
            self._hear(data)
            self._progress.at(place + len(data), self._size)
            return data
        except BaseException as error:
            self._failure = error
            raise

    def _skip(self, _stream: object, length: int, _opaque: object) -> int:
        zeros = bytes(min(length, _CHUNK))
        for left in range(length, 0, -_CHUNK):
            self._movement.on()
            self._hear(zeros[:left])
        os.lseek(self._fd, length, os.SEEK_CUR)
        return 0

    def _hear(self, data: bytes) -> None:
        self._digest.update(data)
        self._checksum.update(data)


class _SparseReader:
    """Tells data from holes at a file's current offset; without *keep_holes* all of it is data."""

    def __init__(self, fd: int, size: int, keep_holes: bool) -> None:
        self._fd = fd
        self._size = size
        self._keep_holes = keep_holes

    def section(self) -> tuple[bool, int]:
        """Return whether data is next, and for how many bytes; (False, 0) at the end."""
        here = os.lseek(self._fd, 0, os.SEEK_CUR)
        if here >= self._size:
            return False, 0
        if not self._keep_holes:
            return True, self._size - here
        try:
            data = os.lseek(self._fd, here, os.SEEK_DATA)
        except OSError:
            data = self._size
        if data > here:
            os.lseek(self._fd, here, os.SEEK_SET)
            return False, min(data, self._size) - here
        hole = os.lseek(self._fd, here, os.SEEK_HOLE)
        os.lseek(self._fd, here, os.SEEK_SET)
        return True, min(hole, self._size) - here


async def read_volume(
    connection: LibvirtConnection,
    pool: str,
    name: str,
    sink: Callable[[bytes], object],
    *,
    progress: Progress = SILENT,
) -> str:
    """Pass all bytes of a volume's file to *sink*, in a thread; returns their SHA-256. Raises Cancelled, TimedOut."""
    movement = Movement()

    def read(raw: libvirt.virConnect) -> str:
        volume = look_up(raw, pool, name)
        total = parse(volume.XMLDesc()).findtext("physical") or "0"
        digest = hashlib.sha256()
        stream = raw.newStream(0)
        movement.on()
        volume.download(stream, 0, 0, 0)
        done = 0
        try:
            while data := stream.recv(_DOWNLOAD_CHUNK):
                movement.on()
                progress.raise_if_cancelled()
                sink(data)
                digest.update(data)
                done += len(data)
                progress.at(done, int(total))
            stream.finish()
        except BaseException:
            with contextlib.suppress(libvirt.libvirtError):
                stream.abort()
            raise
        return digest.hexdigest()

    what = f"read the volume “{name}”"
    return await movement.wait_for(what, connection.transfer(what, read))
