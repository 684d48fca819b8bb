"""What may be done to volumes: refusals on the test driver, changes of real volumes on a libvirtd of our own."""

import errno
import hashlib
import os
import uuid
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from qubes_manager.backend.domains.domain_actions import define
from qubes_manager.backend.domains.new_domain import DiskSpec, NewDomain
from qubes_manager.backend.host.host_tools import run_tool_now
from qubes_manager.backend.storage import volume_store, volume_streams
from qubes_manager.core.devices.block import DiskRequest
from qubes_manager.core.domain import Domain, DomainClass, DomainConfig, DomainKey
from qubes_manager.core.errors import BadInput, Cancelled, NotFound, QubesManagerError, Refused, StateIsSaved
from qubes_manager.core.volumes import OwnVolume, Role
from tests.driver import FOLDER, RUNNING
from tests.heard_progress import HeardProgress
from tests.services.conftest import MakeWorld, World

MIB = 1 << 20
POOL = volume_store.POOL
DEBIAN = "11111111-1111-4111-8111-111111111111"
ROOTS = tuple(OwnVolume(Role.ROOT, POOL, f"debian.root@{n}.qcow2", n) for n in (1, 2))
KERNEL = OwnVolume(Role.KERNEL, POOL, "debian.kernel.vmlinuz", digest="a" * 64)
PRIVATE = OwnVolume(Role.PRIVATE, POOL, "work.private.qcow2")


@pytest.fixture
async def world(driver_world: MakeWorld) -> World:
    template = DomainConfig(klass=DomainClass.TEMPLATE, revision=2, volumes=(*ROOTS, KERNEL))
    work = DomainConfig(klass=DomainClass.APP, template="debian", template_uuid=DEBIAN, volumes=(PRIVATE,))
    lost = replace(PRIVATE, name="lost.private.qcow2")
    domains = [
        NewDomain("debian", template, DEBIAN),
        NewDomain("work", work, disks=(DiskSpec(f"{FOLDER}/{PRIVATE.name}", serial="private"),)),
        NewDomain("runs", work),
        NewDomain("safe", work, disks=(DiskSpec(f"{FOLDER}/x", secret=DEBIAN),)),
        NewDomain("lost", replace(work, volumes=(lost,))),
        NewDomain("foreign", DomainConfig()),
    ]
    return await driver_world(domains, [v.name for v in (*ROOTS, KERNEL, PRIVATE)], {"runs": RUNNING})


def test_a_volume_is_found_by_the_name_that_users_have_for_it(world: World) -> None:
    assert world.volumes.own(world.named("debian"), "root") == ROOTS[1]
    assert world.volumes.own(world.named("work"), "private") == PRIVATE
    for name, volume, error, reason in (
        ("work", "root", Refused, "the root of “work” is that of its template “debian”: change it there"),
        ("work", "kernel", NotFound, "“work” has no volume kernel that this program made"),
        ("foreign", "root", NotFound, "“foreign” has no volume root"),
        ("work", "seed", BadInput, "volume: 'seed' cannot be used; use one of root, private, kernel, initrd"),
    ):
        with pytest.raises(error, match=reason):
            world.volumes.own(world.named(name), volume)


async def test_the_templates_root_is_listed_with_its_source_and_revisions_only_with_their_owner(world: World) -> None:
    listed = [(i.vid, i.record.name, i.source, i.revisions) for i in await world.volumes.list(world.named("work"))]
    assert listed == [
        ("work:root", ROOTS[1].name, "debian:root", ()),
        ("work:private", PRIVATE.name, "", ()),
    ]
    own = await world.volumes.list(world.named("debian"))
    assert [(i.vid, i.revisions) for i in own] == [("debian:root", (1, 2)), ("debian:kernel", ())]
    (_root, gone) = await world.volumes.list(world.named("lost"))
    assert gone.sizes is None


