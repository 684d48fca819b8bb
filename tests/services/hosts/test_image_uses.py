"""Who uses an image, and what is refused for it, with real volumes and snapshots of other programs; no guest runs."""

import asyncio
import os
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import replace
from pathlib import Path

import libvirt
import pytest

from qubes_manager.backend.domains.domain_actions import define, undefine
from qubes_manager.backend.domains.new_domain import DiskSpec, NewDomain
from qubes_manager.backend.host.host_tools import run_tool_now
from qubes_manager.backend.storage import volume_store
from qubes_manager.backend.storage.pools import add_pool
from qubes_manager.core.creation_request import CreationRequest
from qubes_manager.core.devices.block import DiskRequest
from qubes_manager.core.domain import DomainClass, DomainConfig, DomainKey
from qubes_manager.core.errors import HostCallFailed, Refused, UnknownDisk
from qubes_manager.core.volumes import OwnVolume, Role
from qubes_manager.services.hosts.domain_access import actions_on
from qubes_manager.services.volumes.volume_records import put
from tests.services.conftest import World

MIB = 1 << 20
POOL = volume_store.POOL
ROOT, PRIVATE = (OwnVolume(role, POOL, f"alone.{role.value}.qcow2") for role in (Role.ROOT, Role.PRIVATE))


class Scene:
    """A domain of ours, “alone”, with two volumes, and what other programs do around it."""

    def __init__(self, world: World, folder: Path) -> None:
        self.world, self.folder = world, folder
        self.connection = world.hosts.connection(world.uri)
        self.key = DomainKey(world.uri, str(uuid.uuid4()))
        self.others: list[DomainKey] = []
        self.pool = Path()

    async def make(self) -> None:
        paths = []
        for volume in (ROOT, PRIVATE):
            made = await volume_store.create_volume(self.connection, volume.name, 64 * MIB)
            paths.append(Path(made.path))
        self.pool = paths[0].parent
        config = DomainConfig(klass=DomainClass.STANDALONE, volumes=(ROOT, PRIVATE))
        disks = (DiskSpec(str(paths[0])), DiskSpec(str(paths[1]), serial="private"))
        new = NewDomain("alone", config, self.key.uuid, virt_type="qemu", graphics=False, disks=disks)
        await define(self.connection, "alone", new.xml())
        await self.world.hosts.refresh(self.key)

    async def foreign(self, path: Path, image_format: str = "qcow2", name: str = "foreign", **spec: str) -> DomainKey:
        """Somebody else's domain with a disk."""
        disks = (DiskSpec(str(path), image_format),)
        new = NewDomain(name, DomainConfig(), str(uuid.uuid4()), virt_type="qemu", graphics=False, disks=disks, **spec)  # type: ignore[arg-type]
        found = await define(self.connection, name, new.xml())
        self.others.append(DomainKey(self.world.uri, found))
        await self.world.hosts.refresh(self.others[-1])
        return self.others[-1]

    def overlay(self, base: Path, name: str) -> Path:
        path = self.folder / name
        run_tool_now(["qemu-img", "create", "-f", "qcow2", "-b", base, "-F", "qcow2", path])
        return path

    def whole_image(self, name: str = "in.qcow2") -> Path:
        path = self.folder / name
        run_tool_now(["qemu-img", "create", "-f", "qcow2", path, "64M"])
        return path

    async def snapshot(self, target: str) -> str:
        """Let another program make an external snapshot of a disk; returns the overlay's path."""
        left = "".join(f"<disk name='{t}' snapshot='no'/>" for t in ("vda", "vdb") if t != target)
        xml = f"<domainsnapshot><name>s</name><disks><disk name='{target}'/>{left}</disks></domainsnapshot>"
        flags = libvirt.VIR_DOMAIN_SNAPSHOT_CREATE_DISK_ONLY
        await self.connection.on_domain(self.key.uuid, "snapshot", lambda d: d.snapshotCreateXML(xml, flags))
        await self.world.hosts.refresh(self.key)
        disk = next(d for d in self.world.store.require(self.key).config.disks if d.target == target)
        return disk.source

    async def merge(self, target: str, overlay: str) -> None:
        """What a person does about it, offline."""
        run_tool_now(["qemu-img", "commit", overlay])
        volume = {"vda": ROOT, "vdb": PRIVATE}[target]
        await actions_on(self.world.hosts, self.world.store.require(self.key)).edit_config(
            lambda document: document.set_disk_source(target, str(self.pool / volume.name), "qcow2")
        )
        Path(overlay).unlink()
        await self.world.hosts.refresh(self.key)

    async def files(self) -> set[str]:
        return {path.name for path in self.pool.iterdir()}


