"""A guest's request port: what hostile guests say, do not read, open and close."""

import asyncio
import json
import time

import pytest

from qubes_manager.backend.user.port_holder import HeldPort, PortHolder
from qubes_manager.core.crossing.guest_messages import End, Ended, Hello
from qubes_manager.core.domain import DomainState
from qubes_manager.core.errors import HostCallFailed
from qubes_manager.core.json_lines import LineBuffer
from qubes_manager.services.broker.guests import session, sessions
from qubes_manager.services.hosts.store import Batch
from tests.services.broker.conftest import Crossing, key_of
from tests.services.broker.fake_guest import FakeGuest, resident_bytes
from tests.waiting import soon, until

MIB, SOME = 1 << 20, 1 << 14
REQUEST = json.dumps(
    {
        "type": "call",
        "call": 1,
        "service": "none.Such",
        "argument": "",
        "target": "x",
        "names": [],
        "count": 0,
        "size": 0,
    }
).encode()


async def flood(guest: FakeGuest, data: bytes) -> None:
    """Say it as fast as the host takes it."""
    while True:
        await guest.say_bytes(data)
        await asyncio.sleep(0)


async def works(work: FakeGuest, vault: FakeGuest) -> None:
    """Two others have a call go through as if nothing was."""
    await work.ask(7, "my.Service", "vault")
    start, callee = await vault.started()
    caller = await work.accepted(7)
    await work.send(caller, 7, b"x" * SOME)
    assert await callee.read_exactly(SOME) == b"x" * SOME
    assert await vault.hear(End) == End(start.call, SOME)
    await vault.send(callee, start.call, b"")
    await vault.say(Ended(start.call, 0))
    assert (await work.hear_until(Ended)).code == 0


