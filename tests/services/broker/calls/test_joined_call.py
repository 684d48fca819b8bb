"""A call from one guest to another, once both have their ports."""

import asyncio
import os

import pytest

from qubes_manager.core.crossing.broker_messages import TransferPhase, TransferStatus
from qubes_manager.core.crossing.guest_messages import (
    FAILED,
    Cancel,
    End,
    Ended,
    ErrorText,
    Sent,
    StandsStill,
    Start,
)
from qubes_manager.core.domain import DomainState
from qubes_manager.services.broker.calls import joined_call
from qubes_manager.services.crossing.audit import Outcome
from tests.services.broker.calls.joining import joined
from tests.services.broker.conftest import Crossing
from tests.services.broker.waits import LITTLE, waits_of
from tests.waiting import until


async def test_bytes_go_both_ways_and_the_service_ends_with_its_code(crossing: Crossing) -> None:
    work, caller, vault, callee, number = await joined(crossing)
    await work.send(caller, 7, b"question")
    assert await callee.read_exactly(8) == b"question"
    assert await vault.hear(End) == End(number, 8)
    await vault.say(ErrorText(number, "hm\n"))
    assert await work.hear(ErrorText) == ErrorText(7, "hm\n")
    await vault.send(callee, number, b"answer")
    callee.close()
    await vault.say(Ended(number, 3))
    assert await caller.read_exactly(6) == b"answer"
    assert await work.hear(End) == End(7, 6)
    assert await work.hear(Ended) == Ended(7, 3)
    # Until the caller has read all and closed its end, the host hangs up nothing.
    await until(lambda: not crossing.broker.transfers.statuses)
    assert crossing.session(work).ports.free == 1
    caller.close()
    await until(lambda: not caller.host and not callee.host)
    [decision] = crossing.decisions()
    assert (decision.source, decision.target, decision.outcome) == ("work", "vault", Outcome.ALLOWED)
    assert crossing.session(work).ports.free == crossing.session(vault).ports.free == 0


async def test_megabytes_come_as_they_were_sent_and_the_transfer_tells_how_far_it_is(crossing: Crossing) -> None:
    told = list[TransferStatus]()
    crossing.broker.transfers.changed.connect(told.append)
    work, caller, vault, callee, number = await joined(crossing)
    data = os.urandom(5 << 20)
    sending = asyncio.create_task(work.send(caller, 7, data))
    assert await callee.read_exactly(len(data)) == data
    await sending
    assert await vault.hear(End) == End(number, len(data))
    await vault.say(Sent(number, 0), Ended(number, 0))
    await work.hear(End)
    await work.hear(Ended)
    await until(lambda: told[-1].is_over)
    assert (told[0].source, told[0].phase) == ("work", TransferPhase.ASKING)
    assert (told[-1].target, told[-1].phase, told[-1].moved) == ("vault", TransferPhase.DONE, len(data))


