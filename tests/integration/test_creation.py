"""Domains made of images, and what bad input does."""

import asyncio
import hashlib
from dataclasses import replace
from pathlib import Path
from typing import Any

import libvirt
import pytest

from qubes_manager.backend.guests.tiny_guest import TinyGuest
from qubes_manager.backend.host.host_tools import run_tool_now
from qubes_manager.backend.storage import volume_store
from qubes_manager.core.creation_request import CreationRequest
from qubes_manager.core.domain import DomainState
from qubes_manager.core.errors import BadInput, Cancelled, HostCallFailed, NotFound, Refused
from qubes_manager.core.labels import LABELS
from tests.heard_progress import HeardProgress
from tests.integration.conftest import World

pytestmark = pytest.mark.guest


@pytest.fixture
def image(shared_folder: Path) -> Path:
    """A raw image with a file system and holes."""
    path = shared_folder / "system.img"
    with path.open("wb") as file:
        file.truncate(64 << 20)
    run_tool_now(["/usr/sbin/mke2fs", "-q", "-t", "ext4", path])
    return path


def request(image: Path | None, **changes: Any) -> CreationRequest:
    return replace(CreationRequest("made", "blue", image=image, graphics=False), **changes)


async def test_a_domain_is_made_of_a_copy_that_is_the_same_to_the_bit(world: World, image: Path) -> None:
    raw, image = image, image.with_suffix(".qcow2")
    run_tool_now(["qemu-img", "convert", "-f", "raw", "-O", "qcow2", raw, image])
    digest = hashlib.sha256(image.read_bytes()).hexdigest()
    progress = HeardProgress()
    key = await world.creation.create(world.uri, request(image, checksum=digest), progress=progress)
    domain = world.store.domains[key]
    assert (domain.klass, domain.label, domain.state) == ("StandaloneVM", LABELS["blue"], DomainState.HALTED)
    copy = Path(domain.config.disks[0].source)
    assert hashlib.sha256(copy.read_bytes()).hexdigest() == digest
    assert copy.stat().st_blocks * 512 < 16 << 20, "holes stay holes"
    assert progress.steps == ["Checking the image’s checksum", "Copying the image"]
    checked, copied = progress.amounts.values()
    size = copy.stat().st_size
    assert checked[-1] == (size, size)
    # Holes at the end are not read.
    assert 0 < copied[-1][0] <= copied[-1][1] == size
    assert await world.removal.describe_loss(domain)
    await world.removal.remove(key)
    assert not copy.exists()
    assert not world.named("made")


async def test_a_raw_image_becomes_qcow2_in_which_a_guest_can_write_no_header(world: World, image: Path) -> None:
    progress = HeardProgress()
    key = await world.creation.create(world.uri, request(image), progress=progress)
    (volume,) = world.store.domains[key].config.volumes
    copy = Path(world.store.domains[key].config.disks[0].source)
    assert (volume.format, copy.name) == ("qcow2", volume.name)
    run_tool_now(["qemu-img", "compare", "-f", "raw", "-F", "qcow2", image, copy])
    assert copy.stat().st_blocks * 512 < 16 << 20, "holes stay holes"
    assert progress.steps == ["Converting the image", "Copying the image"]
    await world.removal.remove(key)


async def test_a_moved_image_is_gone(world: World, image: Path) -> None:
    key = await world.creation.create(world.uri, request(image, move=True))
    assert not image.exists()
    await world.removal.remove(key)


async def test_an_iso_becomes_a_domain_to_install_into(world: World, shared_folder: Path) -> None:
    iso = shared_folder / "install.iso"
    sectors = bytearray(64 << 10)
    sectors[32768:32774] = b"\x01CD001"
    sectors[34816:34822] = b"\xffCD001"
    iso.write_bytes(sectors)
    key = await world.creation.create(world.uri, request(iso))
    kinds = {d.kind: d.source for d in world.store.domains[key].config.disks}
    assert kinds["cdrom"] == str(iso)
    assert kinds["disk"].endswith(".root.qcow2")
    await world.removal.remove(key)
    assert iso.exists()


