"""Disks that come and go on real guests."""

import contextlib
import subprocess
from pathlib import Path

import pytest

from qubes_manager.backend.host.host_tools import run_tool_now
from qubes_manager.backend.host.private_daemon import PrivateDaemon
from qubes_manager.core.devices.block import BlockDevice, DiskRequest
from qubes_manager.core.domain import DomainKey
from qubes_manager.core.errors import HostCallFailed, NotFound, Refused, TimedOut
from tests.integration.conftest import Guest, World
from tests.waiting import shell_wait

pytestmark = pytest.mark.guest


def make_image(folder: Path, name: str = "stick.img") -> Path:
    image = folder / name
    image.write_bytes(bytes(2 << 20))
    image.chmod(0o666)
    return image


@pytest.mark.parametrize("bus", ["virtio", "usb", "scsi"])
async def test_every_bus_takes_a_disk_and_lets_it_go(world: World, guest: Guest, shared_folder: Path, bus: str) -> None:
    shared = await world.appears(guest.name)
    target = await world.block_devices.attach(shared.key, DiskRequest(str(make_image(shared_folder)), False, bus=bus))
    disks = {d.target: d for d in world.store.domains[shared.key].config.disks}
    assert disks[target].bus == bus
    out: list[bytes] = []
    device = "vda" if bus == "virtio" else "sda"
    look = f"{shell_wait(f'[ -b /dev/{device} ]')}; cat /sys/block/{device}/size"
    assert await world.commands.run(shared.key, look, out=out.append) == 0
    assert b"".join(out) == b"4096\n"
    await world.block_devices.detach(shared.key, target)
    assert target not in {d.target for d in world.store.domains[shared.key].config.disks}


async def test_an_image_that_another_domain_has_is_refused_by_name(
    world: World, guest: Guest, fresh: DomainKey, shared_folder: Path
) -> None:
    image = make_image(shared_folder)
    link = shared_folder / "link.img"
    link.symlink_to(image)
    await world.block_devices.attach(fresh, DiskRequest(str(image), False, bus="usb"))
    shared = await world.appears(guest.name)
    for path in (image, link):
        with pytest.raises(Refused, match="“fresh” has it among its disks"):
            await world.block_devices.attach(shared.key, DiskRequest(str(path), False))


def open_files() -> set[str]:
    """The files that any process of this machine has open."""
    found = set()
    for link in Path("/proc").glob("[0-9]*/fd/*"):
        with contextlib.suppress(OSError):
            found.add(str(link.readlink()))
    return found


async def test_a_raw_image_is_bytes_whatever_they_say(world: World, fresh: DomainKey, shared_folder: Path) -> None:
    victim = shared_folder / "victim"
    victim.write_bytes(b"of the user".ljust(1 << 20, b"\0"))
    victim.chmod(0o666)
    stick = make_image(shared_folder)
    lines = ["# Disk DescriptorFile", "version=1", "CID=12345678", "parentCID=ffffffff"]
    lines += ['createType="monolithicFlat"', f'RW 2048 FLAT "{victim}" 0', ""]
    with stick.open("r+b") as file:
        file.write("\n".join(lines).encode())
    target = await world.block_devices.attach(fresh, DiskRequest(str(stick), False))
    await world.lifecycle.start(fresh)
    opened = open_files()
    assert str(stick) in opened
    assert str(victim) not in opened
    await world.lifecycle.kill(fresh)
    await world.block_devices.detach(fresh, target)


async def test_a_qcow2_image_is_attached_where_it_is_said_to_be_one(
    world: World, fresh: DomainKey, shared_folder: Path
) -> None:
    alone, above = shared_folder / "alone.qcow2", shared_folder / "above.qcow2"
    run_tool_now(["qemu-img", "create", "-f", "qcow2", alone, "2M"])
    run_tool_now(["qemu-img", "create", "-f", "qcow2", "-b", alone, "-F", "qcow2", above])
    for image in (alone, above):
        image.chmod(0o666)
    with pytest.raises(Refused, match=f"“above.qcow2” refers to another file, “{alone}”"):
        await world.block_devices.attach(fresh, DiskRequest(str(above), False, "qcow2"))
    shared = await world.appears("fresh")
    await world.lifecycle.start(fresh)
    assert await world.commands.run(fresh, "true") == 0
    await world.block_devices.attach(shared.key, DiskRequest(str(alone), False, "qcow2", bus="virtio"))
    out: list[bytes] = []
    look = f"{shell_wait('[ -b /dev/vda ]')}; cat /sys/block/vda/size"
    assert await world.commands.run(fresh, look, out=out.append) == 0
    assert b"".join(out) == b"4096\n"


async def test_readers_share_an_image(world: World, guest: Guest, fresh: DomainKey, shared_folder: Path) -> None:
    image = str(make_image(shared_folder))
    shared = await world.appears(guest.name)
    await world.block_devices.attach(fresh, DiskRequest(image, False, read_only=True))
    target = await world.block_devices.attach(shared.key, DiskRequest(image, False, read_only=True))
    with pytest.raises(Refused, match="already"):
        await world.block_devices.attach(shared.key, DiskRequest(image, False, read_only=True))
    await world.block_devices.detach(shared.key, target)


async def stored(world: World, key: DomainKey) -> dict[str, str]:
    """The disks that the next start has, with their sources."""
    return {disk.target: disk.source for disk in (await world.properties.stored(key)).config.disks}


