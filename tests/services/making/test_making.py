"""A domain is made whole or not at all; real volumes, no guest."""

import asyncio
import uuid
from dataclasses import replace
from pathlib import Path

import pytest

from qubes_manager.backend.domains.new_domain import DiskSpec, NewDomain
from qubes_manager.backend.storage import volume_store
from qubes_manager.core.domain import Domain, DomainConfig, Job
from qubes_manager.core.errors import Cancelled, HostCallFailed, QubesManagerError
from qubes_manager.core.volumes import OwnVolume, Role
from qubes_manager.services.making.making import Made, VolumePlan, make_domain, plan_empty, plan_upload
from tests.heard_progress import HeardProgress
from tests.services.conftest import World

ROOT, PRIVATE, SEED = (
    OwnVolume(role, volume_store.POOL, f"new.0123abcd.{role.value}.img")
    for role in (Role.ROOT, Role.PRIVATE, Role.SEED)
)


class Making:
    """What is made of a draft “new” with two volumes; *third* comes after them."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.seen: list[Domain] = []
        self.draft = NewDomain("new", DomainConfig(), str(uuid.uuid4()), virt_type="qemu", graphics=False)
        connection = world.hosts.connection(world.uri)
        self.plans = [plan_empty(connection, ROOT, 1 << 20), plan_empty(connection, PRIVATE, 1 << 20)]

    async def finish(self, made: Made) -> NewDomain:
        self.seen.append(self.world.named("new"))
        return replace(self.draft, disks=(DiskSpec(made[Role.ROOT].path, "raw"),))

    async def make(self, *third: VolumePlan) -> None:
        await make_domain(self.world.hosts, self.world.uri, self.draft, [*self.plans, *third], self.finish)


@pytest.fixture
def making(qemu_world: World) -> Making:
    return Making(qemu_world)


async def test_its_row_is_there_from_the_beginning_and_says_what_is_to_come(making: Making) -> None:
    await making.make()
    (begun,) = making.seen
    assert begun.config.job is Job.CREATE
    assert [(v.name, v.unfinished) for v in begun.config.volumes] == [(ROOT.name, True), (PRIVATE.name, True)]
    whole = making.world.named("new")
    assert (whole.config.job, whole.config.volumes) == (None, (ROOT, PRIVATE))
    assert whole.config.disks[0].source.endswith(ROOT.name)
    await making.world.removal.remove(whole.key)


async def fail() -> tuple[volume_store.Volume, OwnVolume]:
    raise HostCallFailed("the disk is full")


async def cancel() -> tuple[volume_store.Volume, OwnVolume]:
    raise asyncio.CancelledError


@pytest.mark.parametrize(("make", "error"), [(fail, HostCallFailed), (cancel, asyncio.CancelledError)])
async def test_when_a_step_fails_nothing_is_left(making: Making, make: object, error: type[BaseException]) -> None:
    with pytest.raises(error):
        await making.make(VolumePlan(SEED, make))  # type: ignore[arg-type]
    # The fixture sees that neither domain nor volume is left.
    assert making.world.store.named(making.world.uri, "new") is None


async def test_xml_that_libvirt_rejects_at_last_leaves_nothing(making: Making) -> None:
    async def spoil(_made: Made) -> NewDomain:
        return replace(making.draft, vcpus=0)

    making.finish = spoil  # type: ignore[method-assign, assignment]
    with pytest.raises(QubesManagerError, match="cannot create “new”"):
        await making.make()
    assert making.world.store.named(making.world.uri, "new") is None


async def test_a_name_that_is_taken_touches_nothing_of_its_owner(making: Making) -> None:
    await making.make()
    first = making.world.named("new")
    making.draft = replace(making.draft, uuid=str(uuid.uuid4()))
    with pytest.raises(HostCallFailed, match="cannot create “new”"):
        await making.make()
    assert await making.world.volume_names() == [PRIVATE.name, ROOT.name]
    await making.world.hosts.refresh(first.key)
    assert making.world.named("new") == first
    await making.world.removal.remove(first.key)


async def test_what_is_uploaded_is_told_by_its_part_and_recorded_with_its_digest(
    qemu_world: World, tmp_path: Path
) -> None:
    connection = qemu_world.hosts.connection(qemu_world.uri)
    (tmp_path / "image").write_bytes(b"x" * 512)
    progress = HeardProgress()
    for role, words in ((Role.ROOT, "the image"), (Role.PRIVATE, "the private data"), (Role.KERNEL, "the kernel")):
        record = OwnVolume(role, volume_store.POOL, f"uploaded.{role.value}.img")
        made, whole = await plan_upload(connection, record, tmp_path / "image", progress).make()
        assert (len(whole.digest), replace(whole, digest="")) == (64, record)
        assert progress.steps[-1] == f"Copying {words}"
        await volume_store.delete_volume(connection, made.pool, made.name)
    stopped = HeardProgress(stop_at="Copying the image")
    with pytest.raises(Cancelled):
        await plan_upload(connection, ROOT, tmp_path / "image", stopped).make()
