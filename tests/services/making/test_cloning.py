"""What can be cloned, and what of it is copied; real clones are in tests/integration/test_templates.py."""

from typing import Any

import pytest

from qubes_manager.backend.domains.new_domain import DiskSpec, NewDomain
from qubes_manager.backend.storage import volume_store
from qubes_manager.core.domain import DomainClass, DomainConfig
from qubes_manager.core.errors import BadInput, QubesManagerError, Refused
from qubes_manager.core.progress import SILENT
from qubes_manager.core.volumes import OwnVolume, Role
from tests.driver import FOLDER, RUNNING
from tests.services.conftest import MakeWorld, World

SECRET = "33333333-3333-4333-8333-333333333333"


def volume(role: Role, name: str, revision: int = 0, **fields: object) -> OwnVolume:
    return OwnVolume(role, "qubes-manager", name, revision, **fields)  # type: ignore[arg-type]


TEMPLATE_VOLUMES = (
    volume(Role.KERNEL, "t.kernel.vmlinuz"),
    volume(Role.ROOT, "t.root@1.qcow2", 1),
    volume(Role.ROOT, "t.root@2.qcow2", 2),
    volume(Role.ROOT, "t.root@3.qcow2", 3, unfinished=True),
    volume(Role.BASE, "t.base.qcow2"),
)
OWN_VOLUMES = (
    volume(Role.ROOT, "o.root.img"),
    volume(Role.PRIVATE, "o.private.qcow2"),
    volume(Role.PRIVATE, "o.other.qcow2", unfinished=True),
)


@pytest.fixture
async def world(driver_world: MakeWorld) -> World:
    template = DomainConfig(klass=DomainClass.TEMPLATE, revision=2, volumes=TEMPLATE_VOLUMES)
    domains = [
        NewDomain("template", template, disks=(DiskSpec(f"{FOLDER}/t.root@2.qcow2"),)),
        NewDomain("runs", DomainConfig(volumes=OWN_VOLUMES)),
        NewDomain("own", DomainConfig(volumes=OWN_VOLUMES), disks=(DiskSpec(f"{FOLDER}/o.root.img", "raw"),)),
        NewDomain("safe", DomainConfig(volumes=OWN_VOLUMES), disks=(DiskSpec(f"{FOLDER}/p", secret=SECRET),)),
        NewDomain("foreign", DomainConfig(), disks=(DiskSpec("/somewhere.img", "raw"),)),
        NewDomain("diskless", DomainConfig(), disks=(DiskSpec("", "raw", cdrom=True),)),
    ]
    names = [v.name for v in (*TEMPLATE_VOLUMES, *OWN_VOLUMES)]
    return await driver_world(domains, names, {"runs": RUNNING, "template": RUNNING})


@pytest.mark.parametrize(
    ("name", "error", "reason"),
    [
        ("dom0", Refused, "dom0 is this machine; it cannot be cloned"),
        ("runs", Refused, "“runs” is running: shut it down first, so that its data are whole"),
        ("safe", Refused, "the private volume of “safe” is encrypted; it cannot be cloned"),
        ("foreign", Refused, "the disks of “foreign” were not made by this program; clone it with virt-clone"),
    ],
)
async def test_what_cannot_be_cloned_says_why(
    world: World, name: str, error: type[QubesManagerError], reason: str
) -> None:
    before = await world.names()
    with pytest.raises(error, match=reason):
        await world.cloning.clone(world.named(name).key, "copy")
    assert await world.names() == before


async def test_the_new_name_must_be_one_and_free(world: World) -> None:
    with pytest.raises(BadInput, match="name: '1st' cannot be used"):
        await world.cloning.clone(world.named("own").key, "1st")
    with pytest.raises(Refused, match="there is a domain “runs” already"):
        await world.cloning.clone(world.named("own").key, "runs")


async def test_a_domain_without_disks_is_only_its_settings(world: World) -> None:
    key = await world.cloning.clone(world.named("diskless").key, "copy")
    assert world.store.require(key).config.volumes == ()


async def test_of_a_template_the_current_revision_is_cloned_even_while_it_runs_and_no_root_is_copied(
    world: World,
) -> None:
    template = world.named("template")
    clone = world.store.require(await world.cloning.clone(template.key, "copy"))
    kernel, root = clone.config.volumes
    assert (root.role, root.revision, root.backing) == (Role.ROOT, 1, "t.root@2.qcow2")
    assert (kernel.role, kernel.name[-8:], clone.config.revision) == (Role.KERNEL, ".vmlinuz", 1)
    assert clone.config.disks[0].source == f"{FOLDER}/{root.name}"
    assert {kernel.name, root.name} <= set(await world.volume_names())
    # In another pool it cannot stand above it: it is a whole copy there.
    plans = world.cloning._plans(template, "copy", "4" * 8, "other", SILENT)
    (root,) = (plan.record for plan in plans if plan.record.role is Role.ROOT)
    assert (root.pool, root.revision, root.backing) == ("other", 1, "")


async def test_what_a_domain_owns_is_copied_to_where_it_is_wanted(world: World) -> None:
    for pool, wanted in (("", "qubes-manager"), ("other", "other")):
        plans = world.cloning._plans(world.named("own"), "copy", "4" * 8, pool, SILENT)
        records = [(plan.record.role, plan.record.pool, plan.record.revision) for plan in plans]
        assert records == [(Role.ROOT, wanted, 0), (Role.PRIVATE, wanted, 0)]


async def test_no_disk_that_the_original_writes_to_is_the_copys_at_any_moment(
    driver_world: MakeWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = volume(Role.ROOT, "o.root.qcow2")
    attached = (DiskSpec("/stick.img", "raw"), DiskSpec("/disc.iso", "raw", cdrom=True))
    disks = (DiskSpec(f"{FOLDER}/{root.name}"), *attached)
    world = await driver_world([NewDomain("own", DomainConfig(volumes=(root,)), disks=disks)], [root.name])
    half: list[str] = []
    copy_volume = volume_store.copy_volume

    async def look_and_copy(*words: Any) -> volume_store.Volume:
        half.extend(disk.source for disk in world.named("copy").config.disks)
        return await copy_volume(*words)

    monkeypatch.setattr(volume_store, "copy_volume", look_and_copy)
    (own,) = world.store.require(await world.cloning.clone(world.named("own").key, "copy")).config.volumes
    assert half == ["/disc.iso"], "who starts it too early writes into nothing of the original"
    assert [disk.source for disk in world.named("copy").config.disks] == [f"{FOLDER}/{own.name}", "/disc.iso"]
