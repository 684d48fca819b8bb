"""The storage pool of ours and the volumes in it."""

import contextlib
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import libvirt
from lxml import etree
from lxml.builder import E

from qubes_manager.backend.connection.connection import LibvirtConnection
from qubes_manager.backend.host.daemon_paths import daemon_paths
from qubes_manager.backend.xml import parse
from qubes_manager.core.errors import NotFound
from qubes_manager.core.volume_use import TRANSIENT
from qubes_manager.core.volumes import OwnVolume, Role

POOL = "qubes-manager"
REFRESH_TRIES, REFRESH_PAUSE = 600, 0.2
ENCRYPTION_TRIES = 20


@dataclass(frozen=True, slots=True)
class Volume:
    """A volume: its pool, its name, and the path by which a domain's XML names it."""

    pool: str
    name: str
    path: str


@dataclass(frozen=True, slots=True)
class VolumeSizes:
    """Bytes as the guest sees them, and as the host's file system gives them."""

    capacity: int
    allocation: int


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
    target = E.target(E.path(str(folder)), E.permissions(E.mode("0711")))
    pool = E.pool(E.name(POOL), target, type="dir")
    return etree.tostring(pool, encoding="unicode")


def volume_xml(
    name: str, capacity: int, image_format: str, backing: str = "", backing_format: str = "qcow2", secret: str = ""
) -> str:
    target = E.target(E.format(type=image_format))
    if secret:
        target.append(E.encryption(E.secret(type="passphrase", uuid=secret), format="luks"))
    volume = E.volume(
        E.name(name),
        E.capacity(str(capacity), unit="bytes"),
        # Nothing up front: an image grows as it is written.
        E.allocation("0", unit="bytes"),
        target,
    )
    if backing:
        volume.append(E.backingStore(E.path(backing), E.format(type=backing_format)))
    return etree.tostring(volume, encoding="unicode")


async def create_volume(
    connection: LibvirtConnection,
    name: str,
    capacity: int,
    image_format: str = "qcow2",
    *,
    pool: str = POOL,
    backing: str = "",
    secret: str = "",
) -> Volume:
    """Make an empty volume of *capacity* bytes; raises HostCallFailed when the name is taken.

    With *backing*, a volume of the same pool by name, it starts out as that one, which nobody may write to any more;
    a *capacity* of 0 then means the same size. *secret* is the UUID of the libvirt secret that encrypts it.
    """

    def create(raw: libvirt.virConnect) -> Volume:
        place = raw.storagePoolLookupByName(pool)
        path, below, size = "", "", capacity
        if backing:
            base = place.storageVolLookupByName(backing)
            path, size = base.path(), capacity or base.info()[1]
            found = parse(base.XMLDesc()).find("target/format")
            below = found.get("type", "") if found is not None else ""
        xml = volume_xml(name, size, image_format, path, below, secret)
        volume = _create_encrypted(place, xml) if secret else place.createXML(xml, 0)
        return Volume(pool, name, volume.path())

    return await connection.call(f"create the volume “{name}”", create, timeout=60)


def _create_encrypted(place: libvirt.virStoragePool, xml: str) -> libvirt.virStorageVol:
    """Make an encrypted volume.

    To choose the strength of its key, qemu-img measures the processor, and gives up on a busy machine where a little
    later it does not (qcrypto_pbkdf2_count_iters).
    """
    for _ in range(ENCRYPTION_TRIES):
        try:
            return place.createXML(xml, 0)
        except libvirt.libvirtError as error:
            if "accurate CPU usage" not in str(error):
                raise
            time.sleep(REFRESH_PAUSE)
    return place.createXML(xml, 0)


async def copy_volume(
    connection: LibvirtConnection, source: OwnVolume, name: str, pool: str = "", image_format: str = "qcow2"
) -> Volume:
    """Make a whole copy of a volume that nobody writes to, without anything below it; raises HostCallFailed.

    libvirt has no progress for it, and no way to stop it; *pool* is the source's own where it is empty.
    """

    def copy(raw: libvirt.virConnect) -> Volume:
        original = raw.storagePoolLookupByName(source.pool).storageVolLookupByName(source.name)
        target = raw.storagePoolLookupByName(pool or source.pool)
        volume = target.createXMLFrom(volume_xml(name, original.info()[1], image_format), original, 0)
        return Volume(pool or source.pool, name, volume.path())

    return await connection.call(f"copy the volume “{source.name}”", copy, timeout=None)


