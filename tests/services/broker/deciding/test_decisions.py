"""What happens to a call between its being asked about and its target: things change meanwhile."""

import asyncio
from collections.abc import Callable
from dataclasses import replace

import pytest

from qubes_manager.core.crossing.guest_messages import FAILED, REFUSED, Call, Cancel, Ended, ErrorText
from qubes_manager.core.crossing.question import Answer, Question
from qubes_manager.core.domain import Disposal, Domain, DomainClass, DomainKey, DomainState
from qubes_manager.core.errors import HostCallFailed, QubesManagerError, Refused
from qubes_manager.core.pauses import Pause
from qubes_manager.core.policy.subject import Subject
from qubes_manager.services.broker.deciding import decisions, recording
from qubes_manager.services.broker.deciding.decisions import Chosen, Denied
from qubes_manager.services.crossing.audit import Decider, Outcome
from tests.services.broker.conftest import Crossing, key_of
from tests.services.broker.fake_guest import FakeGuest
from tests.waiting import PATIENCE, soon, until

ASK = "my.Service * @anyvm @anyvm ask\n"


class User:
    """Answers when a test says so."""

    def __init__(self) -> None:
        self.asked: asyncio.Future[Question] = asyncio.get_running_loop().create_future()
        self.answer: asyncio.Future[Answer] = asyncio.get_running_loop().create_future()

    async def ask(self, question: Question, /) -> Answer:
        self.asked.set_result(question)
        return await self.answer


@pytest.fixture
async def user(crossing: Crossing, monkeypatch: pytest.MonkeyPatch) -> User:
    user = User()
    monkeypatch.setattr(crossing.broker.decisions, "_asker", user)
    crossing.let(ASK)
    return user


async def asked(crossing: Crossing, user: User) -> tuple[FakeGuest, FakeGuest, Question]:
    """A call that the user is being asked about."""
    work, vault = await crossing.guest("work"), await crossing.guest("vault")
    await work.ask(7, "my.Service", "vault", names=["a.txt"], count=1, size=5)
    async with soon():
        return work, vault, await user.asked


async def test_what_the_user_chooses_is_called(crossing: Crossing, user: User) -> None:
    work, vault, question = await asked(crossing, user)
    assert (question.source, question.source_label, question.names, question.size) == ("work", "red", ("a.txt",), 5)
    # The driver has a domain of its own.
    assert [choice.target for choice in question.choices if choice.group == "Running"] == ["test", "vault"]
    user.answer.set_result(Answer("vault"))
    await vault.started()
    await work.accepted(7)
    [decision] = crossing.decisions()
    assert (decision.by, decision.outcome, decision.went_to) == (Decider.USER, Outcome.ALLOWED, "vault")


async def test_disposables_stand_under_their_titles(crossing: Crossing, user: User) -> None:
    work, vault = await crossing.guest("work"), await crossing.guest("vault")
    store = crossing.services.store
    for guest in (work, vault):
        domain = store.require(key_of(guest))
        config = replace(domain.config, klass=DomainClass.DISPOSABLE, disposal=Disposal.KEPT, title=f"{guest.name}’s")
        store.put([replace(domain, persistent=False, config=config)])
    store.flush()
    await work.ask(7, "my.Service", "vault")
    question = await asyncio.wait_for(user.asked, PATIENCE)
    assert (question.source, question.shown_source) == ("work", "work’s (work)")
    assert [(choice.target, choice.title) for choice in question.choices if choice.target == "vault"] == [
        ("vault", "vault’s (vault)")
    ]
    user.answer.set_result(Answer())
    await work.hear(Ended)


async def test_no_is_no(crossing: Crossing, user: User) -> None:
    work, _vault, _question = await asked(crossing, user)
    user.answer.set_result(Answer())
    assert (await work.hear(Ended)).code == REFUSED
    assert crossing.decisions()[0].reason == "the user said no"