@pytest.fixture
async def scene(qemu_world: World, shared_folder: Path) -> AsyncIterator[Scene]:
    shared_folder.chmod(0o777)
    scene = Scene(qemu_world, shared_folder)
    await scene.make()
    yield scene
    await qemu_world.hosts.refresh_host(qemu_world.uri)
    for key in scene.others:
        if found := qemu_world.store.get(key):
            await undefine(scene.connection, key.uuid, found.name)
    if qemu_world.store.get(scene.key):
        await undefine(scene.connection, scene.key.uuid, "alone")
    for name in await qemu_world.volume_names():
        await volume_store.delete_volume(scene.connection, POOL, name)


Act = Callable[[Scene], Awaitable[object]]
ACTS: dict[str, tuple[str, Act]] = {
    "clone": ("vda", lambda s: s.world.cloning.clone(s.key, "copy")),
    "export": ("vda", lambda s: s.world.volumes.export(s.key, "root", s.folder / "out.qcow2")),
    "resize": ("vda", lambda s: s.world.volumes.resize(s.key, "root", 128 * MIB)),
    "clear": ("vdb", lambda s: s.world.volumes.clear(s.key, "private")),
    "import": ("vdb", lambda s: s.world.volumes.import_image(s.key, "private", s.folder / "in.qcow2")),
    "promote": ("vda", lambda s: s.world.promotion.to_template(s.key)),
    "ask what is lost": ("vda", lambda s: s.world.removal.describe_loss(s.world.store.require(s.key))),
    "remove": ("vda", lambda s: s.world.removal.remove(s.key)),
}


@pytest.mark.parametrize("name", ACTS)
async def test_a_snapshot_of_another_program_is_named_before_anything_is_done(scene: Scene, name: str) -> None:
    target, act = ACTS[name]
    scene.whole_image()
    overlay = await scene.snapshot(target)
    before = await scene.files(), scene.world.store.require(scene.key).config
    with pytest.raises(UnknownDisk, match=f"its disk {target} is {overlay}, a snapshot made by another program above"):
        await act(scene)
    await scene.world.hosts.refresh(scene.key)
    assert (await scene.files(), scene.world.store.require(scene.key).config) == before
    # Merged, all goes on.
    await scene.merge(target, overlay)
    await act(scene)
    if name == "clone":
        await scene.world.removal.remove(scene.world.named("copy").key)


async def test_another_file_in_the_place_of_a_volume_is_named_too(scene: Scene) -> None:
    other = scene.whole_image("other.qcow2")
    await actions_on(scene.world.hosts, scene.world.named("alone")).edit_config(
        lambda document: document.set_disk_source("vda", str(other), "qcow2")
    )
    with pytest.raises(UnknownDisk, match=r"its disk vda is .*other\.qcow2, and not alone\.root\.qcow2"):
        await scene.world.removal.remove(scene.key)


def linked(scene: Scene, image: Path) -> Path:
    path = scene.folder / "link.qcow2"
    path.symlink_to(image)
    return path


