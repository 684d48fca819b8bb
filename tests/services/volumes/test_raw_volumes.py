"""Raw volumes of earlier versions, into which a guest wrote what pulls in a file of the host."""

import uuid
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from qubes_manager.backend.domains.domain_actions import define
from qubes_manager.backend.domains.new_domain import DiskSpec, NewDomain
from qubes_manager.backend.host.host_tools import run_tool_now
from qubes_manager.backend.storage import volume_store, volume_streams
from qubes_manager.core.domain import Domain, DomainConfig, DomainKey
from qubes_manager.core.errors import Refused
from qubes_manager.core.volumes import OwnVolume, Role
from qubes_manager.services.volumes import domain_volumes
from qubes_manager.services.volumes.raw_volumes import copy_as_qcow2
from tests.services.conftest import World

MIB, SECRET = 1 << 20, b"of the user"


class Old:
    """A halted StandaloneVM “old” with a raw system, as earlier versions made them."""

    def __init__(self, world: World, folder: Path) -> None:
        self.world = world
        self.key = DomainKey(world.uri, str(uuid.uuid4()))
        self.record = OwnVolume(Role.ROOT, volume_store.POOL, f"old.{self.key.uuid[:8]}.root.img")
        self.secret = folder / "secret"
        self.secret.write_bytes(SECRET.ljust(MIB, b"\0"))
        self.header = folder / "header"
        run_tool_now(["qemu-img", "create", "-f", "qcow2", "-b", self.secret, "-F", "raw", self.header, "1M"])

    @property
    def domain(self) -> Domain:
        return self.world.store.require(self.key)

    async def make(self, folder: Path) -> None:
        connection = self.world.hosts.connection(self.world.uri)
        image = folder / "system.img"
        image.write_bytes(bytes(64 * MIB))
        made, _digest = await volume_streams.upload_volume(connection, self.record.name, image)
        config = DomainConfig(volumes=(self.record,))
        new = NewDomain("old", config, self.key.uuid, virt_type="qemu", disks=(DiskSpec(made.path, "raw"),))
        await define(connection, "old", new.xml())
        await self.world.hosts.refresh(self.key)

    def root(self, key: DomainKey) -> Path:
        disk = self.world.store.require(key).config.disk(Role.ROOT)
        assert disk
        return Path(disk.source)

    async def guest_writes_header(self) -> bytes:
        """What root in the guest can do; then the pool looks at its files again, as at each import."""
        header = self.header.read_bytes()
        with self.root(self.key).open("r+b") as file:
            file.write(header)
        connection = self.world.hosts.connection(self.world.uri)
        await connection.call(
            "refresh", lambda raw: volume_store.refresh_now(raw.storagePoolLookupByName(volume_store.POOL))
        )
        return header.ljust(64 * MIB, b"\0")


@pytest.fixture
async def old(qemu_world: World, shared_folder: Path) -> AsyncIterator[Old]:
    old = Old(qemu_world, shared_folder)
    await old.make(shared_folder)
    yield old
    await qemu_world.removal.remove(old.key)


def raw_bytes(image: Path, folder: Path) -> bytes:
    plain = folder / "plain"
    run_tool_now(["qemu-img", "convert", "-f", "qcow2", "-O", "raw", image, plain])
    return plain.read_bytes()


async def test_a_clone_has_the_bytes_that_the_guest_wrote_and_not_what_they_name(old: Old, tmp_path: Path) -> None:
    written = await old.guest_writes_header()
    clone = await old.world.cloning.clone(old.key, "clone")
    try:
        assert old.world.store.require(clone).config.volumes[0].format == "qcow2"
        assert raw_bytes(old.root(clone), tmp_path) == written
    finally:
        await old.world.removal.remove(clone)


async def test_what_the_pool_takes_for_something_else_is_refused_by_name(old: Old) -> None:
    await old.guest_writes_header()
    name = old.record.name
    with pytest.raises(Refused, match=f"“{name}” was made as raw, and now looks like qcow2"):
        await old.world.volumes.resize(old.key, "root", 128 * MIB)
    connection = old.world.hosts.connection(old.world.uri)
    for work in (
        volume_store.copy_volume(connection, old.record, "copy.qcow2"),
        volume_store.create_volume(connection, "above.qcow2", 0, backing=name),
    ):
        with pytest.raises(Refused, match="now looks like qcow2"):
            await work


