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
from qubes_manager.backend.storage.pool_space import chain_bytes, require_space
from qubes_manager.backend.xml import parse
from qubes_manager.core.errors import HostCallFailed, NotFound, Refused
from qubes_manager.core.text import one_line
from qubes_manager.core.volumes import OwnVolume, Role, volume_format

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
    name: str,
    capacity: int,
    image_format: str,
    backing: str = "",
    backing_format: str = "qcow2",
    secret: str = "",
    allocation: int = 0,
) -> str:
    target = E.target(E.format(type=image_format))
    if image_format == "qcow2":
        target.append(E.compat("1.1"))
    if secret:
        target.append(E.encryption(E.secret(type="passphrase", uuid=secret), format="luks"))
    volume = E.volume(
        E.name(name),
        E.capacity(str(capacity), unit="bytes"),
        # Commonly nothing up front: an image grows as it is written.
        E.allocation(str(allocation), unit="bytes"),
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
        place = active_pool(raw, pool)
        path, below, size = "", "", capacity
        if backing:
            base = place.storageVolLookupByName(backing)
            path, size = base.path(), capacity or base.info()[1]
            require_as_recorded(base, backing)
            below = volume_format(backing)
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


def require_as_recorded(volume: libvirt.virStorageVol, name: str, backing: str | None = None) -> None:
    """Raise Refused when the pool takes the volume *name* for something else than we made.

    libvirt finds format and backing out by reading the file, and does what they say when it copies or resizes it.
    *backing* is the name of the volume below it, empty for none; None leaves it open.
    """
    root = parse(volume.XMLDesc())
    element, wanted = root.find("target/format"), volume_format(name)
    found = element.get("type", "") if element is not None else "raw"
    if found != wanted and (wanted, found) != ("raw", "iso"):
        raise Refused(
            f"“{name}” was made as {wanted}, and now looks like {found}: its guest or another program wrote that; "
            "it is not touched, since it could pull other files of the host into a domain"
        )
    below = (root.findtext("backingStore/path") or "").rpartition("/")[2]
    if backing is not None and below != backing:
        made, stands = (f"“{one_line(other)}”" if other else "nothing" for other in (backing, below))
        raise Refused(
            f"“{name}” was made above {made}, and now stands on {stands}: another program changed that; "
            "it is not touched"
        )


async def copy_volume(
    connection: LibvirtConnection, source: OwnVolume, name: str, pool: str = "", image_format: str = "qcow2"
) -> Volume:
    """Make a whole copy of a volume that nobody writes to, without anything below it; raises HostCallFailed, Refused.

    libvirt has no progress for it, and no way to stop it; *pool* is the source's own where it is empty.
    """

    def copy(raw: libvirt.virConnect) -> Volume:
        original = look_up(raw, source.pool, source.name)
        target = active_pool(raw, pool or source.pool)
        # qemu-img follows what the file says now, so that is what is to be as recorded.
        for name_of_pool in {source.pool, target.name()}:
            refresh_now(active_pool(raw, name_of_pool))
        require_as_recorded(original, source.name, source.backing)
        require_space(target, chain_bytes(raw, original))
        volume = target.createXMLFrom(volume_xml(name, original.info()[1], image_format), original, 0)
        return Volume(pool or source.pool, name, volume.path())

    return await connection.transfer(f"copy the volume “{source.name}”", copy)


def active_pool(raw: libvirt.virConnect, name: str) -> libvirt.virStoragePool:
    """A pool by name, started where it is not; raises NotFound where there is none, HostCallFailed, libvirtError."""
    try:
        pool = raw.storagePoolLookupByName(name)
    except libvirt.libvirtError as error:
        if error.get_error_code() != libvirt.VIR_ERR_NO_STORAGE_POOL:
            raise
        raise NotFound(
            f"the host has no storage pool “{name}”: define it again (virsh pool-define), or use another one"
        ) from error
    if not pool.isActive():
        try:
            pool.create(0)
        except libvirt.libvirtError as error:
            # Somebody else may have started it by now.
            if not pool.isActive():
                raw_text = str(error)
                what = f"the storage pool “{name}” does not start: {raw_text}; put its folder or server right first"
                raise HostCallFailed(what, raw_text) from error
    return pool


async def require_pools(connection: LibvirtConnection, names: Iterable[str]) -> None:
    """Start the pools of those *names* that are not active; raises NotFound, HostCallFailed."""
    wanted = sorted(set(names))

    def start(raw: libvirt.virConnect) -> None:
        for name in wanted:
            active_pool(raw, name)

    await connection.call(f"start the storage pool {', '.join(wanted)}", start, timeout=60)


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
    """Delete a volume; one that is gone already is no error, but a pool that cannot be looked into is.

    Raises NotFound, HostCallFailed.
    """

    def delete(raw: libvirt.virConnect) -> None:
        with absence_allowed():
            look_up(raw, pool, name).delete(0)

    await connection.call(f"delete the volume “{name}”", delete, timeout=120)


def look_up(raw: libvirt.virConnect, pool: str, name: str) -> libvirt.virStorageVol:
    """A volume by name, even one that came behind libvirt's back (a crash, another program); starts its pool.

    Raises NotFound where there is no such pool, libvirtError.
    """
    place = active_pool(raw, pool)
    try:
        return place.storageVolLookupByName(name)
    except libvirt.libvirtError as error:
        if error.get_error_code() != libvirt.VIR_ERR_NO_STORAGE_VOL:
            raise
    refresh_now(place)
    return place.storageVolLookupByName(name)


@contextlib.contextmanager
def absence_allowed() -> Iterator[None]:
    """Let a volume that is gone be no error; a pool that is gone is one, since nothing is known of its volumes."""
    try:
        yield
    except libvirt.libvirtError as error:
        if error.get_error_code() != libvirt.VIR_ERR_NO_STORAGE_VOL:
            raise


async def find_volume(connection: LibvirtConnection, pool: str, name: str) -> Volume | None:
    """Return a volume by name, or None; raises NotFound, HostCallFailed for a pool that cannot be looked into."""

    def find(raw: libvirt.virConnect) -> Volume | None:
        with absence_allowed():
            return Volume(pool, name, look_up(raw, pool, name).path())
        return None

    return await connection.call(f"find the volume “{name}”", find)


async def is_known(connection: LibvirtConnection, pool: str, name: str) -> bool:
    """Whether libvirt knows a volume of that name, without another look at the pool's files."""

    def find(raw: libvirt.virConnect) -> bool:
        with absence_allowed():
            return active_pool(raw, pool).storageVolLookupByName(name) is not None
        return False

    return await connection.call(f"find the volume “{name}”", find)


async def is_there(connection: LibvirtConnection, volume: OwnVolume) -> bool:
    """Whether a volume and its file are there, whoever may have deleted which; raises NotFound, HostCallFailed."""

    def find(raw: libvirt.virConnect) -> bool:
        with absence_allowed():
            look_up(raw, volume.pool, volume.name).info()
            return True
        return False

    return await connection.call(f"find the volume “{volume.name}”", find)


async def volume_paths(connection: LibvirtConnection, volumes: Iterable[OwnVolume]) -> dict[Role, str]:
    """Return the paths of volumes by their role; raises NotFound when one is gone."""
    wanted = list(volumes)

    def read(raw: libvirt.virConnect) -> dict[Role, str]:
        return {v.role: look_up(raw, v.pool, v.name).path() for v in wanted}

    return await connection.call("find the domain’s volumes", read)


async def volume_sizes(connection: LibvirtConnection, pool: str, name: str) -> VolumeSizes | None:
    """Return a volume's sizes, or None when it is gone, or its pool is or does not start."""

    def read(raw: libvirt.virConnect) -> VolumeSizes | None:
        with absence_allowed(), contextlib.suppress(NotFound, HostCallFailed):
            _kind, capacity, allocation = look_up(raw, pool, name).info()
            return VolumeSizes(int(capacity), int(allocation))
        return None

    return await connection.call(f"read the size of the volume “{name}”", read)


async def last_write(connection: LibvirtConnection, volume: OwnVolume) -> str:
    """Return when a volume's file was written to last, as libvirt tells it; to be compared with another such time."""

    def read(raw: libvirt.virConnect) -> str:
        return parse(look_up(raw, volume.pool, volume.name).XMLDesc()).findtext("target/timestamps/mtime") or ""

    return await connection.call(f"look at the volume “{volume.name}”", read)


async def require_unwritten(connection: LibvirtConnection, volume: OwnVolume, before: str) -> None:
    """Raise Refused when a volume was written to since *before*, which ``last_write`` told: a copy of it is torn."""
    if await last_write(connection, volume) != before:
        raise Refused(f"{volume.name} was written to while it was read: shut down who does, and try again")


async def resize_volume(connection: LibvirtConnection, pool: str, name: str, size: int) -> None:
    """Enlarge the volume of a halted domain to *size* bytes; raises Refused when it is not what was made."""

    def resize(raw: libvirt.virConnect) -> None:
        volume = look_up(raw, pool, name)
        require_as_recorded(volume, name)
        volume.resize(size, 0)

    await connection.call(f"resize the volume “{name}”", resize, timeout=60)


async def volume_names(connection: LibvirtConnection, pool: str, *, fresh: bool = False) -> list[str]:
    """Return the names of a pool's volumes; none when there is no such pool.

    With *fresh* libvirt looks at the pool's files again, some of which may have come behind its back.
    """

    def read(raw: libvirt.virConnect) -> list[str]:
        with contextlib.suppress(NotFound):
            place = active_pool(raw, pool)
            if fresh:
                refresh_now(place)
            return sorted(place.listVolumes())
        return []

    return await connection.call("list the volumes", read)