def folder_linked(scene: Scene, image: Path) -> Path:
    (scene.folder / "folder").symlink_to(image.parent)
    return scene.folder / "folder" / image.name


def hard_linked(scene: Scene, image: Path) -> Path:
    path = scene.folder / "hard.qcow2"
    os.link(image, path)
    return path


def twice_above(scene: Scene, image: Path) -> Path:
    return scene.overlay(scene.overlay(image, "one.qcow2"), "two.qcow2")


WAYS: dict[str, Callable[[Scene, Path], Path]] = {
    "its path": lambda _scene, image: image,
    "a link": linked,
    "a folder's link": folder_linked,
    "a hard link": hard_linked,
    "an overlay": lambda scene, image: scene.overlay(image, "one.qcow2"),
    "an overlay of an overlay": twice_above,
    "an overlay of a link": lambda scene, image: scene.overlay(linked(scene, image), "one.qcow2"),
}


@pytest.mark.parametrize("way", [*WAYS, "a kernel"])
async def test_what_a_foreign_domain_stands_on_is_neither_deleted_nor_replaced(scene: Scene, way: str) -> None:
    image = scene.pool / ROOT.name
    if way == "a kernel":
        await scene.foreign(scene.whole_image(), kernel=str(image))
    else:
        await scene.foreign(WAYS[way](scene, image))
    before = await scene.files()
    words = r"alone\.root\.qcow2 is (needed|not free): “foreign” has it"
    domain = scene.world.store.require(scene.key)
    for work in (
        scene.world.removal.describe_loss(domain),
        scene.world.removal.remove(scene.key),
        scene.world.volumes.resize(scene.key, "root", 128 * MIB),
        scene.world.volumes.import_image(scene.key, "root", scene.whole_image()),
        scene.world.promotion.to_template(scene.key),
    ):
        with pytest.raises(Refused, match=words):
            await work
    await scene.world.hosts.refresh(scene.key)
    config = scene.world.store.require(scene.key).config
    assert (await scene.files(), config.job, config.volumes) == (before, None, (ROOT, PRIVATE))


async def test_a_volume_that_a_foreign_domain_names_by_its_pool_is_its_too(scene: Scene) -> None:
    key = await scene.foreign(scene.pool / ROOT.name)

    def by_pool(handle: libvirt.virDomain) -> None:
        xml = handle.XMLDesc(0).replace("type='file' device='disk'", "type='volume' device='disk'")
        handle.connect().defineXML(
            xml.replace(f"file='{scene.pool / ROOT.name}'", f"pool='{POOL}' volume='{ROOT.name}'")
        )

    await scene.connection.on_domain(key.uuid, "edit", by_pool)
    with pytest.raises(Refused, match="“foreign” has it"):
        await scene.world.removal.remove(scene.key)


@pytest.mark.parametrize("way", WAYS)
async def test_an_image_that_another_domain_has_or_stands_on_is_not_attached(scene: Scene, way: str) -> None:
    image = scene.whole_image("a.img")
    await scene.foreign(WAYS[way](scene, image))
    for path in (image, linked(scene, image) if "link" not in way else image):
        with pytest.raises(Refused, match="“foreign” has"):
            await scene.world.block_devices.attach(scene.key, DiskRequest(str(path), False))
    # Who only reads does no harm to what is only read.
    if "overlay" in way:
        await scene.world.block_devices.attach(scene.key, DiskRequest(str(image), False, read_only=True))


async def test_a_volume_of_a_domain_is_neither_attached_nor_inserted_elsewhere(scene: Scene) -> None:
    victim = await scene.foreign(scene.whole_image())
    for path in (scene.pool / ROOT.name, linked(scene, scene.pool / ROOT.name)):
        with pytest.raises(Refused, match="“alone” has it among its disks and would use it as vda"):
            await scene.world.block_devices.attach(victim, DiskRequest(str(path), False))
        with pytest.raises(Refused, match="“alone” has it among its disks"):
            await scene.world.block_devices.insert(victim, "sda", str(path))


