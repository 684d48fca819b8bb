"""The storage pool of ours and the volumes in it."""

import contextlib
import hashlib
import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import libvirt
from lxml import etree

from qubes_manager.backend.connection import LibvirtConnection
from qubes_manager.backend.daemon_paths import daemon_paths
from qubes_manager.backend.libvirt_errors import translate
from qubes_manager.core.errors import NotFound, QubesManagerError

POOL = "qubes-manager"
_CHUNK = 1 << 20

Progress = Callable[[int, int], None]


class Cancelled(QubesManagerError):
    """The user stopped a long job."""


@dataclass(frozen=True, slots=True)
class Volume:
    """A volume: its pool, its name, and the path by which a domain's XML names it."""

    pool: str
    name: str
    path: str


async def ensure_pool(connection: LibvirtConnection) -> None:
    """Make and start our pool where it is not there yet; raises HostCallFailed, NotFound on an unknown host."""
    await connection.call("prepare the storage pool", _ensure_pool_now, connection.uri, timeout=60)


def _ensure_pool_now(raw: libvirt.virConnect, uri: str) -> None:
    try:
        pool = raw.storagePoolLookupByName(POOL)
    except libvirt.libvirtError as error:
        if error.get_error_code() != libvirt.VIR_ERR_NO_STORAGE_POOL:
            raise
        paths = daemon_paths(uri)
        if paths is None:
            raise NotFound(
                f"the host has no storage pool “{POOL}”: make one there (virsh pool-define-as {POOL} dir --target …)"
            ) from None
        pool = raw.storagePoolDefineXML(_pool_xml(paths.volumes), 0)
        pool.build(0)
        with contextlib.suppress(libvirt.libvirtError):
            pool.setAutostart(1)
    if not pool.isActive():
        pool.create(0)


def _pool_xml(folder: Path) -> str:
    pool = etree.Element("pool", type="dir")
    etree.SubElement(pool, "name").text = POOL
    target = etree.SubElement(pool, "target")
    etree.SubElement(target, "path").text = str(folder)
    permissions = etree.SubElement(target, "permissions")
    etree.SubElement(permissions, "mode").text = "0711"
    return etree.tostring(pool, encoding="unicode")


def _volume_xml(name: str, capacity: int, image_format: str) -> str:
    volume = etree.Element("volume")
    etree.SubElement(volume, "name").text = name
    etree.SubElement(volume, "capacity", unit="bytes").text = str(capacity)
    # Nothing up front: an image grows as it is written.
    etree.SubElement(volume, "allocation", unit="bytes").text = "0"
    etree.SubElement(etree.SubElement(volume, "target"), "format", type=image_format)
    return etree.tostring(volume, encoding="unicode")


async def create_volume(connection: LibvirtConnection, name: str, capacity: int, image_format: str = "qcow2") -> Volume:
    """Make an empty volume of *capacity* bytes in our pool; raises HostCallFailed when the name is taken."""

    def create(raw: libvirt.virConnect) -> Volume:
        volume = raw.storagePoolLookupByName(POOL).createXML(_volume_xml(name, capacity, image_format), 0)
        return Volume(POOL, name, volume.path())

    return await connection.call(f"create the volume “{name}”", create, timeout=60)


async def upload_volume(
    connection: LibvirtConnection,
    name: str,
    source: Path,
    *,
    progress: Progress = lambda _done, _total: None,
    cancelled: Callable[[], bool] = lambda: False,
) -> tuple[Volume, str]:
    """Copy the image file *source* into a new volume and return it with the SHA-256 of what was read.

    Holes stay holes. *progress* gets bytes done and in all, from a thread; *cancelled* is asked after every MiB.
    On any error the volume is gone again. Raises Cancelled, QubesManagerError.
    """

    def upload(raw: libvirt.virConnect) -> tuple[Volume, str]:
        size = source.stat().st_size
        xml = _volume_xml(name, size, "raw")
        volume = raw.storagePoolLookupByName(POOL).createXML(xml, 0)
        try:
            digest = _send(raw, volume, source, size, progress, cancelled)
            # The volume was made raw so that its size is the file's; a refresh reads the real format.
            raw.storagePoolLookupByName(POOL).refresh(0)
        except BaseException:
            with contextlib.suppress(libvirt.libvirtError):
                volume.delete(0)
            raise
        return Volume(POOL, name, volume.path()), digest

    try:
        return await connection.call(f"copy the image “{source.name}”", upload, timeout=None)
    except OSError as error:
        raise QubesManagerError(f"cannot read “{source}”: {error.strerror}") from error


def _send(
    raw: libvirt.virConnect,
    volume: libvirt.virStorageVol,
    source: Path,
    size: int,
    progress: Progress,
    cancelled: Callable[[], bool],
) -> str:
    digest = hashlib.sha256()
    stream = raw.newStream(0)
    volume.upload(stream, 0, size, libvirt.VIR_STORAGE_VOL_UPLOAD_SPARSE_STREAM)
    failure: list[BaseException] = []
    with source.open("rb", buffering=0) as file:
        reader = _SparseReader(file.fileno(), size)

        def read(_stream: object, count: int, _opaque: object) -> bytes:
            try:
                if cancelled():
                    raise Cancelled("stopped; nothing was changed")
                data = os.read(file.fileno(), min(count, _CHUNK))
                digest.update(data)
                progress(os.lseek(file.fileno(), 0, os.SEEK_CUR), size)
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


async def delete_volume(connection: LibvirtConnection, pool: str, name: str) -> None:
    """Delete a volume; one that is gone already is no error."""

    def delete(raw: libvirt.virConnect) -> None:
        try:
            raw.storagePoolLookupByName(pool).storageVolLookupByName(name).delete(0)
        except libvirt.libvirtError as error:
            if error.get_error_code() not in (libvirt.VIR_ERR_NO_STORAGE_VOL, libvirt.VIR_ERR_NO_STORAGE_POOL):
                raise

    await connection.call(f"delete the volume “{name}”", delete, timeout=120)


async def find_volume(connection: LibvirtConnection, pool: str, name: str) -> Volume | None:
    """Return a volume by name, or None."""

    def find(raw: libvirt.virConnect) -> Volume | None:
        try:
            return Volume(pool, name, raw.storagePoolLookupByName(pool).storageVolLookupByName(name).path())
        except libvirt.libvirtError as error:
            if error.get_error_code() in (libvirt.VIR_ERR_NO_STORAGE_VOL, libvirt.VIR_ERR_NO_STORAGE_POOL):
                return None
            raise

    return await connection.call(f"find the volume “{name}”", find)


async def volume_allocation(connection: LibvirtConnection, pool: str, name: str) -> int:
    """Return the bytes that a volume takes on the host; 0 when it is gone."""

    def read(raw: libvirt.virConnect) -> int:
        try:
            return int(raw.storagePoolLookupByName(pool).storageVolLookupByName(name).info()[2])
        except libvirt.libvirtError:
            return 0

    return await connection.call(f"read the size of the volume “{name}”", read)


async def volume_names(connection: LibvirtConnection, pool: str) -> list[str]:
    """Return the names of a pool's volumes; none when there is no such pool."""

    def read(raw: libvirt.virConnect) -> list[str]:
        try:
            return sorted(raw.storagePoolLookupByName(pool).listVolumes())
        except libvirt.libvirtError as error:
            if error.get_error_code() == libvirt.VIR_ERR_NO_STORAGE_POOL:
                return []
            raise

    return await connection.call("list the volumes", read)