def refresh_now(pool: libvirt.virStoragePool) -> None:
    """Let libvirt look at a pool's files again; while it copies a volume there it refuses, so try for a while."""
    for _ in range(REFRESH_TRIES):
        try:
            pool.refresh(0)
        except libvirt.libvirtError as error:
            if "asynchronous jobs" not in str(error):
                raise
            time.sleep(REFRESH_PAUSE)
        else:
            return


async def delete_volume(connection: LibvirtConnection, pool: str, name: str) -> None:
    """Delete a volume; one that is gone already is no error."""

    def delete(raw: libvirt.virConnect) -> None:
        with _absence_allowed():
            look_up(raw, pool, name).delete(0)

    await connection.call(f"delete the volume “{name}”", delete, timeout=120)


def look_up(raw: libvirt.virConnect, pool: str, name: str) -> libvirt.virStorageVol:
    """A volume by name, even one that came behind libvirt's back (a crash, another program)."""
    place = raw.storagePoolLookupByName(pool)
    try:
        return place.storageVolLookupByName(name)
    except libvirt.libvirtError as error:
        if error.get_error_code() != libvirt.VIR_ERR_NO_STORAGE_VOL:
            raise
    refresh_now(place)
    return place.storageVolLookupByName(name)


@contextlib.contextmanager
def _absence_allowed() -> Iterator[None]:
    try:
        yield
    except libvirt.libvirtError as error:
        if error.get_error_code() not in (libvirt.VIR_ERR_NO_STORAGE_VOL, libvirt.VIR_ERR_NO_STORAGE_POOL):
            raise


async def find_volume(connection: LibvirtConnection, pool: str, name: str) -> Volume | None:
    """Return a volume by name, or None."""

    def find(raw: libvirt.virConnect) -> Volume | None:
        with _absence_allowed():
            return Volume(pool, name, raw.storagePoolLookupByName(pool).storageVolLookupByName(name).path())
        return None

    return await connection.call(f"find the volume “{name}”", find)


async def volume_paths(connection: LibvirtConnection, volumes: Iterable[OwnVolume]) -> dict[Role, str]:
    """Return the paths of volumes by their role; raises NotFound when one is gone."""
    wanted = list(volumes)

    def read(raw: libvirt.virConnect) -> dict[Role, str]:
        return {v.role: look_up(raw, v.pool, v.name).path() for v in wanted}

    return await connection.call("find the domain’s volumes", read)


async def volume_sizes(connection: LibvirtConnection, pool: str, name: str) -> VolumeSizes | None:
    """Return a volume's sizes, or None when it is gone."""

    def read(raw: libvirt.virConnect) -> VolumeSizes | None:
        with _absence_allowed():
            _kind, capacity, allocation = look_up(raw, pool, name).info()
            return VolumeSizes(int(capacity), int(allocation))
        return None

    return await connection.call(f"read the size of the volume “{name}”", read)


async def resize_volume(connection: LibvirtConnection, pool: str, name: str, size: int) -> None:
    """Enlarge the volume of a halted domain to *size* bytes."""

    def resize(raw: libvirt.virConnect) -> None:
        look_up(raw, pool, name).resize(size, 0)

    await connection.call(f"resize the volume “{name}”", resize, timeout=60)


async def clear_leftovers(connection: LibvirtConnection, volumes: Iterable[OwnVolume], domain: str) -> list[str]:
    """Delete what throw-away disks of the halted *domain* left when the host crashed; returns the files' names.

    libvirt names them after the disk's file and the domain, and starts no domain over them (libvirt issue 684).
    """
    wanted = [(v.pool, v.name) for v in volumes]

    def clear(raw: libvirt.virConnect) -> list[str]:
        found = []
        for pool, name in wanted:
            leftover = f"{name}{TRANSIENT}{domain}"
            with _absence_allowed():
                look_up(raw, pool, leftover).delete(0)
                found.append(leftover)
        return found

    return await connection.call(f"clear leftovers of “{domain}”", clear, timeout=60)


async def volume_names(connection: LibvirtConnection, pool: str) -> list[str]:
    """Return the names of a pool's volumes; none when there is no such pool."""

    def read(raw: libvirt.virConnect) -> list[str]:
        with _absence_allowed():
            return sorted(raw.storagePoolLookupByName(pool).listVolumes())
        return []

    return await connection.call("list the volumes", read)
