"""Who may have a device or an image. What libvirt makes of it is in tests/integration/test_block_devices.py."""

import uuid
from dataclasses import replace
from pathlib import Path

import pytest

from qubes_manager.backend.domains import disks
from qubes_manager.backend.domains.new_domain import DiskSpec, NewDomain
from qubes_manager.backend.host.host_tools import run_tool_now
from qubes_manager.core.devices.block import OPTICAL_DRIVE, BlockDevice, DiskRequest
from qubes_manager.core.domain import DomainClass, DomainConfig
from qubes_manager.core.errors import BadInput, NotFound, QubesManagerError, Refused
from qubes_manager.core.volumes import OwnVolume, Role
from qubes_manager.services.devices import block_devices
from qubes_manager.services.devices.kind import Holder, Offered
from tests.build import domain
from tests.driver import FOLDER, RUNNING
from tests.services.conftest import MakeWorld, World

PRIVATE = OwnVolume(Role.PRIVATE, "qubes-manager", "work.private.qcow2")


@pytest.fixture
async def world(driver_world: MakeWorld, tmp_path: Path) -> World:
    """work is made of a volume of ours and runs; mail has the image mail.img and is halted."""
    run_tool_now(["qemu-img", "create", "-f", "raw", tmp_path / "mail.img", "1M"])
    mine, theirs = DiskSpec(f"{FOLDER}/{PRIVATE.name}"), DiskSpec(str(tmp_path / "mail.img"), "raw")
    domains = [
        NewDomain("work", DomainConfig(volumes=(PRIVATE,)), disks=(mine, DiskSpec("", "raw", cdrom=True))),
        NewDomain("mail", DomainConfig(), disks=(theirs,)),
    ]
    return await driver_world(domains, states={"work": RUNNING})


def image(path: Path, **changes: object) -> DiskRequest:
    return replace(DiskRequest(str(path), is_device=False), **changes)  # type: ignore[arg-type]


async def test_an_image_that_another_domain_has_is_refused_under_every_name_of_it(world: World, tmp_path: Path) -> None:
    (tmp_path / "link.img").symlink_to(tmp_path / "mail.img")
    for name in ("mail.img", "link.img"):
        with pytest.raises(Refused, match="“mail” has it among its disks and would use"):
            await world.block_devices.attach(world.named("work").key, image(tmp_path / name))
    # Nor may one that only reads join one that writes.
    with pytest.raises(Refused, match="“mail” has it among its disks"):
        await world.block_devices.attach(world.named("work").key, image(tmp_path / "mail.img", read_only=True))
    with pytest.raises(Refused, match=r"“mail” has .*mail\.img already, as vda"):
        await world.block_devices.attach(world.named("mail").key, image(tmp_path / "mail.img"))


@pytest.mark.parametrize(
    ("request_", "error", "reason"),
    [
        (DiskRequest("/no/image", False), NotFound, "there is no file “/no/image”"),
        (DiskRequest("/dev/nothing", True), NotFound, "the host has no block device /dev/nothing"),
        (DiskRequest("/no/image", False, bus="ide"), BadInput, "bus: 'ide' cannot be used"),
    ],
)
async def test_what_is_not_there_is_said(
    world: World, request_: DiskRequest, error: type[QubesManagerError], reason: str
) -> None:
    with pytest.raises(error, match=reason):
        await world.block_devices.attach(world.named("work").key, request_)