async def left_over(world: World) -> list[str]:
    names = await volume_store.volume_names(world.hosts.connection(world.uri), volume_store.POOL)
    return [name for name in names if name.startswith("made")]


async def test_a_wrong_checksum_stops_it_and_says_both(world: World, image: Path) -> None:
    with pytest.raises(Refused, match=f"expected {'0' * 64}, found [0-9a-f]{{64}}"):
        await world.creation.create(world.uri, request(image, checksum="0" * 64))
    assert not world.named("made")
    assert await left_over(world) == []


async def test_what_is_no_image_is_refused(world: World, shared_folder: Path) -> None:
    text = shared_folder / "notes.txt"
    text.write_text("hello\n" * 5000)
    with pytest.raises(Refused, match=r"“notes.txt” is not a disk image"):
        await world.creation.create(world.uri, request(text))
    with pytest.raises(NotFound, match="there is no file"):
        await world.creation.create(world.uri, request(shared_folder / "missing.img"))
    with pytest.raises(Refused, match="is not a file"):
        await world.creation.create(world.uri, request(shared_folder))
    secret = shared_folder / "pulls.qcow2"
    run_tool_now(["qemu-img", "create", "-f", "qcow2", "-b", "/etc/hostname", "-F", "raw", secret])
    with pytest.raises(Refused, match="refers to another file"):
        await world.creation.create(world.uri, request(secret))
    assert not world.named("made")


async def test_names_are_checked_before_anything_is_made(world: World, image: Path) -> None:
    for name in ("", "1a", "a b", "x" * 32, "dom0", "../up"):
        with pytest.raises(BadInput):
            await world.creation.create(world.uri, request(image, name=name))
    key = await world.creation.create(world.uri, request(image))
    with pytest.raises(Refused, match="already"):
        await world.creation.create(world.uri, request(image))
    await world.removal.remove(key)


async def test_a_copy_that_is_cancelled_leaves_nothing(world: World, image: Path) -> None:
    image.write_bytes(image.read_bytes() + b"x" * (8 << 20))
    progress = HeardProgress(stop_at="Copying the image")
    with pytest.raises(Cancelled):
        await world.creation.create(world.uri, request(image), progress=progress)
    assert await left_over(world) == []
    assert not world.named("made")


async def test_a_name_that_somebody_takes_meanwhile_leaves_no_volume(world: World, image: Path) -> None:
    # A world that hears no events still believes that the name is free; libvirt rejects the definition.
    late = World(world.uri, watch=False)
    await late.hosts.load(world.uri)
    raw = libvirt.open(world.uri)
    xml = "<domain type='qemu'><name>made</name><memory>65536</memory><os><type>hvm</type></os></domain>"
    other = raw.defineXML(xml)
    try:
        with pytest.raises(HostCallFailed, match=r"cannot create “made”: .*already exists"):
            await late.creation.create(world.uri, request(image))
        assert await left_over(world) == []
    finally:
        other.undefine()
        raw.close()
        await late.hosts.close()


async def test_the_demo_comes_and_goes_whole(world: World, tiny_guest: TinyGuest) -> None:
    made = await world.demo.create(world.uri)
    assert [world.store.domains[key].name for key in made] == ["work", "personal", "untrusted"]
    assert [world.store.domains[key].label for key in made] == [LABELS[name] for name in ("blue", "yellow", "red")]
    assert await world.demo.create(world.uri) == []
    await asyncio.gather(*(world.lifecycle.start(key) for key in made))
    assert await asyncio.gather(*(world.commands.run(key, "true") for key in made)) == [0, 0, 0]
    assert sorted(await world.demo.remove(world.uri)) == ["personal", "untrusted", "work"]
    raw = libvirt.open(world.uri)
    assert not {d.name() for d in raw.listAllDomains()} & {"work", "personal", "untrusted"}
    raw.close()
