"""Calls between this machine and a guest."""

import asyncio
import os
import socket
from typing import Any

import pytest

from qubes_manager.core.crossing.guest_messages import FAILED, Cancel, End, Ended, ErrorText, Sent
from qubes_manager.core.domain import DomainState
from qubes_manager.core.errors import GuestError, Refused, TimedOut
from qubes_manager.services.broker.guests import conversation, host_calls, patience
from qubes_manager.services.broker.guests.conversation import Result
from tests.services.broker.conftest import Crossing, key_of
from tests.services.broker.fake_guest import FakeGuest
from tests.services.broker.waits import LITTLE, waits_of
from tests.waiting import soon, until


async def echo(guest: FakeGuest, size: int, code: int = 0, reason: str = "") -> None:
    """Serve one call: say the *size* bytes that it is told."""
    start, port = await guest.started()
    told = await port.read_exactly(size)
    assert await guest.hear(End) == End(start.call, size)
    await guest.send(port, start.call, told)
    port.close()
    await guest.say(Ended(start.call, code, reason))


async def test_what_a_service_says_is_the_answer(crossing: Crossing) -> None:
    work = await crossing.guest("work")
    serving = asyncio.create_task(echo(work, 5))
    assert await crossing.broker.host_calls.ask(key_of(work), "my.Echo", data=b"hello", limit=100) == b"hello"
    await serving
    await until(lambda: crossing.session(work).ports.free == 0)


async def test_a_conversation_carries_megabytes_both_ways_and_what_went_wrong(crossing: Crossing) -> None:
    work = await crossing.guest("work")
    data = os.urandom(3 << 20)

    async def serve() -> None:
        start, port = await work.started()
        assert (start.source, start.target, start.user, start.argument) == ("dom0", "work", "root", "arg")
        await work.say(ErrorText(start.call, "careful\n"))
        assert await port.read_exactly(len(data)) == data
        await port.write(data)
        await work.say(Sent(start.call, len(data)), Ended(start.call, 3))
        port.close()

    serving = asyncio.create_task(serve())
    async with await crossing.broker.host_calls.open(key_of(work), "my.Echo", "arg", user="root") as talk:
        await talk.write(data)
        await talk.finish()
        got = bytearray()
        while piece := await talk.read():
            got += piece
        assert got == data
        assert await talk.result() == Result(3)
        assert talk.error_text == "careful\n"
    await serving


async def test_an_answer_that_is_too_long_is_cut_off(crossing: Crossing) -> None:
    work = await crossing.guest("work")
    serving = asyncio.create_task(echo(work, 5))
    with pytest.raises(GuestError, match="“work” answers with more than 4 bytes"):
        await crossing.broker.host_calls.ask(key_of(work), "my.Echo", data=b"hello", limit=4)
    await serving


@pytest.mark.parametrize(("code", "kind"), [(1, GuestError), (FAILED, GuestError), (126, Refused)])
async def test_a_service_that_fails_says_why(crossing: Crossing, code: int, kind: type[Exception]) -> None:
    work = await crossing.guest("work")
    serving = asyncio.create_task(echo(work, 1, code, "no xclip here"))
    with pytest.raises(kind, match="no xclip here"):
        await crossing.broker.host_calls.ask(key_of(work), "my.Echo", data=b"x", limit=4)
    await serving


async def test_a_guest_that_takes_its_time_is_given_up_and_its_port_is_free_again(crossing: Crossing) -> None:
    work = await crossing.guest("work")
    asking = asyncio.create_task(
        crossing.broker.host_calls.ask(key_of(work), "my.Slow", data=b"x", limit=4, timeout=0.5)
    )
    _start, port = await work.started()
    with pytest.raises(TimedOut, match="“work” has not answered within 0 s"):
        await asking
    await work.hear_until(Cancel)
    port.close()
    await until(lambda: crossing.session(work).ports.free == 0)