async def test_another_backing_than_was_recorded_is_refused(old: Old) -> None:
    connection = old.world.hosts.connection(old.world.uri)
    pool = volume_store.POOL
    await volume_store.create_volume(connection, "base.qcow2", MIB)
    await volume_store.create_volume(connection, "top.qcow2", 0, backing="base.qcow2")
    try:
        with pytest.raises(Refused, match=r"“top.qcow2” was made above “other”, and now stands on “base.qcow2”"):
            await volume_store.copy_volume(connection, OwnVolume(Role.ROOT, pool, "top.qcow2", backing="other"), "c")
    finally:
        for name in ("top.qcow2", "base.qcow2"):
            await volume_store.delete_volume(connection, pool, name)


async def test_what_a_copy_would_follow_is_what_the_file_says_now(old: Old, shared_folder: Path) -> None:
    connection = old.world.hosts.connection(old.world.uri)
    made = await volume_store.create_volume(connection, "base.qcow2", MIB)
    folder = shared_folder / "other"
    folder.mkdir()
    xml = f"<pool type='dir'><name>other</name><target><path>{folder}</path></target></pool>"
    await connection.call("make a pool", lambda raw: raw.storagePoolCreateXML(xml, 0))
    try:
        # The pool has seen the volume as it was made.
        run_tool_now(["qemu-img", "rebase", "-u", "-b", old.secret, "-F", "raw", made.path])
        record = OwnVolume(Role.ROOT, volume_store.POOL, "base.qcow2")
        with pytest.raises(Refused, match=r"“base\.qcow2” was made above nothing, and now stands on “secret”"):
            await volume_store.copy_volume(connection, record, "copy.qcow2", "other")
        assert list(folder.iterdir()) == []
    finally:
        await connection.call("end the pool", lambda raw: raw.storagePoolLookupByName("other").destroy())
        await volume_store.delete_volume(connection, volume_store.POOL, "base.qcow2")


async def test_a_new_volume_is_qcow2_of_the_present_version(old: Old) -> None:
    connection = old.world.hosts.connection(old.world.uri)
    made = await volume_store.create_volume(connection, "new.qcow2", MIB)
    try:
        assert b"compat: 1.1" in run_tool_now(["qemu-img", "info", made.path])
    finally:
        await volume_store.delete_volume(connection, volume_store.POOL, "new.qcow2")


async def test_a_raw_volume_becomes_qcow2_with_the_same_bytes(old: Old, tmp_path: Path) -> None:
    written = await old.guest_writes_header()
    before = old.root(old.key)
    await old.world.volumes.to_qcow2(old.key)
    (volume,) = old.domain.config.volumes
    assert (volume.role, volume.format, volume.unfinished) == (Role.ROOT, "qcow2", False)
    assert raw_bytes(old.root(old.key), tmp_path) == written
    assert not before.exists()
    # There is nothing left to convert.
    await old.world.volumes.to_qcow2(old.key)


async def test_what_is_written_meanwhile_is_not_lost(old: Old, monkeypatch: pytest.MonkeyPatch) -> None:
    before = old.root(old.key)

    async def copy_and_write(*words: object) -> volume_store.Volume:
        made = await copy_as_qcow2(*words)  # type: ignore[arg-type]
        before.write_bytes(b"written by a run in between")
        return made

    monkeypatch.setattr(domain_volumes, "copy_as_qcow2", copy_and_write)
    with pytest.raises(Refused, match="was written to while it was read"):
        await old.world.volumes.to_qcow2(old.key)
    await old.world.hosts.refresh(old.key)
    assert (old.root(old.key), before.read_bytes()) == (before, b"written by a run in between")
    assert old.domain.config.volumes == (old.record,)


async def test_a_template_is_made_of_qcow2(old: Old) -> None:
    await old.world.promotion.to_template(old.key)
    (root,) = old.domain.config.volumes
    assert (root.format, root.revision) == ("qcow2", 1)