async def test_what_cannot_be_done_is_refused_before_anything_changes(world: World, tmp_path: Path) -> None:
    volumes, key = world.volumes, {name: world.named(name).key for name in ("debian", "work", "runs", "safe", "lost")}
    (tmp_path / "there").touch()
    for work, error, reason in (
        (volumes.resize(key["work"], "private", 63 * MIB), BadInput, "size: .* give 64.0 MiB to 64.0 TiB"),
        (volumes.resize(key["debian"], "kernel", 64 * MIB), BadInput, "only root and private can be enlarged"),
        (volumes.resize(key["lost"], "private", 64 * MIB), NotFound, "the volume “lost.private.qcow2” is gone"),
        (volumes.resize(key["runs"], "private", 64 * MIB), NotFound, "“runs” has no disk for its private volume"),
        (volumes.keep(key["debian"], 0), BadInput, "revisions_to_keep: '0' cannot be used; give 1 to 100"),
        (volumes.keep(key["debian"], 101), BadInput, "revisions_to_keep: '101'"),
        (volumes.clear(key["runs"], "private"), Refused, "“runs” is running: shut it down first"),
        (volumes.clear(key["debian"], "root"), BadInput, "only the private volume can be cleared"),
        (volumes.clear(key["safe"], "private"), Refused, "“safe” is encrypted; it cannot be replaced"),
        (volumes.import_image(key["runs"], "private", tmp_path), Refused, "“runs” is running"),
        (volumes.import_image(key["debian"], "root", tmp_path), Refused, "only the private volume, or the root of a"),
        (volumes.import_image(key["debian"], "kernel", tmp_path), Refused, "only the private volume, or the root of a"),
        (volumes.export(key["runs"], "private", tmp_path / "new"), Refused, "“runs” is running"),
        (volumes.export(key["work"], "private", tmp_path / "there"), Refused, "there” exists already"),
        (volumes.verify(world.named("work"), PRIVATE), Refused, "there is no checksum for work.private.qcow2"),
    ):
        with pytest.raises(error, match=reason):
            await work
    assert list(tmp_path.glob("new*")) == []


async def test_how_many_revisions_are_kept_is_recorded(world: World) -> None:
    await world.volumes.keep(world.named("debian").key, 7)
    assert world.named("debian").config.keep_revisions == 7