async def test_a_guest_that_owes_bytes_or_reads_none_is_given_up(
    crossing: Crossing, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(patience, "STALL", 0.3)
    work = await crossing.guest("work")
    opening = asyncio.create_task(crossing.broker.host_calls.open(key_of(work), "my.Service"))
    start, _port = await work.started()
    async with await opening as talk:
        with pytest.raises(TimedOut, match="has not read what it was sent"):
            while True:
                await talk.write(bytes(1 << 20))
    opening = asyncio.create_task(crossing.broker.host_calls.open(key_of(work), "my.Service"))
    await work.hear(Cancel)
    start, port = await work.started()
    await port.write(b"abc")
    await work.say(Sent(start.call, 5))
    async with await opening as talk:
        assert await talk.read() == b"abc"
        with pytest.raises(TimedOut, match="has not sent what it announced"):
            await talk.read()


async def test_a_guest_that_stands_still_has_more_time_and_all_of_it_again_when_it_goes_on(
    crossing: Crossing, monkeypatch: pytest.MonkeyPatch
) -> None:
    waited = waits_of(monkeypatch)
    work = await crossing.guest("work")
    opening = asyncio.create_task(crossing.broker.host_calls.open(key_of(work), "my.Service"))
    start, port = await work.started()
    await work.say(Sent(start.call, 3))
    async with await opening as talk:
        crossing.put(work, DomainState.PAUSED)
        reading = asyncio.create_task(talk.read())
        await until(lambda: max(waited, default=0) > 2 * LITTLE)
        crossing.put(work, DomainState.RUNNING)
        await port.write(b"abc")
        assert await reading == b"abc"


async def test_more_than_was_announced_is_no_answer(crossing: Crossing) -> None:
    work = await crossing.guest("work")
    opening = asyncio.create_task(crossing.broker.host_calls.open(key_of(work), "my.Service"))
    start, port = await work.started()
    await port.write(b"abcdef")
    async with await opening as talk:
        assert await talk.read(6) == b"abcdef"
        await work.say(Sent(start.call, 5))
        with pytest.raises(GuestError, match="more than the 5 bytes that it announced"):
            await talk.read()


@pytest.mark.parametrize("how", ["port closed", "tools gone", "domain gone", "stopped"])
async def test_a_guest_that_goes_away_ends_the_conversation(crossing: Crossing, how: str) -> None:
    work = await crossing.guest("work")
    opening = asyncio.create_task(crossing.broker.host_calls.open(key_of(work), "my.Service"))
    start, port = await work.started()
    async with await opening as talk:
        reading = asyncio.create_task(talk.read())
        match how:
            case "port closed":
                port.close()
            case "tools gone":
                work.requests.close()
            case "domain gone":
                crossing.put(work, DomainState.HALTED)
            case "stopped":
                await work.say(Cancel(start.call, "no"))
        with pytest.raises(GuestError, match="“work”"):
            async with soon():
                await reading


async def test_a_domain_that_does_not_run_or_does_not_answer_is_said_to_be_so(
    crossing: Crossing, monkeypatch: pytest.MonkeyPatch
) -> None:
    mute = await crossing.guest("mute", begin=False)
    monkeypatch.setattr(host_calls, "PATIENCE", 0.3)
    with pytest.raises(TimedOut, match="the guest tools of “mute” have not answered within 0 s"):
        await crossing.broker.host_calls.open(key_of(mute), "my.Service", patience=0.3)
    with pytest.raises(TimedOut, match="choose “Update guest tools”"):
        await crossing.broker.host_calls.ask(key_of(mute), "my.Service", limit=1, timeout=0.3)
    crossing.put(mute, DomainState.HALTED)
    with pytest.raises(GuestError, match="“mute” does not run"):
        await crossing.broker.host_calls.open(key_of(mute), "my.Service")


async def test_nothing_is_lost_of_what_comes_in_the_same_moment_as_its_number() -> None:
    """What is received is out of the socket: to give up receiving it then loses it (asyncio's ``sock_recv``)."""
    ours, theirs = socket.socketpair()
    with ours, theirs:
        ours.setblocking(False)
        loop = asyncio.get_running_loop()
        news = loop.create_future()

        def both() -> None:
            news.set_result(None)
            theirs.send(b"x")

        loop.call_soon(loop.call_soon, both)
        waiting = loop.create_task(conversation._readable(ours))
        either: set[asyncio.Future[Any]] = {waiting, news}
        await asyncio.wait(either, timeout=5, return_when=asyncio.FIRST_COMPLETED)
        await conversation._end(waiting)
        assert ours.recv(9) == b"x"
