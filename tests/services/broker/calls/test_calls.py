"""Calls from guest to guest: who may, what goes through, how it ends, and what hostile guests get for it."""

import asyncio
import socket
from dataclasses import replace

import pytest

from qubes_manager.core.crossing.broker_messages import TransferPhase, TransferStatus
from qubes_manager.core.crossing.guest_messages import (
    FAILED,
    REFUSED,
    Cancel,
    End,
    Ended,
    Sent,
    Start,
)
from qubes_manager.core.crossing.ports import DATA_PORTS
from qubes_manager.core.crossing.question import Answer, Question
from qubes_manager.core.domain import INTERNAL, Disposal, DomainClass, DomainKey, DomainState
from qubes_manager.core.errors import GuestError, HostCallFailed
from qubes_manager.core.events import DomainEventKind
from qubes_manager.services.broker.desktop.notices import Notices, Topic
from qubes_manager.services.broker.guests import guest_end
from qubes_manager.services.broker.guests.data_ports import DataPort
from qubes_manager.services.crossing.audit import Decider, Outcome
from qubes_manager.services.domains.lifecycle import Lifecycle
from tests.services.broker.calls.joining import joined
from tests.services.broker.conftest import Crossing, key_of
from tests.services.broker.showing import Showing
from tests.waiting import soon, until


async def test_a_port_that_another_program_has_fails_one_call_and_is_taken_last(crossing: Crossing) -> None:
    work, vault = await crossing.guest("work"), await crossing.guest("vault")
    with socket.socket(socket.AF_UNIX) as other:
        other.connect(str(vault.data(0).path))
        await work.ask(7, "my.Service", "vault")
        ended = await work.hear_until(Ended)
        assert (ended.code, "another program has it open" in ended.reason) == (FAILED, True), ended
        await vault.hear_until(Cancel)
        await work.ask(8, "my.Service", "vault")
        assert (await vault.hear_until(Start)).port == 1


async def test_what_the_policy_denies_is_refused_and_recorded(crossing: Crossing) -> None:
    work, _vault = await crossing.guest("work"), await crossing.guest("vault")
    crossing.let("my.Service * work vault deny\n")
    await work.ask(1, "my.Service", "vault")
    ended = await work.hear(Ended)
    assert (ended.call, ended.code) == (1, REFUSED)
    # Where the user's rules stand is for him to know.
    assert ended.reason == "the policy does not allow it"
    [decision] = crossing.decisions()
    assert (decision.outcome, decision.rule) == (Outcome.REFUSED, "30-user.policy:1")
    assert decision.reason == "the policy denies it (30-user.policy:1)"


async def test_without_a_screen_ask_means_no(crossing: Crossing) -> None:
    work, _vault = await crossing.guest("work"), await crossing.guest("vault")
    crossing.let("my.Service * @anyvm @anyvm ask\n")
    await work.ask(1, "my.Service", "vault")
    assert (await work.hear(Ended)).reason == "there is no screen to ask on"


@pytest.mark.parametrize(
    "service", ["qubes.ClipboardPaste", "qubes.ClipboardCopy", "qubes_manager.FetchFiles", "qubes_manager.ListFiles"]
)
async def test_what_is_the_users_alone_no_domain_has_of_another_whatever_a_rule_says(
    crossing: Crossing, service: str
) -> None:
    work, _vault = await crossing.guest("work"), await crossing.guest("vault")
    crossing.let("* * @anyvm @anyvm allow\n")
    await work.ask(1, service, "vault")
    ended = await work.hear(Ended)
    assert (ended.code, ended.reason) == (REFUSED, "only this machine’s user may have that")
    [decision] = crossing.decisions()
    assert (decision.service, decision.outcome, decision.by) == (service, Outcome.REFUSED, Decider.BROKER)


