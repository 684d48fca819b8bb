"""Who gets sound at a start, on a real libvirt and at a real sound server; what is heard then is in
tests/integration/test_sound.py."""

from collections.abc import AsyncIterator, Iterator

import pytest

from qubes_manager.backend.domains import finishing
from qubes_manager.backend.domains.domain_actions import define, undefine
from qubes_manager.backend.domains.new_domain import NewDomain
from qubes_manager.backend.host import sound_server as sounds
from qubes_manager.core.domain import DomainClass, DomainConfig, DomainKey
from qubes_manager.core.hardware import SoundDevice
from qubes_manager.core.sound import PLAYING, SILENT
from qubes_manager.services.hosts.domain_access import actions_on
from tests.driver import HALTED
from tests.services.conftest import MakeWorld, World
from tests.sound import SoundServer, sound_server
from tests.waiting import soon

APP = DomainConfig(klass=DomainClass.APP)
NOBODY = SoundDevice(SILENT)


@pytest.fixture(scope="module")
def running_server() -> Iterator[SoundServer]:
    with sound_server() as server:
        yield server


@pytest.fixture
def server(running_server: SoundServer, monkeypatch: pytest.MonkeyPatch) -> SoundServer:
    """The user's."""
    monkeypatch.setenv("PULSE_SERVER", running_server.address)
    return running_server


@pytest.fixture
async def world(qemu_world: World) -> AsyncIterator[World]:
    """With a halted domain of each kind."""
    connection = qemu_world.hosts.connection(qemu_world.uri)
    kinds = {
        "app": APP,
        "muted": DomainConfig(klass=DomainClass.APP, muted=True),
        "debian": DomainConfig(klass=DomainClass.TEMPLATE),
        "foreign": DomainConfig(),
    }
    made = [
        await define(connection, name, NewDomain(name, kind, virt_type="qemu").xml()) for name, kind in kinds.items()
    ]
    await qemu_world.hosts.refresh_host(qemu_world.uri)
    yield qemu_world
    for uuid in made:
        await undefine(connection, uuid, "of the test")


async def sound_of(world: World, name: str) -> SoundDevice | None:
    return (await world.properties.stored(world.named(name).key)).config.sound


async def stored_xml(world: World, name: str) -> str:
    return await finishing.stored_xml(world.hosts.connection(world.uri), world.named(name).key.uuid, name)


async def leave_playing(world: World, name: str, server: str) -> None:
    """Leave a domain as a program does that ends in the midst of its start."""
    await actions_on(world.hosts, world.named(name)).edit_config(lambda document: document.put_sound(server))
    await world.hosts.refresh(world.named(name).key)


async def sound_while_it_starts(world: World, name: str) -> SoundDevice | None:
    async with world.sound.playing(world.named(name).key):
        return await sound_of(world, name)


async def test_at_its_start_an_appvm_plays_to_the_user_and_at_rest_to_nobody(world: World, server: SoundServer) -> None:
    for _ in range(2):
        assert await sound_while_it_starts(world, "app") == SoundDevice(PLAYING, server.address)
        assert await sound_of(world, "app") == NOBODY, "who else starts it may have no sound server"


async def test_a_muted_one_is_muted_before_it_starts(world: World, server: SoundServer) -> None:
    told: list[tuple[str, bool]] = []
    for name in ("muted", "app"):
        await sound_while_it_starts(world, name)
    async with sounds._talk(server.address) as pulse:
        told = [(entry.name, bool(entry.mute)) for entry in await pulse.stream_restore_list()]
    known = "sink-input-by-application-name:"
    assert {(f"{known}[muted]", True), (f"{known}[app]", False)} <= {*told}


@pytest.mark.parametrize("name", ["debian", "foreign"])
async def test_templates_and_foreign_domains_are_left_as_they_are(world: World, server: SoundServer, name: str) -> None:
    assert await sound_while_it_starts(world, name) is None
    assert await sound_of(world, name) is None


async def test_without_a_sound_server_it_starts_all_the_same(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PULSE_SERVER", "unix:/nonexistent/native")
    assert await sound_while_it_starts(world, "app") == NOBODY


async def test_whether_qemu_can_play_is_asked_once(
    world: World, server: SoundServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[str] = []

    def can_play(emulator: str) -> bool:
        asked.append(emulator)
        return False

    monkeypatch.setattr(sounds, "can_play", can_play)
    assert await sound_while_it_starts(world, "app") == NOBODY
    assert await sound_while_it_starts(world, "muted") == NOBODY
    assert len(asked) == 1 and asked[0].endswith("qemu-system-x86_64")


async def test_what_is_to_be_silent_loses_its_device(world: World, server: SoundServer) -> None:
    await sound_while_it_starts(world, "app")
    await world.properties.set_audiovm(world.named("app").key, SILENT)
    assert await sound_while_it_starts(world, "app") is None
    assert await sound_of(world, "app") is None


async def test_a_start_that_fails_leaves_it_at_rest(world: World, server: SoundServer) -> None:
    with pytest.raises(RuntimeError, match="no"):
        async with world.sound.playing(world.named("app").key):
            raise RuntimeError("no")
    assert await sound_of(world, "app") == NOBODY


async def test_where_qemu_does_not_run_as_the_user_nothing_is_touched(
    driver_world: MakeWorld, server: SoundServer
) -> None:
    world = await driver_world([NewDomain("app", APP)], states={"app": HALTED})
    assert await sound_while_it_starts(world, "app") is None
    assert await world.sound.server_for(world.named("app"), "app") == ""


async def test_to_mute_what_does_not_run_needs_no_sound_server(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PULSE_SERVER", "unix:/nonexistent/native")
    key: DomainKey = world.named("app").key
    async with soon():
        await world.properties.set_muted(key, True)
    assert world.store.require(key).config.muted


async def test_a_start_that_was_killed_leaves_a_renamed_domain_no_other_name(world: World, server: SoundServer) -> None:
    await leave_playing(world, "app", server.address)
    key = world.named("app").key
    await world.properties.rename(key, "new")
    async with world.sound.playing(key):
        xml = await stored_xml(world, "new")
    assert "[app]" not in xml
    assert "streamName='[new]'" in xml and "application.name=&quot;[new]&quot;" in xml


async def test_what_nobody_answers_for_keeps_no_domain_from_its_start(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    await leave_playing(world, "app", "")
    # As it was left where another program took our device out while the domain started, and the next start made one.
    stray = '<audio id="9" type="pulseaudio" serverName="unix:/gone/native"><output streamName="[app]"/></audio>'
    xml = (await stored_xml(world, "app")).replace("</devices>", f"{stray}</devices>")
    await define(world.hosts.connection(world.uri), "app", xml)
    await world.hosts.refresh(world.named("app").key)
    monkeypatch.setenv("PULSE_SERVER", "unix:/nonexistent/native")
    assert await sound_while_it_starts(world, "app") == NOBODY
    assert "/gone/native" not in await stored_xml(world, "app")
