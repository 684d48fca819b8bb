"""Disks that come and go on real guests."""

import subprocess
from pathlib import Path

import pytest

from qubes_manager.backend.host.host_tools import run_tool_now
from qubes_manager.core.devices import DiskRequest
from qubes_manager.core.domain import DomainKey
from qubes_manager.core.errors import NotFound, Refused, TimedOut
from tests.integration.conftest import Guest, World

pytestmark = pytest.mark.guest


def make_image(folder: Path, name: str = "stick.img") -> Path:
    image = folder / name
    image.write_bytes(bytes(2 << 20))
    image.chmod(0o666)
    return image


@pytest.mark.parametrize("bus", ["virtio", "usb", "scsi"])
async def test_every_bus_takes_a_disk_and_lets_it_go(world: World, guest: Guest, shared_folder: Path, bus: str) -> None:
    shared = await world.appears(guest.name)
    target = await world.devices.attach(shared.key, DiskRequest(str(make_image(shared_folder)), False, bus=bus))
    disks = {d.target: d for d in world.store.domains[shared.key].config.disks}
    assert disks[target].bus == bus
    out: list[bytes] = []
    device = "vda" if bus == "virtio" else "sda"
    look = f"for i in $(seq 50); do [ -b /dev/{device} ] && break; sleep 0.1; done; cat /sys/block/{device}/size"
    assert await world.commands.run(shared.key, look, out=out.append) == 0
    assert b"".join(out) == b"4096\n"
    await world.devices.detach(shared.key, target)
    assert target not in {d.target for d in world.store.domains[shared.key].config.disks}


async def test_an_image_that_another_domain_has_is_refused_by_name(
    world: World, guest: Guest, fresh: DomainKey, shared_folder: Path
) -> None:
    image = make_image(shared_folder)
    link = shared_folder / "link.img"
    link.symlink_to(image)
    await world.devices.attach(fresh, DiskRequest(str(image), False, bus="usb"))
    shared = await world.appears(guest.name)
    for path in (image, link):
        with pytest.raises(Refused, match="“fresh” has it among its disks"):
            await world.devices.attach(shared.key, DiskRequest(str(path), False))


async def test_readers_share_an_image(world: World, guest: Guest, fresh: DomainKey, shared_folder: Path) -> None:
    image = str(make_image(shared_folder))
    shared = await world.appears(guest.name)
    await world.devices.attach(fresh, DiskRequest(image, False, read_only=True))
    target = await world.devices.attach(shared.key, DiskRequest(image, False, read_only=True))
    with pytest.raises(Refused, match="already"):
        await world.devices.attach(shared.key, DiskRequest(image, False, read_only=True))
    await world.devices.detach(shared.key, target)


async def test_a_guest_that_keeps_a_disk_is_reported(world: World, fresh: DomainKey, shared_folder: Path) -> None:
    assert await world.commands.run(fresh, "true") == 0
    target = await world.devices.attach(fresh, DiskRequest(str(make_image(shared_folder)), False, bus="virtio"))
    # A guest whose CPUs stand still cannot answer the request to release a PCI device.
    await world.lifecycle.pause(fresh)
    with pytest.raises(TimedOut, match="does not let go of"):
        await world.devices.detach(fresh, target, timeout=2)
    await world.until(
        lambda: target in {d.target for d in world.store.domains[fresh].config.disks}, "it is still there"
    )


async def test_a_persistent_disk_is_there_at_the_next_start_and_another_is_not(
    world: World, fresh: DomainKey, shared_folder: Path
) -> None:
    await world.lifecycle.start(fresh)
    kept, passing = make_image(shared_folder, "kept.img"), make_image(shared_folder, "passing.img")
    await world.devices.attach(fresh, DiskRequest(str(kept), False, persistent=True))
    await world.devices.attach(fresh, DiskRequest(str(passing), False))
    await world.lifecycle.kill(fresh)
    sources = [d.source for d in world.store.domains[fresh].config.disks]
    assert sources == [str(kept)]


async def test_the_hosts_own_disks_are_listed_and_refused(world: World, fresh: DomainKey) -> None:
    mounted = subprocess.run(["findmnt", "-no", "SOURCE", "/"], capture_output=True, text=True).stdout.strip()
    offered = {o.device.path: o for o in await world.devices.offered(world.uri)}
    if mounted not in offered:
        pytest.skip("the root file system of this machine is not on a block device that libvirt lists")
    assert "mounted at /" in offered[mounted].used_by
    with pytest.raises(Refused, match=f"dom0 uses {mounted}: mounted at /"):
        await world.devices.attach(fresh, DiskRequest(mounted, True))
    with pytest.raises(NotFound, match="no block device /dev/nothing"):
        await world.devices.attach(fresh, DiskRequest("/dev/nothing", True))


async def test_the_disk_that_a_domain_is_made_of_stays(world: World, shared_folder: Path) -> None:
    from qubes_manager.core.creation_request import CreationRequest

    image = shared_folder / "system.qcow2"
    run_tool_now(["qemu-img", "create", "-f", "qcow2", image, "64M"])
    key = await world.creation.create(
        world.uri, CreationRequest("made", "blue", image=image, netvm="", memory=128, graphics=False)
    )
    try:
        with pytest.raises(Refused, match="is made of"):
            await world.devices.detach(key, "vda")
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
        await world.devices.insert(key, drive, str(disc))
        assert next(d.source for d in world.store.domains[key].config.disks if d.target == drive) == str(disc)
        await world.devices.eject(key, drive)
        assert next(d.source for d in world.store.domains[key].config.disks if d.target == drive) == ""
        await world.lifecycle.kill(key)
    finally:
        await world.removal.remove(key)
