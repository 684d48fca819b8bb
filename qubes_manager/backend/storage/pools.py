"""libvirt's storage pools: what there are, making and forgetting them."""

from dataclasses import dataclass

import libvirt
from lxml import etree
from lxml.builder import E

from qubes_manager.backend.connection.connection import LibvirtConnection
from qubes_manager.backend.storage.volume_store import active_pool
from qubes_manager.backend.xml import parse
from qubes_manager.core.errors import Refused

# The drivers whose volumes are files, which revisions and throw-away disks need.
DRIVERS = {"dir": "a folder on the host", "fs": "a file system that libvirt mounts", "netfs": "a network file system"}


@dataclass(frozen=True, slots=True)
class Pool:
    """A storage pool; sizes in bytes."""

    name: str
    driver: str
    active: bool
    path: str = ""
    capacity: int = 0
    allocation: int = 0
    available: int = 0
    volumes: int = 0


async def list_pools(connection: LibvirtConnection) -> list[Pool]:
    """Return all pools of a host, by name."""

    def read(raw: libvirt.virConnect) -> list[Pool]:
        return sorted((_read(pool) for pool in raw.listAllStoragePools()), key=lambda pool: pool.name)

    return await connection.call("list the storage pools", read)


def _read(pool: libvirt.virStoragePool) -> Pool:
    root = parse(pool.XMLDesc())
    active = bool(pool.isActive())
    _state, capacity, allocation, available = pool.info()
    path = root.findtext("target/path") or ""
    count = pool.numOfVolumes() if active else 0
    return Pool(pool.name(), root.get("type", ""), active, path, capacity, allocation, available, count)


async def add_pool(connection: LibvirtConnection, name: str, folder: str) -> None:
    """Define and start a pool of files in *folder*, which is made where it is not there."""

    def add(raw: libvirt.virConnect) -> None:
        root = E.pool(E.name(name), E.target(E.path(folder)), type="dir")
        pool = raw.storagePoolDefineXML(etree.tostring(root, encoding="unicode"), 0)
        try:
            pool.build(0)
            pool.create(0)
            pool.setAutostart(1)
        except libvirt.libvirtError:
            pool.undefine()
            raise

    await connection.call(f"add the pool “{name}”", add, timeout=60)


async def remove_pool(connection: LibvirtConnection, name: str) -> None:
    """Let libvirt forget an empty pool; its folder stays.

    Raises Refused when it has volumes, and HostCallFailed when nobody can see whether it has (virsh pool-undefine).
    """

    def remove(raw: libvirt.virConnect) -> None:
        pool = active_pool(raw, name)
        pool.refresh(0)
        if count := pool.numOfVolumes():
            raise Refused(f"the pool “{name}” has {count} volumes: remove or move them first")
        pool.destroy()
        pool.undefine()

    await connection.call(f"remove the pool “{name}”", remove, timeout=60)
