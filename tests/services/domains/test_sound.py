"""Who gets sound at a start, on a real libvirt and at a real sound server; what is heard then is in
tests/integration/test_sound.py."""

import contextlib
from collections.abc import AsyncIterator, Iterator

import pytest

from qubes_manager.backend.domains import finishing
from qubes_manager.backend.domains.domain_actions import define, undefine
from qubes_manager.backend.domains.domain_xml import DomainEdit
from qubes_manager.backend.domains.microphone_xml import can_hear
from qubes_manager.backend.domains.new_domain import NewDomain
from qubes_manager.backend.host import microphone_streams as streams
from qubes_manager.backend.host import sound_server as sounds
from qubes_manager.backend.xml import parse
from qubes_manager.core.devices.assignment import Assignment, Mode
from qubes_manager.core.devices.identity import ANY, DeviceClass
from qubes_manager.core.devices.microphone import hearing
from qubes_manager.core.domain import DomainClass, DomainConfig, DomainKey, DomainState
from qubes_manager.core.errors import HostCallFailed, Refused
from qubes_manager.core.hardware import SoundDevice
from qubes_manager.core.sound import PLAYING, SILENT
from qubes_manager.services.hosts.domain_access import actions_on
from tests.backend.host.test_microphone_streams import ear, plug_in, there
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
    async with sounds.talk(server.address) as pulse:
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


# Hearing.


@pytest.fixture
def microphone(server: SoundServer) -> Iterator[SoundServer]:
    """The user's sound server, with a microphone that hums."""
    number = plug_in(server)
    yield server
    server.pactl("unload-module", number)


async def assign(world: World, name: str = "app", mode: Mode = Mode.ASK) -> None:
    await world.devices.assign(world.named(name).key, Assignment(DeviceClass.MIC, "mic", ANY, mode))


async def unassign(world: World, name: str = "app") -> None:
    await world.devices.unassign(world.named(name).key, lambda _one: True)


async def has_way_to_hear(world: World, name: str = "app") -> bool:
    return can_hear(parse(await stored_xml(world, name)))


async def gets_way_to_hear(world: World, name: str = "app") -> bool:
    """Whether a domain has it while it starts; at rest it has none."""
    async with world.sound.playing(world.named(name).key):
        found = await has_way_to_hear(world, name)
    at_rest = await stored_xml(world, name)
    assert not can_hear(parse(at_rest)) and "micro" not in at_rest
    return found


async def keep_unmuted(server: SoundServer, name: str) -> None:
    """Let the server keep that a domain hears from its first moment on."""
    with ear(server, f"[{name}]", f"--stream-name=[{name}]"):
        [found] = await there(server)
        # Servers note what changes.
        for muted in ("1", "0"):
            server.pactl("set-source-output-mute", str(found.index), muted)
    await there(server, 0)


@contextlib.asynccontextmanager
async def started(world: World, name: str = "app") -> AsyncIterator[DomainKey]:
    """A domain that a start by us has started, with a QEMU that has nothing to boot."""
    key = world.named(name).key
    try:
        async with world.sound.playing(key):
            await actions_on(world.hosts, world.named(name)).start()
        await world.hosts.refresh(key)
        yield key
    finally:
        await actions_on(world.hosts, world.store.require(key)).kill()
        await world.hosts.refresh(key)


async def heard_by(server: SoundServer) -> frozenset[str]:
    return hearing(await streams.recorders(server.address))


async def test_who_the_microphone_is_assigned_to_gets_a_way_to_hear_for_its_start(
    world: World, server: SoundServer
) -> None:
    assert not await gets_way_to_hear(world)
    for mode in (Mode.ASK, Mode.AUTO):
        await assign(world, mode=mode)
        assert await gets_way_to_hear(world) and not await gets_way_to_hear(world, "muted")
    await unassign(world)
    assert not await gets_way_to_hear(world)


async def test_a_start_that_was_killed_leaves_nobody_a_way_to_hear(world: World, server: SoundServer) -> None:
    def write(document: DomainEdit) -> None:
        document.put_sound(server.address)
        assert document.put_microphone()

    await actions_on(world.hosts, world.named("app")).edit_config(write)
    assert await has_way_to_hear(world)
    assert not await gets_way_to_hear(world)


async def test_a_start_that_fails_leaves_nobody_a_way_to_hear(world: World, server: SoundServer) -> None:
    await assign(world)
    with pytest.raises(RuntimeError, match="no"):
        async with world.sound.playing(world.named("app").key):
            raise RuntimeError("no")
    assert not await has_way_to_hear(world)


async def test_what_is_never_to_get_it_does_not(world: World, server: SoundServer) -> None:
    await assign(world)
    await world.properties.set_devices_denied(world.named("app").key, "m******")
    assert not await gets_way_to_hear(world)


