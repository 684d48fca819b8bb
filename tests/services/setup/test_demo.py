"""The demo domains come and go whole; the guest that they boot is two small files here, and none of them runs."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from qubes_manager.backend.domains.new_domain import NewDomain
from qubes_manager.backend.guests.tiny_guest import TinyGuest
from qubes_manager.core.domain import DomainConfig
from qubes_manager.services.setup import demo as module
from qubes_manager.services.setup.demo import DEMO_LABELS, DEMO_TAG
from tests.services.conftest import MakeWorld, World


@pytest.fixture
def guest(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[TinyGuest]:
    """Two small files, which are what is built."""
    guest = TinyGuest(tmp_path / "vmlinuz", tmp_path / "initrd.gz", "digest")
    guest.kernel.write_bytes(b"kernel")
    guest.initrd.write_bytes(b"initrd")
    monkeypatch.setattr(module, "build_tiny_guest", lambda _cache, _progress: guest)
    yield guest


@pytest.mark.usefixtures("guest")
async def test_those_that_are_missing_are_made_and_all_boot_the_same_files(qemu_world: World) -> None:
    demo, uri = qemu_world.demo, qemu_world.uri
    made = await demo.create(uri)
    assert {(d.name, d.label.name if d.label else "") for d in demo.domains(uri)} == set(DEMO_LABELS.items())
    assert len({qemu_world.store.require(key).config.kernel for key in made}) == 1
    assert await demo.create(uri) == []
    await qemu_world.removal.remove(qemu_world.named("personal").key)
    (again,) = await demo.create(uri)
    assert qemu_world.store.require(again).name == "personal"
    assert len(await qemu_world.volume_names()) == 2
    # The fixture sees that domains and files are gone.
    assert sorted(await demo.remove(uri)) == ["personal", "untrusted", "work"]


async def test_what_only_has_the_name_of_one_is_neither_made_anew_nor_removed(
    qemu_world: World, guest: TinyGuest
) -> None:
    demo, uri = qemu_world.demo, qemu_world.uri
    own = await demo.create_one(uri, guest, "work", "green", frozenset())
    assert len(await demo.create(uri)) == 2
    assert sorted(await demo.remove(uri)) == ["personal", "untrusted"]
    assert "work" in await qemu_world.names()
    # It boots what they booted.
    assert len(await qemu_world.volume_names()) == 2
    await qemu_world.removal.remove(own)
    assert await demo.remove(uri) == []
    assert await qemu_world.volume_names() == []


async def test_where_all_names_are_taken_nothing_is_built(
    driver_world: MakeWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Nothing could be built.
    monkeypatch.setenv("PATH", "/nonexistent")
    config = DomainConfig(tags=frozenset({DEMO_TAG}))
    first = NewDomain("work", config)
    world = await driver_world([first, *(replace(first, name=name) for name in ("personal", "untrusted"))])
    assert await world.demo.create(world.uri) == []