async def test_a_device_that_the_host_uses_or_that_can_only_be_read_is_refused(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    # This machine's own devices are what they are.
    found = [BlockDevice("/dev/sdy", in_use="mounted at /home"), BlockDevice("/dev/sr9", read_only=True)]

    async def find(_connection: object, path: str) -> BlockDevice | None:
        return next((device for device in found if device.path == path), None)

    monkeypatch.setattr(block_devices, "find_block_device", find)
    work = world.named("work").key
    with pytest.raises(Refused, match="dom0 uses /dev/sdy: mounted at /home"):
        await world.block_devices.attach(work, DiskRequest("/dev/sdy", True))
    with pytest.raises(Refused, match="/dev/sr9 can only be read: attach it read-only"):
        await world.block_devices.attach(work, DiskRequest("/dev/sr9", True))
    # Nothing of ours is against this; what libvirt's test driver does with it depends on its version.
    asked: list[DiskRequest] = []

    async def attach(_connection: object, _uuid: str, _name: str, request: DiskRequest) -> str:
        asked.append(request)
        return "sda"

    monkeypatch.setattr(disks, "attach_disk", attach)
    wanted = DiskRequest("/dev/sr9", True, read_only=True)
    assert await world.block_devices.attach(work, wanted) == "sda"
    assert asked == [wanted]


async def test_a_device_that_the_host_uses_is_no_disc_either(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    mounted = "mounted at /media/disc"
    found = [BlockDevice("/dev/sdy", in_use=mounted), BlockDevice("/dev/sr9", OPTICAL_DRIVE, in_use=mounted)]
    inserted: list[str] = []

    async def find(_connection: object, path: str) -> BlockDevice | None:
        return next((device for device in found if device.path == path), None)

    async def insert(*words: object) -> None:
        inserted.append(str(words[4]))

    monkeypatch.setattr(block_devices, "find_block_device", find)
    monkeypatch.setattr(disks, "change_medium", insert)
    work = world.named("work").key
    with pytest.raises(Refused, match="dom0 uses /dev/sdy: mounted at /media/disc"):
        await world.block_devices.insert(work, "sda", "/dev/sdy")
    with pytest.raises(NotFound, match=r"the host has no block device /dev/\.\./etc/passwd"):
        await world.block_devices.insert(work, "sda", "/dev/../etc/passwd")
    await world.block_devices.insert(work, "sda", "/dev/sr9")
    assert inserted == ["/dev/sr9"]


async def test_what_a_domain_is_made_of_stays_and_dom0_is_nobody_s_guest(world: World) -> None:
    work = world.named("work").key
    with pytest.raises(Refused, match="vda is a volume that “work” is made of"):
        await world.block_devices.detach(work, "vda")
    with pytest.raises(NotFound, match="“work” has no disk vdz"):
        await world.block_devices.detach(work, "vdz")
    with pytest.raises(NotFound, match="“work” has no CD-ROM drive vda"):
        await world.block_devices.eject(work, "vda")
    with pytest.raises(NotFound, match="there is no file “/no/disc”"):
        await world.block_devices.insert(work, "sda", "/no/disc")
    with pytest.raises(Refused, match="dom0 is this machine"):
        await world.block_devices.detach(world.named("dom0").key, "vda")


async def test_images_on_a_bus_that_disks_come_and_go_on_are_offered_with_their_users(world: World) -> None:
    assert await world.block_devices.offered(world.uri) == []
    mail = world.named("mail")
    disks = tuple(replace(disk, bus="usb", target="sda") for disk in mail.config.disks)
    world.store.put([replace(mail, config=replace(mail.config, disks=disks))])
    (offered,) = await world.block_devices.offered(world.uri)
    assert isinstance(offered.device, BlockDevice)
    assert (offered.device.path, offered.device.kind, offered.used_by) == (disks[0].source, "image", "mail (sda)")


def test_who_uses_a_device_is_told_with_the_host_first() -> None:
    users = tuple(Holder(domain(name), target) for name, target in (("work", "sda"), ("mail", "vdb")))
    assert Offered(BlockDevice("/dev/sdb"), users).used_by == "work (sda), mail (vdb)"
    assert Offered(BlockDevice("/dev/sdb", in_use="mounted at /"), users[:1]).used_by == "mounted at /, work (sda)"


async def test_the_system_that_a_domain_has_from_its_template_is_not_detached(driver_world: MakeWorld) -> None:
    own, root = str(uuid.uuid4()), OwnVolume(Role.ROOT, "qubes-manager", "debian.root@1.qcow2", 1)
    template = DomainConfig(klass=DomainClass.TEMPLATE, revision=1, volumes=(root,))
    app = DomainConfig(klass=DomainClass.APP, template="debian", template_uuid=own)
    system = DiskSpec(f"{FOLDER}/{root.name}", transient=True)
    world = await driver_world([NewDomain("debian", template, own), NewDomain("app", app, disks=(system,))])
    with pytest.raises(Refused, match="vda is a volume that “app” is made of; it cannot be detached"):
        await world.block_devices.detach(world.named("app").key, "vda")