async def test_a_removal_finds_out_that_a_pool_is_gone_before_it_deletes_anything(scene: Scene) -> None:
    far = OwnVolume(Role.SEED, "far", "alone.seed.iso")
    await actions_on(scene.world.hosts, scene.world.named("alone")).edit_config(put(far))
    before = await scene.files()
    with pytest.raises(Exception, match="the host has no storage pool “far”: define it again"):
        await scene.world.removal.remove(scene.key)
    await scene.world.hosts.refresh(scene.key)
    config = scene.world.store.require(scene.key).config
    assert (await scene.files(), config.job) == (before, None)


async def test_an_inactive_pool_is_started_by_whoever_needs_it(scene: Scene) -> None:
    async def stop() -> None:
        await scene.connection.call("stop", lambda raw: raw.storagePoolLookupByName(POOL).destroy())

    domain = scene.world.store.require(scene.key)
    works: list[Callable[[], Awaitable[object]]] = [
        lambda: scene.world.volumes.list(domain),
        lambda: scene.world.volumes.resize(scene.key, "private", 128 * MIB),
        lambda: scene.world.volumes.clear(scene.key, "private"),
        lambda: scene.world.volumes.export(scene.key, "root", scene.folder / "out.qcow2"),
        lambda: scene.world.cloning.clone(scene.key, "copy"),
        lambda: scene.world.removal.remove(scene.world.named("copy").key),
        lambda: scene.world.promotion.to_template(scene.key),
        lambda: scene.world.roots.tidy(scene.key),
        lambda: scene.world.removal.remove(scene.key),
    ]
    for work in works:
        await stop()
        await work()
    assert "alone" not in await scene.world.names()
    assert await scene.world.volume_names() == []


