"""How much space an image takes, and whether it is there."""

import os
from pathlib import Path

import libvirt
import pytest

from qubes_manager.backend.connection.connection import LibvirtConnection
from qubes_manager.backend.storage import pool_space
from qubes_manager.backend.storage.volume_store import ensure_pool
from qubes_manager.core.errors import HostCallFailed

MIB, GIB = 1 << 20, 1 << 30


class Pool:
    """Stands for a pool of a size that is not to be had."""

    def __init__(self, capacity: int, free: int) -> None:
        self._figures = [2, capacity, capacity - free, free]

    def name(self) -> str:
        return "pool"

    def info(self) -> list[int]:
        return self._figures


@pytest.mark.parametrize(
    ("capacity", "free", "wanted", "fits"),
    [
        (100 * GIB, GIB, GIB - 256 * MIB, True),
        (100 * GIB, GIB, GIB - 256 * MIB + 1, False),
        # A small pool keeps a twentieth back.
        (100 * MIB, 50 * MIB, 45 * MIB, True),
        (100 * MIB, 50 * MIB, 45 * MIB + 1, False),
        (100 * GIB, 0, 0, False),
    ],
)
def test_a_reserve_is_kept_back(capacity: int, free: int, wanted: int, fits: bool) -> None:
    pool = Pool(capacity, free)
    if fits:
        pool_space.require_space(pool, wanted)
        return
    with pytest.raises(HostCallFailed, match="free some space and try again"):
        pool_space.require_space(pool, wanted)


def test_a_pool_with_its_reserve_alone_is_full() -> None:
    assert pool_space.is_full(Pool(100 * MIB, 5 * MIB))
    assert not pool_space.is_full(Pool(100 * MIB, 5 * MIB + 1))


def test_holes_are_no_data(tmp_path: Path) -> None:
    path = tmp_path / "image"
    with path.open("wb") as file:
        file.write(os.urandom(MIB))
        file.seek(9 * MIB, os.SEEK_CUR)
        file.write(os.urandom(MIB))
        file.truncate(20 * MIB)
    with path.open("rb") as file:
        assert pool_space.data_bytes(file.fileno()) == 2 * MIB
        assert file.tell() == 0


async def test_a_chain_counts_as_a_whole(qemu: LibvirtConnection) -> None:
    def measure(raw: libvirt.virConnect) -> tuple[int, int, int]:
        folder = Path(raw.storagePoolLookupByName("qubes-manager").XMLDesc().split("<path>")[1].split("<")[0])
        xml = "<volume><name>{}</name><capacity>1048576</capacity><target><format type='qcow2'/></target>{}</volume>"
        pool = raw.storagePoolLookupByName("qubes-manager")
        base = pool.createXML(xml.format("chain-a.qcow2", ""), 0)
        below = f"<backingStore><path>{folder}/chain-a.qcow2</path><format type='qcow2'/></backingStore>"
        top = pool.createXML(xml.format("chain-b.qcow2", below), 0)
        try:
            return base.info()[2], top.info()[2], pool_space.chain_bytes(raw, top)
        finally:
            top.delete(0)
            base.delete(0)

    await ensure_pool(qemu)
    base, top, both = await qemu.call("measure", measure)
    assert both == base + top > 0
