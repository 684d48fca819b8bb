"""Storage pools: those of the test driver, and a folder that cannot be made."""

from pathlib import Path

import pytest

from qubes_manager.backend.connection.connection import LibvirtConnection
from qubes_manager.backend.storage.pools import Pool, add_pool, list_pools, remove_pool
from qubes_manager.core.errors import HostCallFailed, NotFound, Refused
from tests.driver import write_host


@pytest.fixture
async def host(tmp_path: Path) -> LibvirtConnection:
    """A host whose only pool has one volume."""
    connection = LibvirtConnection(write_host(tmp_path, [], ["a.qcow2"]), watch=False)
    await connection.open()
    return connection


async def test_a_pool_is_added_and_is_there_at_the_next_start_of_the_host(host: LibvirtConnection) -> None:
    await add_pool(host, "big & slow", "/srv/a & b")
    found = await list_pools(host)
    assert [(p.name, p.driver, p.active, p.path, p.volumes) for p in found] == [
        ("big & slow", "dir", True, "/srv/a & b", 0),
        ("qubes-manager", "dir", True, "/pool", 1),
    ]
    assert found[0].capacity == found[0].allocation + found[0].available > 0
    assert await host.call("ask", lambda raw: raw.storagePoolLookupByName("big & slow").autostart())


async def test_only_a_pool_without_volumes_is_forgotten(host: LibvirtConnection) -> None:
    with pytest.raises(Refused, match="the pool “qubes-manager” has 1 volumes: remove or move them first"):
        await remove_pool(host, "qubes-manager")
    await host.call("empty", lambda raw: raw.storagePoolLookupByName("qubes-manager").listAllVolumes()[0].delete(0))
    await remove_pool(host, "qubes-manager")
    assert await list_pools(host) == []
    with pytest.raises(NotFound, match="the host has no storage pool “qubes-manager”"):
        await remove_pool(host, "qubes-manager")


async def test_one_that_is_not_active_is_listed_and_forgotten_too(host: LibvirtConnection) -> None:
    await host.call("stop", lambda raw: raw.storagePoolLookupByName("qubes-manager").destroy())
    (pool,) = await list_pools(host)
    assert pool == Pool("qubes-manager", "dir", False, "/pool", pool.capacity, pool.allocation, pool.available)
    # That nobody has looked into it does not make it empty.
    with pytest.raises(Refused, match="the pool “qubes-manager” has 1 volumes"):
        await remove_pool(host, "qubes-manager")
    await host.call("empty", lambda raw: raw.storagePoolLookupByName("qubes-manager").listAllVolumes()[0].delete(0))
    await host.call("stop", lambda raw: raw.storagePoolLookupByName("qubes-manager").destroy())
    await remove_pool(host, "qubes-manager")
    assert await list_pools(host) == []


async def test_a_pool_whose_folder_cannot_be_made_is_not_left_defined(qemu: LibvirtConnection) -> None:
    before = await list_pools(qemu)
    with pytest.raises(HostCallFailed, match="cannot add the pool “never”"):
        await add_pool(qemu, "never", "/proc/never")
    assert await list_pools(qemu) == before