async def test_a_guest_that_keeps_a_disk_is_reported(world: World, fresh: DomainKey, shared_folder: Path) -> None:
    assert await world.commands.run(fresh, "true") == 0
    request = DiskRequest(str(make_image(shared_folder)), False, bus="virtio", persistent=True)
    target = await world.block_devices.attach(fresh, request)
    before = await stored(world, fresh)
    # A guest whose CPUs stand still can neither write what it has in memory nor release a PCI device.
    await world.lifecycle.pause(fresh)
    with pytest.raises(Refused, match="stands still"):
        await world.block_devices.detach(fresh, target, timeout=2)
    with pytest.raises(TimedOut, match="does not let go of"):
        await world.block_devices.detach(fresh, target, timeout=2, force=True)
    await world.until(
        lambda: target in {d.target for d in world.store.domains[fresh].config.disks}, "it is still there"
    )
    assert await stored(world, fresh) == before


async def test_a_disk_comes_and_goes_now_and_for_later_or_not_at_all(
    world: World, daemon: PrivateDaemon, fresh: DomainKey, shared_folder: Path
) -> None:
    await world.lifecycle.start(fresh)
    kept, new = make_image(shared_folder, "kept.img"), make_image(shared_folder, "new.img")
    target = await world.block_devices.attach(fresh, DiskRequest(str(kept), False, persistent=True))
    before = await stored(world, fresh)
    # libvirt cannot save a configuration in a folder that it may not write to.
    configs = daemon.folder / "config/libvirt/qemu"
    configs.chmod(0o500)
    try:
        with pytest.raises(HostCallFailed):
            await world.block_devices.detach(fresh, target)
        with pytest.raises(HostCallFailed):
            await world.block_devices.attach(fresh, DiskRequest(str(new), False, persistent=True))
    finally:
        configs.chmod(0o700)
    live = world.store.domains[fresh].config.disks

    def now() -> dict[str, str]:
        return {d.target: d.source for d in world.store.domains[fresh].config.disks}

    await world.until(lambda: now() == before, f"the guest has what it had: {live}")
    assert await stored(world, fresh) == before
    await world.block_devices.detach(fresh, target)
    assert await stored(world, fresh) == {}


async def test_a_persistent_disk_is_there_at_the_next_start_and_another_is_not(
    world: World, fresh: DomainKey, shared_folder: Path
) -> None:
    await world.lifecycle.start(fresh)
    kept, passing = make_image(shared_folder, "kept.img"), make_image(shared_folder, "passing.img")
    await world.block_devices.attach(fresh, DiskRequest(str(kept), False, persistent=True))
    await world.block_devices.attach(fresh, DiskRequest(str(passing), False))
    await world.lifecycle.kill(fresh)
    sources = [d.source for d in world.store.domains[fresh].config.disks]
    assert sources == [str(kept)]


async def test_the_hosts_own_disks_are_listed_and_refused(world: World, fresh: DomainKey) -> None:
    mounted = subprocess.run(["findmnt", "-no", "SOURCE", "/"], capture_output=True, text=True).stdout.strip()
    listed = await world.block_devices.offered(world.uri)
    offered = {one.device.path: one for one in listed if isinstance(one.device, BlockDevice)}
    if mounted not in offered:
        pytest.skip("the root file system of this machine is not on a block device that libvirt lists")
    assert "mounted at /" in offered[mounted].used_by
    with pytest.raises(Refused, match=f"dom0 uses {mounted}: mounted at /"):
        await world.block_devices.attach(fresh, DiskRequest(mounted, True))
    with pytest.raises(NotFound, match="no block device /dev/nothing"):
        await world.block_devices.attach(fresh, DiskRequest("/dev/nothing", True))


async def test_the_disk_that_a_domain_is_made_of_stays(world: World, shared_folder: Path) -> None:
    from qubes_manager.core.creation_request import CreationRequest

    image = shared_folder / "system.qcow2"
    run_tool_now(["qemu-img", "create", "-f", "qcow2", image, "64M"])
    key = await world.creation.create(
        world.uri, CreationRequest("made", "blue", image=image, netvm="", memory=128, graphics=False)
    )
    try:
        with pytest.raises(Refused, match="is made of"):
            await world.block_devices.detach(key, "vda")
    finally:
        await world.removal.remove(key)


async def test_a_disc_goes_in_and_out(world: World, shared_folder: Path) -> None:
    from qubes_manager.core.creation_request import CreationRequest

    image = shared_folder / "system.qcow2"
    run_tool_now(["qemu-img", "create", "-f", "qcow2", image, "64M"])
    disc = make_image(shared_folder, "disc.iso")
    key = await world.creation.create(
        world.uri, CreationRequest("made", "blue", image=image, netvm="", memory=128, graphics=False)
    )
    try:
        drive = next(d.target for d in world.store.domains[key].config.disks if d.kind == "cdrom")
        await world.lifecycle.start(key)
        await world.block_devices.insert(key, drive, str(disc))
        assert (await stored(world, key))[drive] == str(disc)
        assert next(d.source for d in world.store.domains[key].config.disks if d.target == drive) == str(disc)
        await world.block_devices.eject(key, drive)
        assert (await stored(world, key))[drive] == ""
        assert next(d.source for d in world.store.domains[key].config.disks if d.target == drive) == ""
        await world.lifecycle.kill(key)
    finally:
        await world.removal.remove(key)