class Real:
    """A halted domain “vault” of one private volume, which is a file of four MiB."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.volumes = world.volumes
        self.key = DomainKey(world.uri, str(uuid.uuid4()))

    @property
    def domain(self) -> Domain:
        return self.world.store.require(self.key)

    @property
    def record(self) -> OwnVolume:
        found = self.domain.config.volume(Role.PRIVATE)
        assert found
        return found

    @property
    def file(self) -> Path:
        disk = self.domain.config.disk(Role.PRIVATE)
        assert disk
        return Path(disk.source)


@pytest.fixture
async def real(qemu_world: World, tmp_path: Path) -> AsyncIterator[Real]:
    real = Real(qemu_world)
    connection = qemu_world.hosts.connection(qemu_world.uri)
    (tmp_path / "private.img").write_bytes(b"secret".ljust(4 * MIB, b"\0"))
    run_tool_now(["qemu-img", "convert", "-O", "qcow2", tmp_path / "private.img", tmp_path / "private.qcow2"])
    made, digest = await volume_streams.upload_volume(connection, "vault.qcow2", tmp_path / "private.qcow2")
    volume = OwnVolume(Role.PRIVATE, POOL, "vault.qcow2", digest=digest)
    disk = DiskSpec(made.path, serial="private")
    new = NewDomain("vault", DomainConfig(volumes=(volume,)), real.key.uuid, virt_type="qemu", disks=(disk,))
    await define(connection, "vault", new.xml())
    await qemu_world.hosts.refresh(real.key)
    yield real
    await qemu_world.removal.remove(real.key)


async def test_a_volume_grows_and_never_shrinks(real: Real) -> None:
    await real.volumes.resize(real.key, "private", 80 * MIB)
    (info,) = await real.volumes.list(real.domain)
    assert info.sizes
    assert info.sizes.capacity == 80 * MIB
    with pytest.raises(BadInput, match=r"“vault:private” has 80.0 MiB; volumes never shrink"):
        await real.volumes.resize(real.key, "private", 79 * MIB)


async def test_what_wrote_to_a_volume_behind_our_back_is_found_out(real: Real) -> None:
    assert await real.volumes.verify(real.domain, real.record) == real.record.digest
    with real.file.open("r+b") as file:
        file.seek(-1, 2)
        file.write(b"!")
    with pytest.raises(Refused, match=r"vault\.qcow2 has changed since it was made: expected .* do not trust domains"):
        await real.volumes.verify(real.domain, real.record)


async def test_what_is_exported_is_the_volume_with_its_checksum_beside_it(real: Real, tmp_path: Path) -> None:
    target = tmp_path / "out" / "vault.qcow2"
    with pytest.raises(QubesManagerError, match=r"cannot write “.*vault\.qcow2”: No such file or directory"):
        await real.volumes.export(real.key, "private", target)
    target.parent.mkdir()
    digest = await real.volumes.export(real.key, "private", target)
    assert hashlib.sha256(target.read_bytes()).hexdigest() == digest == real.record.digest
    assert target.with_name("vault.qcow2.sha256").read_text() == f"{digest}  vault.qcow2\n"
    stopped = HeardProgress(stop_at="Writing the image")
    with pytest.raises(Cancelled):
        await real.volumes.export(real.key, "private", target.with_name("again"), progress=stopped)
    assert sorted(path.name for path in target.parent.iterdir()) == ["vault.qcow2", "vault.qcow2.sha256"]


@pytest.mark.parametrize("has_links", [True, False], ids=["links", "no links"])
async def test_an_export_writes_over_no_file_that_came_meanwhile(
    real: Real, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, has_links: bool
) -> None:
    target, sums = tmp_path / "vault.qcow2", tmp_path / "vault.qcow2.sha256"
    sums.write_text("of another image")
    with pytest.raises(Refused, match=r"vault\.qcow2\.sha256” exists already"):
        await real.volumes.export(real.key, "private", target)
    sums.unlink()
    read = volume_streams.read_volume

    async def read_slowly(*words: Any, **more: Any) -> str:
        target.write_text("of somebody else")
        # What an export before this one called its part.
        target.with_name(".vault.qcow2.part").write_text("of somebody else too")
        return await read(*words, **more)

    def no_links(*_words: object, **_more: object) -> None:
        raise PermissionError(errno.EPERM, "no links here")

    monkeypatch.setattr(volume_streams, "read_volume", read_slowly)
    if not has_links:
        monkeypatch.setattr(os, "link", no_links)
    with pytest.raises(Refused, match=r"vault\.qcow2” exists already"):
        await real.volumes.export(real.key, "private", target)
    assert sorted(path.name for path in tmp_path.iterdir() if "vault" in path.name) == [
        ".vault.qcow2.part",
        "vault.qcow2",
    ]
    assert target.read_text() == "of somebody else"


async def test_an_image_takes_the_place_of_a_volume_or_leaves_it_as_it_was(real: Real, tmp_path: Path) -> None:
    old, old_file = real.record, real.file
    image = tmp_path / "new.qcow2"
    run_tool_now(["qemu-img", "create", "-f", "qcow2", image, "8M"])
    stopped = HeardProgress(stop_at="Copying the image")
    with pytest.raises(Cancelled):
        await real.volumes.import_image(real.key, "private", image, progress=stopped)
    await real.world.hosts.refresh(real.key)
    assert (real.record, real.file, old_file.exists()) == (old, old_file, True)
    assert real.domain.activity is None
    await real.volumes.import_image(real.key, "private", image)
    assert real.file != old_file
    assert not old_file.exists()
    assert [v.name for v in real.domain.config.volumes] == [real.file.name]
    assert b"8 MiB" in run_tool_now(["qemu-img", "info", real.file])


async def test_what_is_cleared_is_blank_and_as_large_as_before(real: Real) -> None:
    old = real.file
    await real.volumes.clear(real.key, "private")
    assert not old.exists()
    assert b"secret" not in real.file.read_bytes()
    assert b"virtual size: 4 MiB" in run_tool_now(["qemu-img", "info", real.file])


async def test_what_is_written_while_it_is_exported_makes_no_torn_image(
    real: Real, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    read = volume_streams.read_volume

    async def read_while_a_guest_writes(*words: Any, **more: Any) -> str:
        digest = await read(*words, **more)
        with real.file.open("r+b") as file:
            file.seek(-1, 2)
            file.write(b"!")
        return digest

    monkeypatch.setattr(volume_streams, "read_volume", read_while_a_guest_writes)
    with pytest.raises(Refused, match=r"vault\.qcow2 was written to while it was read: shut down who does"):
        await real.volumes.export(real.key, "private", tmp_path / "out.qcow2")
    assert not list(tmp_path.glob("*out*"))


async def test_who_starts_a_domain_while_its_volume_is_replaced_keeps_what_he_writes_to(
    driver_world: MakeWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    old = replace(PRIVATE, name="vault.private.qcow2")
    disk = DiskSpec(f"{FOLDER}/{old.name}", serial="private")
    world = await driver_world([NewDomain("vault", DomainConfig(volumes=(old,)), disks=(disk,))], [old.name])
    key, create = world.named("vault").key, volume_store.create_volume

    async def create_slowly(*words: Any, **more: Any) -> volume_store.Volume:
        made = await create(*words, **more)
        await world.hosts.connection(world.uri).on_domain(key.uuid, "start", lambda domain: domain.create())
        return made

    monkeypatch.setattr(volume_store, "create_volume", create_slowly)
    with pytest.raises(Refused, match="“vault” is running: shut it down first"):
        await world.volumes.clear(key, "private")
    stored = await world.properties.stored(key)
    assert (stored.config.volumes, stored.config.disks[0].source) == ((old,), f"{FOLDER}/{old.name}")
    assert await world.volume_names() == [old.name]


async def test_a_volume_that_is_no_disk_of_its_domain_is_not_replaced(driver_world: MakeWorld) -> None:
    old = replace(PRIVATE, name="vault.private.qcow2")
    world = await driver_world([NewDomain("vault", DomainConfig(volumes=(old,)))], [old.name])
    with pytest.raises(NotFound, match="“vault” has no disk for its private volume"):
        await world.volumes.clear(world.named("vault").key, "private")
    assert await world.volume_names() == [old.name]


async def test_the_volumes_of_a_saved_domain_stay_as_its_run_left_them(driver_world: MakeWorld, tmp_path: Path) -> None:
    root, private = OwnVolume(Role.ROOT, POOL, "own.root.qcow2"), OwnVolume(Role.PRIVATE, POOL, "own.private.qcow2")
    config = DomainConfig(klass=DomainClass.STANDALONE, volumes=(root, private))
    disks = (DiskSpec(f"{FOLDER}/{root.name}"), DiskSpec(f"{FOLDER}/{private.name}", serial="private"))
    world = await driver_world([NewDomain("own", config, disks=disks)], [root.name, private.name], {"own": RUNNING})
    key = world.named("own").key
    await world.hosts.connection(world.uri).on_domain(key.uuid, "save", lambda domain: domain.managedSave())
    await world.hosts.refresh(key)
    image = tmp_path / "image.img"
    image.write_bytes(bytes(MIB))
    before = world.named("own").config
    for work in (
        lambda: world.volumes.resize(key, "private", 100 * MIB),
        lambda: world.volumes.clear(key, "private"),
        lambda: world.volumes.import_image(key, "root", image),
        lambda: world.volumes.export(key, "private", tmp_path / "out.qcow2"),
        lambda: world.cloning.clone(key, "copy"),
        lambda: world.promotion.to_template(key),
        lambda: world.block_devices.attach(key, DiskRequest(str(image), is_device=False)),
        lambda: world.block_devices.detach(key, "vda"),
        lambda: world.block_devices.insert(key, "sda", str(image)),
        lambda: world.block_devices.eject(key, "sda"),
    ):
        with pytest.raises(StateIsSaved, match="“own” is saved, to go on as it was"):
            await work()
    assert (world.named("own").config, await world.volume_names()) == (before, [private.name, root.name])
    assert not (tmp_path / "out.qcow2").exists()
    assert (await world.removal.describe_loss(world.named("own"))).startswith("Its saved state is lost, with the prog")
    await world.removal.remove(key)
    assert await world.volume_names() == []
