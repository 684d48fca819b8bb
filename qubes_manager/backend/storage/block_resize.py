"""Enlarging a running domain's disk."""

import libvirt

from qubes_manager.backend.connection.connection import LibvirtConnection


async def resize_live(connection: LibvirtConnection, uuid: str, name: str, target: str, size: int) -> None:
    """Let the disk *target* of a running domain have *size* bytes; the guest is told at once."""
    await connection.on_domain(
        uuid,
        f"enlarge {target} of “{name}”",
        lambda domain: domain.blockResize(target, size, libvirt.VIR_DOMAIN_BLOCK_RESIZE_BYTES),
    )
