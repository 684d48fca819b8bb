"""Moving the bytes of whole volumes: from image files into pools, and back."""

import contextlib
import hashlib
import os
from collections.abc import Callable
from pathlib import Path

import libvirt

from qubes_manager.backend.connection.connection import LibvirtConnection
from qubes_manager.backend.connection.libvirt_errors import translate
from qubes_manager.backend.storage.volume_store import POOL, Volume, look_up, refresh_now, volume_xml
from qubes_manager.backend.xml import parse
from qubes_manager.core.errors import QubesManagerError
from qubes_manager.core.progress import SILENT, Progress

_CHUNK = 1 << 20
# libvirt's messages carry at most 256 KiB of a stream (virnetprotocol.x).
_DOWNLOAD_CHUNK = 256 << 10


async def upload_volume(
    connection: LibvirtConnection,
    name: str,
    source: Path,
    *,
    pool: str = POOL,
    progress: Progress = SILENT,
) -> tuple[Volume, str]:
    """Copy the image file *source* into a new volume and return it with the SHA-256 of what was read.

    Holes stay holes. *progress* is told and asked after every MiB, from a thread.
    On any error the volume is gone again. Raises Cancelled, QubesManagerError.
    """

    def upload(raw: libvirt.virConnect) -> tuple[Volume, str]:
        size = source.stat().st_size
        xml = volume_xml(name, size, "raw")
        place = raw.storagePoolLookupByName(pool)
        volume = place.createXML(xml, 0)
        try:
            digest = _send(raw, volume, source, size, progress)
            # The volume was made raw so that its size is the file's; a refresh reads the real format.
            refresh_now(place)
        except BaseException:
            with contextlib.suppress(libvirt.libvirtError):
                volume.delete(0)
            raise
        return Volume(pool, name, volume.path()), digest

    try:
        return await connection.call(f"copy the image “{source.name}”", upload, timeout=None)
    except OSError as error:
        raise QubesManagerError(f"cannot read “{source}”: {error.strerror}") from error


def _send(raw: libvirt.virConnect, volume: libvirt.virStorageVol, source: Path, size: int, progress: Progress) -> str:
    digest = hashlib.sha256()
    stream = raw.newStream(0)
    volume.upload(stream, 0, size, libvirt.VIR_STORAGE_VOL_UPLOAD_SPARSE_STREAM)
    failure: list[BaseException] = []
    with source.open("rb", buffering=0) as file:
        reader = _SparseReader(file.fileno(), size)

        def read(_stream: object, count: int, _opaque: object) -> bytes:
            try:
                progress.raise_if_cancelled()
                data = os.read(file.fileno(), min(count, _CHUNK))
                digest.update(data)
                progress.at(os.lseek(file.fileno(), 0, os.SEEK_CUR), size)
                return data
            except BaseException as error:
                failure.append(error)
                raise

        def skip(_stream: object, length: int, _opaque: object) -> int:
            _hash_zeros(digest, length)
            os.lseek(file.fileno(), length, os.SEEK_CUR)
            return 0

        try:
            stream.sparseSendAll(read, lambda *_: list(reader.section()), skip, None)
            stream.finish()
        except BaseException as error:
            with contextlib.suppress(libvirt.libvirtError):
                stream.abort()
            if failure:
                raise failure[0] from error
            if isinstance(error, libvirt.libvirtError):
                raise translate(error, f"copy the image “{source.name}”") from error
            raise
    return digest.hexdigest()


class _SparseReader:
    """Tells data from holes at a file's current offset."""

    def __init__(self, fd: int, size: int) -> None:
        self._fd = fd
        self._size = size

    def section(self) -> tuple[bool, int]:
        """Return whether data is next, and for how many bytes; (False, 0) at the end."""
        here = os.lseek(self._fd, 0, os.SEEK_CUR)
        if here >= self._size:
            return False, 0
        try:
            data = os.lseek(self._fd, here, os.SEEK_DATA)
        except OSError:
            data = self._size
        if data > here:
            os.lseek(self._fd, here, os.SEEK_SET)
            return False, data - here
        hole = os.lseek(self._fd, here, os.SEEK_HOLE)
        os.lseek(self._fd, here, os.SEEK_SET)
        return True, hole - here


def _hash_zeros(digest: "hashlib._Hash", count: int) -> None:
    zeros = bytes(min(count, _CHUNK))
    while count > 0:
        digest.update(zeros[: min(count, _CHUNK)])
        count -= _CHUNK


async def read_volume(
    connection: LibvirtConnection,
    pool: str,
    name: str,
    sink: Callable[[bytes], object],
    *,
    progress: Progress = SILENT,
) -> str:
    """Pass all bytes of a volume's file to *sink*, in a thread, and return their SHA-256; raises Cancelled."""

    def read(raw: libvirt.virConnect) -> str:
        volume = look_up(raw, pool, name)
        total = parse(volume.XMLDesc()).findtext("physical") or "0"
        digest = hashlib.sha256()
        stream = raw.newStream(0)
        volume.download(stream, 0, 0, 0)
        done = 0
        try:
            while data := stream.recv(_DOWNLOAD_CHUNK):
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

    return await connection.call(f"read the volume “{name}”", read, timeout=None)