async def test_a_disposable_that_waits_for_its_use_is_called_by_nobody(
    crossing: Crossing, monkeypatch: pytest.MonkeyPatch
) -> None:
    noticed = list[str]()

    async def show(_self: Notices, title: str, _text: str, _about: DomainKey, _topic: Topic) -> bool:
        noticed.append(title)
        return True

    monkeypatch.setattr(Notices, "show", show)
    work, ready = await crossing.guest("work"), await crossing.guest("disp7")
    domain = crossing.services.store.require(key_of(ready))
    config = replace(
        domain.config, klass=DomainClass.DISPOSABLE, disposal=Disposal.PRELOADED, features=((INTERNAL, "1"),)
    )
    crossing.services.store.put([replace(domain, config=config, persistent=False)])
    crossing.services.store.flush()
    await work.ask(1, "my.Service", "disp7")
    ended = await work.hear(Ended)
    assert (ended.code, ended.reason) == (REFUSED, "“disp7” is not in use yet")
    # Nor does it call anybody: whoever was asked would not know whose doing that is.
    await ready.ask(1, "my.Service", "work")
    assert (await ready.hear(Ended)).code == REFUSED
    assert noticed == ["work: my.Service"]
    refused = [d for d in crossing.decisions() if d.outcome is Outcome.REFUSED]
    assert [(d.source, d.reason) for d in refused] == [
        ("work", "“disp7” is not in use yet"),
        ("disp7", "this disposable is not in use yet"),
    ]


class SaysYes:
    """A user who allows the same again for the session, whatever it is."""

    def __init__(self, crossing: Crossing) -> None:
        self._crossing = crossing

    async def ask(self, question: Question, /) -> Answer:
        self._crossing.broker.session.grant(question, "vault")
        return Answer("vault")


@pytest.mark.parametrize(
    ("rule", "service", "windows"),
    [
        ("ask", "qubes.OpenInVM", 1),
        ("ask", "qubes.OpenURL", 1),
        ("ask", "qubes.Filecopy", 0),
        ("allow", "qubes.OpenInVM", 0),
        ("allow", "qubes.StartApp", 0),
    ],
)
async def test_one_yes_of_the_user_lets_one_window_of_what_is_opened_have_the_keyboard_and_nothing_else_does(
    crossing: Crossing, showing: Showing, monkeypatch: pytest.MonkeyPatch, rule: str, service: str, windows: int
) -> None:
    monkeypatch.setattr(crossing.broker.decisions, "_asker", SaysYes(crossing))
    crossing.let(f"{service} * @anyvm @anyvm {rule}\n")
    work, vault = await crossing.guest("work"), await crossing.guest("vault")
    for number in range(2):
        await work.ask(number, service, "vault")
        # It was announced before, if at all.
        await vault.started()
    assert showing.announced == [vault.uuid] * windows


async def test_callers_that_never_end_leave_a_port_to_this_machine(crossing: Crossing) -> None:
    evil, vault = await crossing.guest("evil"), await crossing.guest("vault")
    for number in range(8):
        await evil.ask(number, "my.Service", "vault")
    for _ in range(3):
        await vault.started()
    asking = asyncio.create_task(crossing.broker.host_calls.ask(key_of(vault), "qubes.ClipboardPaste", limit=9))
    start, port = await vault.started()
    assert start.service == "qubes.ClipboardPaste"
    await vault.send(port, start.call, b"done")
    port.close()
    await vault.say(Ended(start.call, 0))
    assert await asking == b"done"


async def test_this_machine_tells_the_time_to_a_guest(crossing: Crossing) -> None:
    work = await crossing.guest("work")
    await work.ask(1, "qubes.GetDate", "@default")
    port = await work.accepted(1)
    said = await port.read_exactly(26)
    assert said.endswith(b"+00:00\n")
    assert await work.hear(End) == End(1, 26)
    assert await work.hear(Ended) == Ended(1, 0)
    port.close()


