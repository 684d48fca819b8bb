"""Reaching into a running QEMU, where a test needs no guest for what a guest would do."""

import asyncio
import os
import signal
import subprocess

import libvirt
import libvirt_qemu

from qubes_manager.backend.host.private_daemon import PrivateDaemon
from qubes_manager.core.domain import DomainKey
from tests.integration.conftest import World
from tests.waiting import soon

HMP = libvirt_qemu.VIR_DOMAIN_QEMU_MONITOR_COMMAND_HMP
# Where the file system of 16 MiB has nothing but free blocks.
PLACE = 12 << 20
DISK = "/machine/peripheral/virtio-disk0/virtio-backend"


async def monitor(world: World, key: DomainKey, line: str) -> str:
    """Send one line to QEMU's monitor."""

    def send(domain: libvirt.virDomain) -> str:
        return str(libvirt_qemu.qemuMonitorCommand(domain, line, HMP))

    return await world.hosts.connection(key.connection).on_domain(key.uuid, "reach QEMU", send)


async def write_byte(world: World, key: DomainKey, value: int) -> None:
    """Write a block of that byte onto the running domain's first disk."""
    for command in (f"write -P {value} {PLACE} 4096", "flush"):
        assert await monitor(world, key, f'qemu-io -d {DISK} "{command}"') == ""


async def reads_byte(world: World, key: DomainKey, value: int) -> bool:
    """Whether the running domain's first disk has a block of that byte there, as its files have it."""
    await world.hosts.refresh(key)
    source = world.store.domains[key].config.disks[0].source
    command = f"read -P {value} {PLACE} 4096"
    # QEMU's monitor has no answer to a read; -U reads what another process has open.
    argv = ["qemu-io", "-U", "-r", "-c", command, source]
    done = await asyncio.to_thread(subprocess.run, argv, capture_output=True, text=True, check=False)
    assert "read 4096" in done.stdout, done
    return "verification failed" not in done.stdout


async def quit_cleanly(world: World, daemon: PrivateDaemon, key: DomainKey) -> None:
    """Let QEMU end in order, as it does when its guest has shut down, and wait until libvirt has seen it."""
    os.kill(daemon.qemu_pid(world.store.domains[key].name), signal.SIGTERM)
    async with soon():
        while True:
            await world.hosts.refresh(key)
            domain = world.store.get(key)
            if domain is None or not domain.state.is_active:
                return
            await asyncio.sleep(0.05)