async def test_where_the_server_keeps_nothing_it_starts_without(
    world: World, server: SoundServer, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    async def cannot(*_args: object) -> bool:
        return False

    monkeypatch.setattr(world.microphones, "prepare", cannot)
    await assign(world)
    assert not await gets_way_to_hear(world)
    assert "“app” starts without the microphone that is assigned to it: the sound server does not keep" in caplog.text
    assert await sound_while_it_starts(world, "app") == SoundDevice(PLAYING, server.address)


async def test_it_records_silence_from_before_its_start_on(world: World, microphone: SoundServer) -> None:
    await keep_unmuted(microphone, "app")
    await assign(world)
    async with world.sound.playing(world.named("app").key):
        with ear(microphone, "[app]", "--stream-name=[app]"):
            assert [one.hears for one in await there(microphone)] == [False]


@pytest.mark.parametrize(("mode", "heard"), [(Mode.AUTO, {"app"}), (Mode.ASK, set())])
async def test_after_its_start_it_hears_as_it_is_assigned_whatever_the_server_has_kept(
    world: World, microphone: SoundServer, monkeypatch: pytest.MonkeyPatch, mode: Mode, heard: set[str]
) -> None:
    async def as_if_kept(*_args: object) -> bool:
        return True

    settled: list[frozenset[str]] = []
    settle = world.microphones.settle

    async def settle_and_look(key: DomainKey) -> None:
        settled.append(await heard_by(microphone))
        await settle(key)
        settled.append(await heard_by(microphone))

    await keep_unmuted(microphone, "app")
    monkeypatch.setattr(world.microphones, "prepare", as_if_kept)
    monkeypatch.setattr(world.microphones, "settle", settle_and_look)
    await assign(world, mode=mode)
    async with started(world):
        assert settled == [{"app"}, frozenset()]
        assert await heard_by(microphone) == heard
        assert not await has_way_to_hear(world)


async def test_one_that_may_hear_unasked_does_not_run(
    world: World, microphone: SoundServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def fail(_key: DomainKey) -> None:
        raise HostCallFailed("no answer", "raw")

    monkeypatch.setattr(world.microphones, "settle", fail)
    await assign(world, mode=Mode.AUTO)
    key = world.named("app").key
    try:
        with pytest.raises(HostCallFailed, match=r"“app” was killed at its start, .*: no answer"):
            async with world.sound.playing(key):
                await actions_on(world.hosts, world.named("app")).start()
        assert world.named("app").state is DomainState.HALTED and not await has_way_to_hear(world)
        await world.hosts.refresh(key)
        assert world.named("app").state is DomainState.HALTED
    finally:
        await actions_on(world.hosts, world.named("app")).kill()


async def save(world: World, key: DomainKey) -> None:
    await world.hosts.connection(world.uri).on_domain(key.uuid, "save", lambda raw: raw.managedSave(0))
    await world.hosts.refresh(key)
    assert world.store.require(key).state is DomainState.SAVED


async def test_a_saved_one_that_heard_hears_nothing_when_it_goes_on(
    world: World, microphone: SoundServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    await assign(world, mode=Mode.AUTO)
    async with started(world) as key:
        assert await heard_by(microphone) == {"app"}
        await save(world, key)
        # Meanwhile it is not to hear any more, which no saved state knows.
        await unassign(world)
        await there(microphone, 0)

        async def cannot(*_args: object) -> bool:
            return False

        with monkeypatch.context() as patch:
            patch.setattr(world.microphones, "prepare", cannot)
            with pytest.raises(Refused, match="was saved with a way to hear"):
                async with started(world):
                    pytest.fail("it goes on")
        assert world.named("app").state is DomainState.SAVED

        async def as_if_kept(*_args: object) -> bool:
            return True

        await keep_unmuted(microphone, "app")
        with monkeypatch.context() as patch:
            patch.setattr(world.microphones, "prepare", as_if_kept)
            async with started(world):
                assert [one.hears for one in await there(microphone)] == [False]


async def test_a_saved_one_goes_on_hearing_as_it_is_assigned(world: World, microphone: SoundServer) -> None:
    await assign(world, mode=Mode.AUTO)
    async with started(world) as key:
        await save(world, key)
        async with started(world):
            assert await heard_by(microphone) == {"app"}


async def test_a_saved_one_without_a_way_to_hear_needs_no_sound_server(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PULSE_SERVER", "unix:/nonexistent/native")
    async with started(world) as key:
        await save(world, key)
        await assign(world, mode=Mode.AUTO)
        async with started(world):
            assert world.named("app").state.is_active
