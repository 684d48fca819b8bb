"""Domains that stop by themselves, for real: a disk without room, and a guest whose kernel panics."""

import contextlib
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from qubes_manager.core.domain import DomainKey, DomainState
from qubes_manager.core.errors import GuestError, Refused
from qubes_manager.core.pauses import DiskError, Pause
from tests.integration.conftest import Run, World

pytestmark = pytest.mark.guest
# Writes more than there is room for; what is vdb to libvirt is its only disk to the guest.
FILL = "modprobe virtio_blk; dd if=/dev/zero of=/dev/vda bs=64k count=128 conv=fsync"
# Asks QEMU's panic device (docs/specs/pvpanic) as a guest's kernel does that has crashed.
PANIC = r"printf '\001' | dd of=/dev/port bs=1 seek=1285 count=1"


@pytest.fixture
def small_folder(shared_folder: Path) -> Iterator[Path]:
    """A file system of four MiB, which the guests' user may write to."""
    folder = shared_folder / "small"
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=4m,mode=777", "tmpfs", str(folder)]
    if os.geteuid() != 0 or subprocess.run(mount, capture_output=True, check=False).returncode:
        pytest.skip("only root can mount the small file system that this needs")
    yield folder
    subprocess.run(["umount", str(folder)], check=True)


async def add_device(world: World, key: DomainKey, xml: str) -> None:
    await world.hosts.connection(world.uri).on_domain(key.uuid, "add", lambda domain: domain.attachDeviceFlags(xml, 2))
    await world.hosts.refresh(key)


async def run_in_background(world: World, key: DomainKey, command: str) -> None:
    await world.commands.run(key, f"({command}) >/dev/null 2>&1 &", user="root", startup_timeout=90)


async def test_a_disk_without_room_is_named_wherever_the_pause_is_shown_until_there_is_room(
    world: World, small_folder: Path, fresh: DomainKey, run: Run
) -> None:
    image = small_folder / "small.img"
    image.touch()
    image.chmod(0o666)
    os.truncate(image, 16 << 20)
    disk = f"<disk type='file' device='disk'><driver name='qemu' type='raw'/><source file='{image}'/>"
    await add_device(world, fresh, f"{disk}<target dev='vdb' bus='virtio'/></disk>")
    await world.lifecycle.start(fresh)
    await run_in_background(world, fresh, FILL)
    await world.until(lambda: world.store.domains[fresh].disk_errors, "the disk is known")
    stopped = world.store.domains[fresh]
    assert (stopped.state, stopped.pause) == (DomainState.PAUSED, Pause.IO_ERROR)
    assert stopped.disk_errors == (DiskError("vdb", True),)
    assert stopped.state_text == "Paused: no space for vdb"
    # Who comes later learns it too, though no event tells any more.
    line = next(line for line in run("qvm-ls").stdout.splitlines() if line.startswith("fresh "))
    assert line.endswith("no space for vdb")
    assert "fresh|Paused|" in run("qvm-ls", "--raw-data").stdout
    assert run("qvm-ls", "--raw-data", "-O", "name,reason", "fresh").stdout.strip() == "fresh|no space for vdb"
    again = run("qvm-unpause", "fresh")
    assert again.returncode == 1
    assert "“fresh” paused again at once: no space for vdb" in again.stderr
    with pytest.raises(Refused, match="paused again at once: no space for vdb"):
        await world.lifecycle.start(fresh)
    assert world.store.domains[fresh].state_text == "Paused: no space for vdb"
    subprocess.run(["mount", "-o", "remount,size=32m", str(small_folder)], check=True)
    assert run("qvm-unpause", "fresh").returncode == 0
    await world.until(lambda: world.store.domains[fresh].state is DomainState.RUNNING, "it runs")
    assert (world.store.domains[fresh].reason, world.store.domains[fresh].disk_errors) == ("", ())
    await world.lifecycle.pause(fresh)
    assert world.store.domains[fresh].state_text == "Paused: by the user"


async def test_a_guest_that_panics_and_is_kept_stands_still_and_is_not_taken_for_halted(
    world: World, fresh: DomainKey
) -> None:
    def keep(raw: object) -> None:
        domain = world.hosts.connection(world.uri).handles[fresh.uuid]
        xml = domain.XMLDesc().replace("<on_crash>destroy<", "<on_crash>preserve<")
        domain.connect().defineXML(xml.replace("</devices>", "<panic model='isa'/></devices>"))

    await world.hosts.connection(world.uri).call("keep", keep)
    await world.lifecycle.start(fresh)
    # Its agent may not come to say that the command was started.
    with contextlib.suppress(GuestError):
        await run_in_background(world, fresh, PANIC)
    await world.until(lambda: world.store.domains[fresh].pause is Pause.PANIC, "it has panicked")
    assert world.store.domains[fresh].state_text == "Paused: its system has crashed (panic)"
    assert world.store.domains[fresh].state.is_active
    await world.lifecycle.kill(fresh)
    assert world.store.domains[fresh].state is DomainState.HALTED
