"""How much memory a host has, and how much of it is free."""

import libvirt

from qubes_manager.backend.connection.connection import LibvirtConnection


async def read_memory(connection: LibvirtConnection) -> tuple[int, int]:
    """Return a host's memory and what of it could be used now, in MiB; raises HostCallFailed."""

    def read(raw: libvirt.virConnect) -> tuple[int, int]:
        # KiB; what is cached can be had.
        stats = raw.getMemoryStats(libvirt.VIR_NODE_MEMORY_STATS_ALL_CELLS, 0)
        free = sum(stats.get(name, 0) for name in ("free", "buffers", "cached"))
        return stats.get("total", 0) // 1024, free // 1024

    return await connection.call("read the host’s memory", read)
