"""The microphone on a real sound server; what a program records in a domain's place stands for its QEMU, and a real
one is in tests/backend/host/test_microphone_streams.py."""

import contextlib
from collections.abc import Iterator
from dataclasses import replace

import pytest

from qubes_manager.backend.host import microphone_streams as streams
from qubes_manager.core.devices.identity import parse_device_name
from qubes_manager.core.devices.microphone import Microphone
from qubes_manager.core.domain import Domain, DomainKey, DomainState
from qubes_manager.core.errors import BadInput, HostCallFailed, Refused
from qubes_manager.services.devices.kind import DeviceKind, Holder
from qubes_manager.services.devices.microphone import Microphones
from qubes_manager.services.hosts.hosts import Hosts
from qubes_manager.services.hosts.store import DomainStore
from tests.backend.host.test_microphone_streams import ear, plug_in, there
from tests.build import domain
from tests.sound import SoundServer, sound_server
from tests.waiting import soon

URI = "qemu:///session"


def of_session(name: str, state: DomainState = DomainState.RUNNING, uri: str = URI) -> Domain:
    return domain(name, key=DomainKey(uri, name), state=state)


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[SoundServer]:
    with sound_server() as running:
        plug_in(running)
        monkeypatch.setenv("PULSE_SERVER", running.address)
        yield running


@pytest.fixture
def kind() -> Microphones:
    store = DomainStore()
    store.put([of_session("work"), of_session("play"), of_session("off", DomainState.HALTED)])
    store.put([of_session("far", uri="qemu:///system")])
    return Microphones(Hosts(store, watch=False), store)


WORK = DomainKey(URI, "work")


async def test_it_is_off_and_on_for_one_domain(server: SoundServer, kind: Microphones) -> None:
    microphone: DeviceKind = kind
    assert await kind.prepare(of_session("work"), "work")
    with ear(server):
        await there(server)
        [offered] = await microphone.offered(URI)
        assert offered.device == await microphone.find(URI, parse_device_name("dom0:mic")) and not offered.holders
        assert await microphone.give(WORK, offered.device, {}) == "mic"
        [offered] = await microphone.offered(URI)
        [holder] = offered.holders
        assert [(one.port, held) for one, held in await microphone.held(of_session("work"))] == [("mic", holder)]
        assert await microphone.held(of_session("play")) == []
        assert (holder.domain.name, holder.later) == ("work", False)
        assert await microphone.take(holder, offered.device) == "“work” hears nothing any more"
        [offered] = await microphone.offered(URI)
        assert not offered.holders


async def test_after_its_start_it_is_off_whatever_the_server_kept(server: SoundServer, kind: Microphones) -> None:
    with ear(server):
        assert [one.hears for one in await there(server)] == [True]
        await kind.settle(WORK)
        assert [one.hears for one in await streams.recorders(server.address)] == [False]


async def test_who_cannot_hear_is_told_why(server: SoundServer, kind: Microphones) -> None:
    device = Microphone()
    for key, words in (
        (WORK, "“work” was started without a way to hear: assign the microphone"),
        (DomainKey(URI, "off"), "“off” is not running"),
        (DomainKey("qemu:///system", "far"), "does not run as the user"),
    ):
        with pytest.raises(Refused, match=words):
            await kind.give(key, device, {})
    with pytest.raises(BadInput):
        await kind.give(WORK, device, {"read-only": "yes"})
    assert await kind.offered("qemu:///system") == [] and not await kind.prepare(of_session("x", uri="test:///x"), "x")


async def test_one_who_follows_sees_who_hears(server: SoundServer, kind: Microphones) -> None:
    await kind.prepare(of_session("work"), "work")
    async with contextlib.aclosing(kind.follow(URI)) as news:
        assert await anext(news) == frozenset()
        with ear(server):
            await there(server)
            await kind.give(WORK, Microphone(), {})
            async with soon():
                while await anext(news) != {WORK}:
                    pass
        async with soon():
            while await anext(news):
                pass


async def test_without_a_sound_server_there_is_none_and_nobody_is_told_that_it_is_off(
    monkeypatch: pytest.MonkeyPatch, kind: Microphones
) -> None:
    monkeypatch.setenv("PULSE_SERVER", "unix:/nonexistent/native")
    assert await kind.offered(URI) == [] and not await kind.prepare(of_session("work"), "work")
    with pytest.raises(HostCallFailed, match=r"“work” may still hear what is said: .*Shut it down"):
        await kind.take(Holder(replace(of_session("work")), "mic"), Microphone())