@pytest.mark.parametrize(
    "data",
    [REQUEST + b"\n", b"\n", b"x" * 65536, b"{}\n", b"\x00\xff" * 1000 + b"\n", b"[" * 5000 + b"\n"],
    ids=["requests", "empty lines", "no end", "no messages", "no text", "deep"],
)
async def test_a_guest_that_says_as_much_as_it_can_is_read_at_a_rate_and_disturbs_nobody(
    crossing: Crossing, data: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    read = 0

    class Counting(LineBuffer):
        def lines(self, data: bytes) -> list[bytes]:
            nonlocal read
            read += len(data)
            return super().lines(data)

    work, vault = await crossing.guest("work"), await crossing.guest("vault")
    monkeypatch.setattr(session, "LineBuffer", Counting)
    began = time.monotonic()
    evil = await crossing.guest("evil")
    flooding = asyncio.create_task(flood(evil, data * max(1, 20_000 // len(data))))
    # It has said all that it may at once.
    await until(lambda: read >= session._READ)
    async with soon():
        await works(work, vault)
    may_have_said = (session.BURST + session.RATE * (time.monotonic() - began)) * session._BYTES
    assert read <= may_have_said + 2 * session._READ
    flooding.cancel()


async def test_requests_are_answered_at_a_rate(crossing: Crossing) -> None:
    evil = await crossing.guest("evil")
    requests = b"".join(REQUEST.replace(b'"call": 1,', b'"call": %d,' % number) + b"\n" for number in range(1000))
    saying = asyncio.create_task(evil.say_bytes(requests))
    began = time.monotonic()
    assert {(await evil.hear(Ended)).call for _ in range(60)} == set(range(60))
    # The burst is 40, and 20 come in a second.
    assert time.monotonic() - began > 0.8
    saying.cancel()


async def test_a_guest_that_reads_nothing_is_hung_up_and_little_waits_for_it(
    crossing: Crossing, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(session, "RATE", 1e6)
    deaf = await crossing.guest("deaf")
    flooding = asyncio.create_task(flood(deaf, (REQUEST + b"\n") * 100))
    before = resident_bytes()
    await until(lambda: not crossing.session(deaf).is_ready)
    assert resident_bytes() - before < 16 * MIB
    flooding.cancel()


async def test_tools_that_begin_anew_lose_their_calls_and_are_met(crossing: Crossing) -> None:
    work, vault = await crossing.guest("work"), await crossing.guest("vault")
    await work.ask(7, "my.Service", "vault")
    await vault.started()
    await work.accepted(7)
    await work.say(Hello(begins=True, tools="new"))
    assert not (await work.hear_until(Hello)).begins
    assert crossing.session(work).tools == "new"
    await until(lambda: not crossing.session(work).listeners)


async def test_tools_whose_port_libvirt_writes_down_late_are_met(crossing: Crossing) -> None:
    """As while a saved state is restored: the event came before anybody listened."""
    restored = await crossing.guest("restored", begin=False)
    await until(lambda: restored.requests.connections)
    restored.requests.is_open = True
    assert (await restored.hear(Hello)).begins


async def test_tools_of_another_version_are_not_talked_to(crossing: Crossing, caplog: pytest.LogCaptureFixture) -> None:
    old = await crossing.guest("old", begin=False)
    old.requests.open()
    await old.hear(Hello)
    await old.say(Hello(version=99))
    await until(lambda: "its tools speak version 99" in caplog.text)
    assert not crossing.session(old).is_ready


async def test_hellos_are_repeated_until_there_is_an_answer(
    crossing: Crossing, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(session, "_HELLO_PAUSE", 0.1)
    slow = await crossing.guest("slow", begin=False)
    slow.requests.open()
    for _ in range(3):
        assert (await slow.hear(Hello)).begins
    await slow.say(Hello(begins=False))
    await until(lambda: crossing.session(slow).is_ready)


async def test_a_port_that_opens_and_closes_quickly_is_connected_to_with_growing_pauses(
    crossing: Crossing, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(session, "_FIRST_PAUSE", 0.1)
    restless = await crossing.guest("restless")
    began = time.monotonic()
    while restless.requests.connections < 4:
        restless.requests.close()
        await asyncio.sleep(0.01)
        restless.requests.open()
        await asyncio.sleep(0.01)
    # However fast it goes, 0.1 s, 0.2 s and 0.4 s lie between.
    assert time.monotonic() - began > 0.69
    restless.requests.close()
    await until(lambda: restless.requests.host is None)
    await restless.begin()
    await until(lambda: crossing.session(restless).is_ready)


async def test_while_another_program_has_the_ports_nothing_is_connected_to_and_that_is_logged(
    crossing: Crossing, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(session, "_TAKEN_PAUSE", 0.05)
    work = await crossing.guest("work", begin=False)
    crossing.put(work, DomainState.HALTED)
    await until(lambda: work.requests.host is None)
    count = work.requests.connections
    other = HeldPort(work.uuid, "requests", PortHolder.here("qubes-manager broker", "elsewhere"))
    tries = 0

    def hold(uuid: str, port: str, holder: PortHolder) -> HeldPort:
        nonlocal tries
        tries += 1
        return HeldPort(uuid, port, holder)

    monkeypatch.setattr(session, "HeldPort", hold)
    crossing.put(work, DomainState.RUNNING, number=2)
    await until(lambda: tries > 3)
    assert work.requests.connections == count
    assert caplog.text.count("“work”: nothing crosses to or from it here: qubes-manager broker (process") == 1
    other.close()
    await work.begin()
    await until(lambda: crossing.session(work).is_ready)


async def test_another_run_of_a_domain_is_another_talk(crossing: Crossing) -> None:
    work = await crossing.guest("work")
    first = crossing.session(work)
    crossing.put(work, DomainState.RUNNING, number=2)
    assert crossing.session(work) is not first
    crossing.put(work, DomainState.HALTED)
    assert crossing.broker.sessions.find(key_of(work)) is None
    assert crossing.broker.sessions.is_idle


async def test_who_waits_for_a_guest_has_no_domain_announced_anew(crossing: Crossing) -> None:
    work = await crossing.guest("work", begin=False)
    crossing.services.store.flush()
    batches: list[Batch] = []
    crossing.services.store.on_batch(batches.append)
    crossing.services.store.flush()
    batches.clear()
    waiting = asyncio.create_task(crossing.broker.sessions.ready(key_of(work), 20))
    await work.begin()
    assert await waiting is crossing.session(work)
    crossing.services.store.flush()
    assert not batches


async def test_no_talk_begins_when_all_have_been_ended(crossing: Crossing) -> None:
    work = await crossing.guest("work")
    await crossing.broker.sessions.close()
    crossing.put(work, DomainState.RUNNING, number=2)
    assert crossing.broker.sessions.find(key_of(work)) is None


@pytest.mark.parametrize(
    "error",
    [HostCallFailed("the host is busy"), OSError(28, "No space left on device"), RuntimeError("a fault of ours")],
)
async def test_a_talk_that_could_not_begin_is_tried_again(
    crossing: Crossing, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    monkeypatch.setattr(sessions, "_PAUSE", 0.05)
    troubles = [error]

    def hold(uuid: str, port: str, holder: PortHolder) -> HeldPort:
        if troubles:
            raise troubles.pop()
        return HeldPort(uuid, port, holder)

    monkeypatch.setattr(session, "HeldPort", hold)
    await crossing.guest("work")
    assert not troubles