@pytest.mark.parametrize("target", ["vault", "dom0"])
async def test_a_sender_that_told_a_small_size_sends_no_more(
    crossing: Crossing, target: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("qubes_manager.services.broker.calls.calls._SPARE", 1000)
    monkeypatch.setattr("qubes_manager.services.broker.calls.calls._EACH", 100)
    crossing.let("my.Service * @anyvm @anyvm allow\nqubes.Filecopy * @anyvm @adminvm allow\n")
    work, vault = await crossing.guest("work"), await crossing.guest("vault")
    await work.ask(7, "my.Service" if target == "vault" else "qubes.Filecopy", target, size=800, count=1)
    if target == "vault":
        await vault.started()
    caller = await work.accepted(7)
    await caller.write(b'{"type": "offer", "size": 1000000, "count": 1}\n' + bytes(3000))
    ended = await work.hear_until(Ended)
    assert ended.code
    assert ended.reason == "“work” sent more than the 2000 bytes that are allowed"


async def test_a_callee_that_never_opens_its_port_is_given_up(
    crossing: Crossing, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("qubes_manager.services.broker.calls.calls.READY_PATIENCE", 0.3)
    work, _vault = await crossing.guest("work"), await crossing.guest("vault")
    await work.ask(7, "my.Service", "vault")
    await work.accepted(7)
    ended = await work.hear(Ended)
    assert (ended.code, ended.reason) == (FAILED, "“vault” has not opened its port within 0 s")


async def test_a_service_that_cannot_be_started_tells_its_caller_why(crossing: Crossing) -> None:
    work, vault = await crossing.guest("work"), await crossing.guest("vault")
    await work.ask(7, "my.Service", "vault")
    start = await vault.hear(Start)
    await vault.say(Ended(start.call, 127, "no such service"))
    await work.accepted(7)
    assert (await work.hear(Ended)).reason == "no such service"


async def test_what_libvirt_says_of_this_machine_is_for_its_user_alone(
    crossing: Crossing, monkeypatch: pytest.MonkeyPatch
) -> None:
    raw = "Cannot access storage file '/home/alice/images/vault.qcow2'"

    async def start(_self: Lifecycle, _key: DomainKey) -> None:
        raise HostCallFailed(f"cannot start “vault”: {raw}", raw)

    monkeypatch.setattr(Lifecycle, "start", start)
    told = list[TransferStatus]()
    crossing.broker.transfers.changed.connect(told.append)
    work, _vault = await crossing.guest("work"), await crossing.guest("vault", begin=False, state=DomainState.HALTED)
    crossing.let("my.Service * work * allow target=vault\n")
    await work.ask(7, "my.Service", "personal")
    ended = await work.hear_until(Ended)
    assert (ended.code, "alice" in ended.reason) == (FAILED, False), ended
    await until(lambda: told[-1].is_over)
    assert "alice" in told[-1].message
    # Who it goes to is the policy's word from then on, not the caller's.
    assert {(s.target, s.phase) for s in told} == {
        ("personal", TransferPhase.ASKING),
        ("vault", TransferPhase.STARTING),
        ("vault", TransferPhase.FAILED),
    }


async def test_the_user_stops_a_transfer(crossing: Crossing) -> None:
    work, _caller, vault, _callee, _number = await joined(crossing)
    [status] = crossing.broker.transfers.statuses
    crossing.broker.transfers.cancel(status.transfer)
    assert (await work.hear(Ended)).reason == "you stopped it"
    assert (await vault.hear(Cancel)).reason == "you stopped it"


async def test_a_port_that_a_guest_does_not_let_go_of_is_not_used_again(crossing: Crossing) -> None:
    work, caller, vault, callee, _number = await joined(crossing)
    await work.say(Cancel(7))
    await vault.hear(Cancel)
    await work.hear(Ended)
    await until(lambda: not caller.host)
    assert crossing.session(work).ports.free == 1
    callee.close()
    caller.close()
    await until(lambda: crossing.session(work).ports.free == 0)


async def test_a_number_that_is_used_twice_ends_that_call(crossing: Crossing) -> None:
    work, _caller, vault, _callee, _number = await joined(crossing)
    await work.ask(7, "my.Service", "vault")
    assert (await work.hear(Ended)).reason == "its number was used for two calls"
    await vault.hear(Cancel)


async def test_a_guest_cannot_answer_for_anothers_call(crossing: Crossing) -> None:
    work, caller, vault, callee, number = await joined(crossing)
    evil = await crossing.guest("evil")
    await evil.say(Sent(number, 0), Ended(number, 0), Cancel(number), Cancel(7), Sent(7, 99))
    # It is heard, and nothing comes of it.
    await evil.ask(1, "none.Such", "vault")
    await evil.hear(Ended)
    await work.send(caller, 7, b"x")
    assert await callee.read_exactly(1) == b"x"
    assert await vault.hear(End) == End(number, 1)


async def test_more_calls_than_a_domain_may_have_are_turned_away(crossing: Crossing) -> None:
    work, vault = await crossing.guest("work"), await crossing.guest("vault")
    for number in range(9):
        await work.ask(number, "my.Service", "vault")
    ended = await work.hear_until(Ended)
    assert (ended.call, ended.code) == (8, FAILED)
    assert "wait or run already" in ended.reason
    # The first ones have their ports, the others wait for them.
    assert len({(await vault.started())[0].port for _ in range(3)}) == 3


async def test_a_number_is_used_again_as_soon_as_its_call_has_ended(crossing: Crossing) -> None:
    """QEMU tells a port's changes once a second: the guest is far ahead of what is known of it."""
    work = await crossing.guest("work")
    for number in range(3):
        await work.ask(7, "qubes.GetDate", "@default")
        port = await work.accepted(7)
        assert port is work.data(number)
        await port.read_exactly(26)
        await work.hear(End)
        assert (await work.hear(Ended)).code == 0


async def test_a_port_that_a_guest_was_told_of_and_may_open_yet_is_no_other_calls(crossing: Crossing) -> None:
    work, vault = await crossing.guest("work"), await crossing.guest("vault")
    await work.ask(7, "my.Service", "vault")
    first = await vault.hear(Start)
    await work.accepted(7)
    await work.say(Cancel(7))
    await vault.hear(Cancel)
    await work.hear(Ended)
    await work.ask(8, "my.Service", "vault")
    assert (await vault.hear(Start)).port != first.port


async def test_what_is_heard_late_of_a_ports_earlier_use_ends_no_call(
    crossing: Crossing, monkeypatch: pytest.MonkeyPatch
) -> None:
    heard: list[bool] = []
    hear = DataPort.on_change

    def on_change(port: DataPort, *, is_open: bool) -> None:
        heard.append(is_open)
        hear(port, is_open=is_open)

    work, caller, vault, callee, _number = await joined(crossing)
    monkeypatch.setattr(DataPort, "on_change", on_change)
    # QEMU tells once a second how it is by then: first what was, then what is.
    vault.announce(DomainEventKind.PORT_CLOSED, callee.alias)
    vault.announce(DomainEventKind.PORT_OPENED, callee.alias)
    await until(lambda: heard[-2:] == [False, True])
    # The time in which it may have its last words is over.
    await asyncio.sleep(2 * guest_end._LAST_WORDS)
    await work.send(caller, 7, b"question")
    assert await callee.read_exactly(8) == b"question"


async def test_a_guest_that_goes_away_while_a_port_of_it_is_waited_for_ends_the_wait(crossing: Crossing) -> None:
    vault = await crossing.guest("vault")
    ports = crossing.session(vault).ports
    taken = [ports.take(number) for number in range(len(DATA_PORTS))]
    asking = asyncio.create_task(crossing.broker.host_calls.ask(key_of(vault), "my.Service", limit=9))
    await until(lambda: crossing.session(vault).listeners)
    vault.requests.close()
    with pytest.raises(GuestError, match="“vault” does not answer any more"):
        async with soon():
            await asking
    assert all(not port.is_left.is_set() for port in taken)


@pytest.mark.parametrize("argument", ["replace", "skip", "allow-all-names+replace"])
async def test_a_domain_cannot_take_the_place_of_what_it_has_sent_before(crossing: Crossing, argument: str) -> None:
    work, vault = await crossing.guest("work"), await crossing.guest("vault")
    crossing.let("qubes.Filecopy * work vault allow\n")
    await work.ask(7, "qubes.Filecopy", "vault", argument=argument)
    ended = await work.hear(Ended)
    assert (ended.code, ended.reason) == (REFUSED, "only this machine’s user may have that")
    [decision] = crossing.decisions()
    assert (decision.outcome, decision.argument, decision.by) == (Outcome.REFUSED, argument, Decider.BROKER)
    # What comes by its own name is asked for as ever.
    await work.ask(8, "qubes.Filecopy", "vault")
    assert (await vault.hear_until(Start)).argument == ""