async def test_a_removal_that_fails_half_way_says_so_and_leaves_what_there_is(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    honest = volume_store.delete_volume

    async def delete(connection: object, pool: str, name: str) -> None:
        if name == PRIVATE.name:
            raise HostCallFailed("the disk is on fire")
        await honest(connection, pool, name)  # type: ignore[arg-type]

    with monkeypatch.context() as patched:
        patched.setattr(volume_store, "delete_volume", delete)
        words = r"“alone” is removed in part only: the disk is on fire. Gone are alone\.root\.qcow2; what is left stays"
        with pytest.raises(HostCallFailed, match=words):
            await scene.world.removal.remove(scene.key)
    config = scene.world.store.require(scene.key).config
    assert (config.job, config.volumes) == (None, (PRIVATE,))
    assert await scene.world.recovery.recover_all(scene.world.uri) == []
    assert PRIVATE.name in await scene.files()


async def test_of_another_host_libvirt_says_what_stands_on_what(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    from qubes_manager.backend.storage import image_chain

    monkeypatch.setattr(image_chain, "is_on_this_machine", lambda _uri: False)
    overlay = scene.pool / "overlay.qcow2"
    run_tool_now(["qemu-img", "create", "-f", "qcow2", "-b", scene.pool / ROOT.name, "-F", "qcow2", overlay])
    overlay.chmod(0o666)
    try:
        await scene.foreign(overlay)
        with pytest.raises(Refused, match="“foreign” has it"):
            await scene.world.removal.remove(scene.key)
    finally:
        await volume_store.delete_volume(scene.connection, POOL, overlay.name)


async def test_an_image_that_a_domain_has_is_not_moved_away(scene: Scene) -> None:
    image = scene.whole_image("a.qcow2")
    await scene.foreign(scene.overlay(image, "above.qcow2"))
    request = CreationRequest("made", "blue", image=image, netvm="", graphics=False)
    with pytest.raises(Refused, match="“foreign” has it, or what stands on it, as vda"):
        await scene.world.creation.create(scene.world.uri, replace(request, move=True))
    assert image.exists()
    # To copy a file that nobody writes to is no harm.
    key = await scene.world.creation.create(scene.world.uri, request)
    await scene.world.removal.remove(key)


async def test_a_halted_template_goes_back_to_its_revision_from_a_snapshot(scene: Scene) -> None:
    await scene.world.promotion.to_template(scene.key)
    root = scene.world.named("alone").config.disks[0].source
    overlay = await scene.snapshot("vda")
    with pytest.raises(UnknownDisk, match=r"go back to revision 1 .*qvm-volume revert alone:root 1"):
        async with scene.world.roots.ready_to_start(scene.key):
            raise AssertionError("it was started")
    assert await scene.world.roots.revert(scene.key, 1) == 1
    assert scene.world.named("alone").config.disks[0].source == root
    assert Path(overlay).exists()
    Path(overlay).unlink()
    assert await scene.world.roots.tidy(scene.key) == []


async def test_a_pool_that_does_not_start_leaves_the_list_and_is_said_by_what_needs_it(scene: Scene) -> None:
    folder = scene.folder / "far"
    await add_pool(scene.connection, "far", str(folder))
    far = OwnVolume(Role.SEED, "far", "alone.seed.iso")
    await actions_on(scene.world.hosts, scene.world.named("alone")).edit_config(put(far))
    await scene.connection.call("stop", lambda raw: raw.storagePoolLookupByName("far").destroy())
    folder.rmdir()
    try:
        assert await volume_store.volume_sizes(scene.connection, "far", far.name) is None
        before = await scene.files()
        for work in (
            scene.world.removal.describe_loss(scene.world.named("alone")),
            scene.world.removal.remove(scene.key),
        ):
            with pytest.raises(HostCallFailed, match="the storage pool “far” does not start: "):
                await work
        await scene.world.hosts.refresh(scene.key)
        assert (await scene.files(), scene.world.named("alone").config.job) == (before, None)
    finally:
        await scene.connection.call("forget", lambda raw: raw.storagePoolLookupByName("far").undefine())


async def test_a_copy_by_another_program_is_not_told_to_take_the_originals_disk(scene: Scene) -> None:
    copied = scene.whole_image("copied.qcow2")
    original = scene.world.named("alone")
    new = NewDomain(
        "alone-clone",
        original.config,
        str(uuid.uuid4()),
        virt_type="qemu",
        graphics=False,
        disks=(DiskSpec(str(copied)),),
    )
    key = DomainKey(scene.world.uri, await define(scene.connection, new.name, new.xml()))
    scene.others.append(key)
    await scene.world.hosts.refresh(key)
    with pytest.raises(UnknownDisk, match="“alone-clone” is a copy of “alone” that another program made") as found:
        await scene.world.removal.remove(key)
    words = str(found.value).partition("(virsh ")[2].partition(")")[0].split()
    run_tool_now(["virsh", "-c", scene.world.uri, *words])
    # What the message says helps, and the original has lost nothing.
    await scene.world.hosts.refresh(key)
    await scene.world.removal.remove(key)
    assert copied.exists()
    assert (await scene.world.uses.require_own_disks(scene.key)).config.volumes == (ROOT, PRIVATE)


async def test_of_two_domains_that_get_an_image_at_once_one_has_it(scene: Scene) -> None:
    image, link = scene.whole_image("stick.img"), scene.folder / "link.img"
    link.symlink_to(image)
    keys = [await scene.foreign(scene.whole_image(f"{n}.qcow2"), name=n) for n in ("one", "two")]
    requests = [DiskRequest(str(path), False, persistent=True) for path in (image, link)]
    attaching = (scene.world.block_devices.attach(key, request) for key, request in zip(keys, requests, strict=True))
    found = await asyncio.gather(*attaching, return_exceptions=True)
    (error,) = [one for one in found if isinstance(one, BaseException)]
    assert "“one”" in str(error) or "“two”" in str(error)