@pytest.mark.parametrize("said", [3, 9])
async def test_a_sender_that_lies_about_how_much_it_sent_ends_the_call(
    crossing: Crossing, said: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("qubes_manager.services.broker.guests.patience.STALL", 0.3)
    work, caller, vault, callee, number = await joined(crossing)
    await caller.write(b"12345")
    await callee.read_exactly(5)
    await work.say(Sent(7, said))
    cancelled = await vault.hear(Cancel)
    ended = await work.hear(Ended)
    assert (cancelled.call, ended.code) == (number, FAILED)
    expected = "sent more than the 3 bytes" if said == 3 else "has not moved a byte"
    assert expected in ended.reason
    assert cancelled.reason == ended.reason
    await until(lambda: not caller.host and not callee.host)


async def test_a_receiver_that_never_reads_ends_the_call_and_little_is_held(
    crossing: Crossing, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("qubes_manager.services.broker.guests.patience.STALL", 0.5)
    work, caller, vault, _callee, number = await joined(crossing)
    written = 0

    async def flood() -> None:
        nonlocal written
        while caller.host:
            await caller.write(bytes(1 << 16))
            written += 1 << 16

    flooding = asyncio.create_task(flood())
    ended = await work.hear(Ended)
    assert "“vault” has not moved a byte" in ended.reason
    assert (await vault.hear(Cancel)).call == number
    assert written < 8 << 20
    flooding.cancel()


async def test_a_domain_that_is_paused_may_let_the_other_one_wait(
    crossing: Crossing, monkeypatch: pytest.MonkeyPatch
) -> None:
    work, caller, vault, callee, number = await joined(crossing)
    waited = waits_of(monkeypatch)
    crossing.put(vault, DomainState.PAUSED)
    data = bytes(4 << 20)
    sending = asyncio.create_task(work.send(caller, 7, data))
    await until(lambda: max(waited, default=0) > 2 * LITTLE)
    crossing.put(vault, DomainState.RUNNING)
    assert await callee.read_exactly(len(data)) == data
    assert await vault.hear(End) == End(number, len(data))
    await sending


async def test_a_callee_hears_now_and_then_that_its_caller_stands_still(
    crossing: Crossing, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(joined_call, "_REMINDER", 0.05)
    monkeypatch.setattr(joined_call, "_TICK", 0.01)
    work, caller, vault, callee, number = await joined(crossing)
    crossing.put(work, DomainState.PAUSED)
    for _ in range(3):
        assert await vault.hear(StandsStill) == StandsStill(number)
    crossing.put(work, DomainState.RUNNING)
    await work.send(caller, 7, b"question")
    assert await callee.read_exactly(8) == b"question"
    assert await vault.hear_until(End) == End(number, 8)


async def test_a_callee_does_not_hear_for_ever_that_its_caller_stands_still(
    crossing: Crossing, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(joined_call, "PAUSED_STALL", 0)
    work, caller, vault, callee, number = await joined(crossing)
    crossing.put(work, DomainState.PAUSED)
    await work.send(caller, 7, b"question")
    assert await vault.hear(End) == End(number, 8)
    await vault.send(callee, number, b"answer")
    assert await work.hear(End) == End(7, 6)
    await vault.say(Ended(number, 0))
    await work.hear(Ended)
    # It has been looked at several times by now.
    await work.ask(8, "my.Service", "vault")
    await vault.hear(Start)


async def test_a_caller_that_stops_a_call_ends_it_on_both_sides(crossing: Crossing) -> None:
    work, caller, vault, callee, number = await joined(crossing)
    await work.say(Cancel(7, "enough"))
    assert await vault.hear(Cancel) == Cancel(number, "“work” has stopped it: enough")
    assert (await work.hear(Ended)).code == FAILED
    await until(lambda: not caller.host and not callee.host)


@pytest.mark.parametrize("who", ["caller", "callee"])
@pytest.mark.parametrize("how", ["port closed", "tools gone", "domain gone"])
async def test_when_one_side_is_killed_the_other_one_is_told(crossing: Crossing, who: str, how: str) -> None:
    work, caller, vault, callee, _number = await joined(crossing)
    gone, port = (work, caller) if who == "caller" else (vault, callee)
    match how:
        case "port closed":
            port.close()
        case "tools gone":
            gone.requests.close()
        case "domain gone":
            crossing.put(gone, DomainState.HALTED)
    reason = (await vault.hear(Cancel)).reason if who == "caller" else (await work.hear(Ended)).reason
    assert f"“{gone.name}”" in reason
    await until(lambda: not caller.host and not callee.host)


@pytest.mark.parametrize("sent", [10, None])
async def test_a_service_that_ended_well_and_did_not_send_what_it_said_has_failed(
    crossing: Crossing, monkeypatch: pytest.MonkeyPatch, sent: int | None
) -> None:
    monkeypatch.setattr(joined_call, "_LAST_WORDS", 0.3)
    work, _caller, vault, callee, number = await joined(crossing)
    await vault.say(Ended(number, 0))
    await callee.write(bytes(20))
    if sent is not None:
        await vault.say(Sent(number, sent))
    assert (await work.hear_until(Ended)).code == FAILED
