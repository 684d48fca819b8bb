"""The free space of pools, looked at before bytes go there."""

import os

import libvirt

from qubes_manager.backend.xml import parse
from qubes_manager.core.errors import HostCallFailed
from qubes_manager.core.sizes import format_size

# Others write meanwhile, and running domains need space to go on: a twentieth of the pool, at most this.
_MOST_RESERVE = 256 << 20
# A chain of images of others may be a ring.
_LONGEST_CHAIN = 64


def require_space(pool: libvirt.virStoragePool, wanted: int) -> None:
    """Raise HostCallFailed unless *wanted* bytes and a reserve fit into a pool, as it was last refreshed."""
    free, reserve = _free_and_reserve(pool)
    if wanted + reserve > free:
        raise HostCallFailed(
            f"{format_size(wanted)} are needed, and the pool “{pool.name()}” has {format_size(free)} free, "
            f"{format_size(reserve)} of them kept back: free some space and try again"
        )


def is_full(pool: libvirt.virStoragePool) -> bool:
    """Whether a pool has no more than its reserve, as it was last refreshed."""
    free, reserve = _free_and_reserve(pool)
    return free <= reserve


def _free_and_reserve(pool: libvirt.virStoragePool) -> tuple[int, int]:
    _state, capacity, _allocation, free = pool.info()
    return free, min(_MOST_RESERVE, capacity // 20)


def data_bytes(fd: int) -> int:
    """Return how many bytes of an open file are data and no holes; its offset is at the start then."""
    size, place, data = os.fstat(fd).st_size, 0, 0
    while place < size:
        try:
            begin = os.lseek(fd, place, os.SEEK_DATA)
        except OSError:
            # Nothing but a hole is left.
            break
        place = os.lseek(fd, begin, os.SEEK_HOLE)
        data += place - begin
    os.lseek(fd, 0, os.SEEK_SET)
    return data


def chain_bytes(raw: libvirt.virConnect, volume: libvirt.virStorageVol) -> int:
    """Return the bytes that a volume takes with all below it, which a copy has as a whole."""
    total = 0
    for _ in range(_LONGEST_CHAIN):
        total += volume.info()[2]
        below = parse(volume.XMLDesc()).findtext("backingStore/path")
        if not below:
            break
        try:
            volume = raw.storageVolLookupByPath(below)
        except libvirt.libvirtError:
            break
    return total