def renamed(crossing: Crossing, vault: FakeGuest) -> None:
    """Its name is another domain's by now."""
    crossing.put(vault, DomainState.RUNNING, name="old-vault")
    other = FakeName("vault")
    crossing.put(other, DomainState.RUNNING)  # type: ignore[arg-type]


def removed(crossing: Crossing, vault: FakeGuest) -> None:
    crossing.services.store.remove([key_of(vault)])
    crossing.services.store.flush()


def forbidden(crossing: Crossing, _vault: FakeGuest) -> None:
    crossing.let("my.Service * work vault deny\n" + ASK)


class FakeName:
    """A domain that nobody talks to."""

    uuid = "22222222-2222-4222-8222-222222222222"

    def __init__(self, name: str) -> None:
        self.name = name


@pytest.mark.parametrize("change", [renamed, removed, forbidden], ids=lambda change: change.__name__)
async def test_a_target_that_is_another_one_by_the_time_of_the_answer_is_not_called(
    crossing: Crossing, user: User, change: Callable[[Crossing, FakeGuest], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    work, vault, _question = await asked(crossing, user)
    change(crossing, vault)
    user.answer.set_result(Answer("vault"))
    assert (await work.hear(Ended)).code == REFUSED
    assert crossing.decisions()[-1].outcome is Outcome.REFUSED


async def test_a_caller_that_goes_away_is_not_asked_about_any_more(crossing: Crossing, user: User) -> None:
    work, _vault, _question = await asked(crossing, user)
    crossing.put(work, DomainState.HALTED)
    await until(user.answer.cancelled)
    await until(lambda: not crossing.broker.transfers.statuses)


class Starter:
    """Starts domains as a test lets it."""

    def __init__(self, crossing: Crossing, guest: FakeGuest) -> None:
        self._crossing = crossing
        self._guest = guest
        self.error: Exception | None = None

    async def start(self, _key: DomainKey) -> None:
        if self.error:
            raise self.error
        self._crossing.put(self._guest, DomainState.RUNNING, number=2)
        asyncio.get_running_loop().create_task(self._guest.begin())


@pytest.fixture
async def halted(crossing: Crossing, monkeypatch: pytest.MonkeyPatch) -> FakeGuest:
    guest = await crossing.guest("halted", begin=False, state=DomainState.HALTED)
    monkeypatch.setattr(crossing.services.lifecycle, "start", Starter(crossing, guest).start)
    return guest


async def test_a_target_that_does_not_run_is_started_and_the_caller_is_told(
    crossing: Crossing, halted: FakeGuest
) -> None:
    work = await crossing.guest("work")
    await work.ask(7, "my.Service", "halted")
    assert (await work.hear(ErrorText)).text == "“halted” is being started\n"
    assert (await work.hear(ErrorText)).text == "waiting for “halted”\n"
    await halted.started()
    await work.accepted(7)


async def test_a_target_that_cannot_be_started_says_why(
    crossing: Crossing, halted: FakeGuest, monkeypatch: pytest.MonkeyPatch
) -> None:
    starter = Starter(crossing, halted)
    starter.error = HostCallFailed("cannot start “halted”: no memory")
    monkeypatch.setattr(crossing.services.lifecycle, "start", starter.start)
    work = await crossing.guest("work")
    await work.ask(7, "my.Service", "halted")
    ended = await work.hear_until(Ended)
    assert (ended.code, ended.reason) == (FAILED, "cannot start “halted”: no memory")


async def test_a_target_that_may_not_be_started_is_not(crossing: Crossing, halted: FakeGuest) -> None:
    crossing.let("my.Service * @anyvm @anyvm allow autostart=no\n")
    work = await crossing.guest("work")
    await work.ask(7, "my.Service", "halted")
    assert (await work.hear_until(Ended)).code == REFUSED


async def test_a_target_that_never_answers_is_given_up(crossing: Crossing, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("qubes_manager.services.broker.calls.calls.START_PATIENCE", 0.3)
    work, _mute = await crossing.guest("work"), await crossing.guest("mute", begin=False)
    await work.ask(7, "my.Service", "mute")
    assert "the guest tools of “mute” have not answered" in (await work.hear_until(Ended)).reason


async def test_a_caller_that_stops_while_its_target_starts_is_done_with(crossing: Crossing) -> None:
    work, _mute = await crossing.guest("work"), await crossing.guest("mute", begin=False)
    await work.ask(7, "my.Service", "mute")
    await work.hear(ErrorText)
    await work.say(Cancel(7))
    assert (await work.hear_until(Ended)).code == FAILED
    await until(lambda: not crossing.broker.transfers.statuses)


async def test_a_domain_that_is_refused_without_end_does_not_push_others_out_of_the_log(
    crossing: Crossing, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(recording, "EACH", 3)
    crossing.let("my.Service * @anyvm @anyvm deny\n")
    work, _vault = await crossing.guest("work"), await crossing.guest("vault")
    for number in range(8):
        await work.ask(number, "my.Service", "vault")
        await work.hear(Ended)
    assert len(crossing.decisions()) == 3
    await crossing.broker.recorder.close()
    assert crossing.decisions()[-1].reason.endswith("the last of 5 more like this")


async def test_a_name_that_becomes_another_domains_while_the_answer_is_heard_is_not_called(
    crossing: Crossing, monkeypatch: pytest.MonkeyPatch
) -> None:
    crossing.let("my.Service * @anyvm @anyvm ask\n")
    work, vault, other = [await crossing.guest(name) for name in ("work", "vault", "other")]
    decisions = crossing.broker.decisions
    monkeypatch.setattr(decisions._asker, "ask", lambda _question: answered())
    has_answered = False

    async def answered() -> Answer:
        nonlocal has_answered
        has_answered = True
        return Answer("vault")

    looks = 0

    async def system() -> dict[str, Subject]:
        nonlocal looks
        looks += has_answered
        if looks == 2:
            # Right after the answer was found good.
            crossing.put(vault, DomainState.RUNNING, name="old vault")
            crossing.put(other, DomainState.RUNNING, name="vault")
        return await whole()

    whole = decisions._system
    monkeypatch.setattr(decisions, "_system", system)
    allowed = await decisions.decide(crossing.session(work).domain, Call(1, "my.Service", target="vault"))
    assert allowed.key == key_of(vault)


async def test_a_domain_that_cannot_be_read_keeps_no_others_from_calls(
    crossing: Crossing, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(decisions, "_READ_PATIENCE", 0.2)
    crossing.let("my.Service * @anyvm @anyvm allow\n")
    work, vault = await crossing.guest("work"), await crossing.guest("vault")
    odd = DomainKey(key_of(work).connection, "00000000-0000-4000-8000-00000000000d")
    crossing.services.store.put([Domain(odd, "odd", DomainState.HALTED)])
    crossing.services.store.flush()
    await work.ask(7, "my.Service", "vault")
    await vault.started()
    await work.accepted(7)
    # It was waited for once.
    monkeypatch.setattr(decisions, "_READ_PATIENCE", 60)
    await work.ask(8, "my.Service", "odd")
    ended = await work.hear_until(Ended)
    assert (ended.code, ended.reason) == (FAILED, "“odd” could not be read: the host does not tell what it is")


async def test_a_source_that_is_another_one_by_the_time_of_the_answer_is_refused(
    crossing: Crossing, user: User
) -> None:
    work, _vault, _question = await asked(crossing, user)
    crossing.put(work, DomainState.RUNNING, name="old-work")
    crossing.put(FakeName("work"), DomainState.RUNNING)  # type: ignore[arg-type]
    user.answer.set_result(Answer("vault"))
    ended = await work.hear(Ended)
    assert (ended.code, ended.reason) == (REFUSED, "“work” has been renamed, and its name is another one’s")
    [decision] = crossing.decisions()
    assert (decision.outcome, decision.by, decision.reason) == (Outcome.REFUSED, Decider.BROKER, ended.reason)


async def test_what_the_user_means_is_the_domain_and_not_its_name(crossing: Crossing) -> None:
    crossing.let("my.Service * @anyvm @anyvm ask\n")
    work, vault, other = [await crossing.guest(name) for name in ("work", "vault", "other")]
    source, call = crossing.session(work).domain, Call(1, "my.Service", target="vault")
    decisions = crossing.broker.decisions
    assert (await decisions.decide(source, call, Chosen("vault"), key_of(vault))).key == key_of(vault)
    with pytest.raises(Denied, match="the policy sends it to “vault”"):
        await decisions.decide(source, call, Chosen("vault"), key_of(other))
    assert [d.outcome for d in crossing.decisions()] == [Outcome.ALLOWED, Outcome.REFUSED]


async def test_what_was_allowed_and_cannot_be_had_is_recorded_as_refused_too(crossing: Crossing) -> None:
    crossing.let("my.Service * @anyvm @anyvm allow\nmy.Service * @anyvm @adminvm allow\n")
    work, vault = await crossing.guest("work"), await crossing.guest("vault")
    paused = replace(crossing.services.store.require(key_of(vault)), state=DomainState.PAUSED, pause=Pause.USER)
    crossing.services.store.put([paused])
    for number, target in enumerate(("vault", "dom0")):
        await work.ask(number, "my.Service", target)
        assert (await work.hear_until(Ended)).code == REFUSED
    assert [(d.outcome, d.by, d.reason) for d in crossing.decisions()] == [
        (Outcome.ALLOWED, Decider.POLICY, ""),
        (Outcome.REFUSED, Decider.BROKER, "“vault” was paused by the user, and goes on when he lets it"),
        (Outcome.ALLOWED, Decider.POLICY, ""),
        (Outcome.REFUSED, Decider.BROKER, "dom0 has no service my.Service"),
    ]


async def test_what_cannot_be_started_was_allowed_and_is_no_refusal(
    crossing: Crossing, halted: FakeGuest, monkeypatch: pytest.MonkeyPatch
) -> None:
    starter = Starter(crossing, halted)
    starter.error = Refused("another program changes it")
    monkeypatch.setattr(crossing.services.lifecycle, "start", starter.start)
    work = await crossing.guest("work")
    await work.ask(7, "my.Service", "halted")
    assert (await work.hear_until(Ended)).code == FAILED
    assert [d.outcome for d in crossing.decisions()] == [Outcome.ALLOWED]


@pytest.mark.parametrize("error", [QubesManagerError("it cannot be read"), OSError(5, "Input/output error")])
async def test_what_cannot_be_decided_is_recorded_as_refused(
    crossing: Crossing, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    def load() -> object:
        raise error

    work, _vault = await crossing.guest("work"), await crossing.guest("vault")
    monkeypatch.setattr(crossing.broker.decisions._files, "load", load)
    await work.ask(7, "my.Service", "vault")
    assert (await work.hear_until(Ended)).code == FAILED
    [decision] = crossing.decisions()
    assert (decision.outcome, decision.by, decision.reason) == (Outcome.REFUSED, Decider.BROKER, str(error))


async def test_a_block_that_cannot_be_kept_is_said_so_and_the_call_refused(
    crossing: Crossing, user: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("qubes_manager.services.broker.deciding.session_answers.MAX_RULES", 0)
    work, vault, question = await asked(crossing, user)
    with pytest.raises(Refused, match="0 domains are blocked already: unblock one first") as refusal:
        crossing.broker.session.block(question.source_uuid, question.source)
    user.answer.set_exception(refusal.value)
    assert (await work.hear(Ended)).reason == "0 domains are blocked already: unblock one first"
    assert question.source_uuid == work.uuid
    assert {c.uuid for c in question.choices if c.target == "vault"} == {vault.uuid}
