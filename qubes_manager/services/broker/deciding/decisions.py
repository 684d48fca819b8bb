"""Whether a call may go ahead, and to whom: the policy, and the user where it says ask."""

import asyncio
from dataclasses import dataclass, replace
from typing import Protocol

from qubes_manager.core.crossing.guest_messages import Call
from qubes_manager.core.crossing.question import Answer, Choice, Question
from qubes_manager.core.domain import HOST_UUID, Domain, DomainKey
from qubes_manager.core.errors import QubesManagerError, Refused
from qubes_manager.core.names import HOST_NAME
from qubes_manager.core.policy.evaluation import Allow, Ask, Deny, permits
from qubes_manager.core.policy.subject import Subject
from qubes_manager.core.policy.tokens import Kind
from qubes_manager.services.broker.deciding.recording import Recorder
from qubes_manager.services.broker.deciding.session_answers import Blocked, SessionAnswers
from qubes_manager.services.broker.desktop.notices import Notices, Topic
from qubes_manager.services.crossing.audit import Decider, Decision, Outcome
from qubes_manager.services.crossing.policy_files import PolicyFiles
from qubes_manager.services.crossing.subjects import policy_name, subjects
from qubes_manager.services.files.global_defaults import GlobalDefaults
from qubes_manager.services.hosts.store import Batch, DomainStore

# Seconds to wait until all domains have been read: a broker that was only just started knows few of them.
_READ_PATIENCE = 20.0


class Denied(Refused):
    """A call may not go ahead; ``details`` may say more, for the user alone, and so do *by* and *rule*.

    The user *is_told*, unless he has decided it.
    """

    def __init__(
        self, text: str, details: str = "", by: Decider = Decider.BROKER, rule: str = "", *, is_told: bool = True
    ) -> None:
        super().__init__(text, details)
        self.by = by
        self.rule = rule
        self.is_told = is_told


class Answers(Protocol):
    """Puts a question to the user, or answers it by what the user has said for the session."""

    async def ask(self, question: Question, /) -> Answer:
        """The user's answer; raises Refused with why there is none."""
        ...


class Chosen:
    """The user has named the target already, by what he does in the manager or with his keys: that is his answer."""

    def __init__(self, target: str) -> None:
        self._target = target

    async def ask(self, question: Question, /) -> Answer:
        """The target, or no where the policy has another one in mind."""
        target = Kind.HOST.value if self._target == HOST_NAME else self._target
        return Answer(target if any(choice.target == target for choice in question.choices) else "")


@dataclass(frozen=True, slots=True)
class Allowed:
    """A call goes ahead to *key*, whatever that domain is called by now; to a new disposable of it, or to this machine.

    *user* empty is the target's ordinary one.
    """

    key: DomainKey
    name: str
    is_new: bool
    is_host: bool
    user: str
    autostart: bool
    # As the policy has it.
    target: str
    by: Decider


class Decisions:
    """Decides calls of the domains of one connection."""

    def __init__(
        self,
        uri: str,
        store: DomainStore,
        files: PolicyFiles,
        defaults: GlobalDefaults,
        recorder: Recorder,
        asker: Answers,
        notices: Notices,
        session: SessionAnswers,
    ) -> None:
        self._uri = uri
        self._store = store
        self._files = files
        self._defaults = defaults
        self._recorder = recorder
        self._asker = asker
        self._notices = notices
        self._session = session
        # The domains as the policy sees them, and the default that they were read with.
        self._known: tuple[str, dict[str, Subject]] | None = None
        self._moved = asyncio.Event()
        # Domains that were waited for in vain.
        self._unreadable: set[DomainKey] = set()
        store.on_batch(self._on_batch)

    async def decide(
        self, source: Domain, call: Call, answers: Answers | None = None, only: DomainKey | None = None
    ) -> Allowed:
        """Decide a call of *source*, and record it; raises Denied with what the caller may know of the reason.

        Who *answers* in the user's stead where the policy says ask also tells him what comes of it; then the target is
        his choice, and a rule that sends such calls elsewhere denies it, as it is denied to all domains but *only*.
        """
        try:
            allowed, rule, is_told = await self._decide(source, call, answers, only)
        except Denied as error:
            await self.refused(source, call, error, is_told=answers is None)
            raise
        except (QubesManagerError, OSError) as error:
            await self.refused(source, call, Denied(str(error)), is_told=answers is None)
            raise
        await self._record(source, call, Outcome.ALLOWED, allowed.by, rule, went_to=allowed.target)
        if is_told and answers is None:
            await self._tell(source, call, f"allowed to “{allowed.target}”", Topic.ALLOWED)
        return allowed

    async def refused(self, source: Domain, call: Call, error: Denied, *, is_told: bool = True) -> None:
        """Record that a call does not go ahead, which may have been allowed before."""
        reason = error.details or str(error)
        await self._record(source, call, Outcome.REFUSED, error.by, error.rule, reason=reason)
        if is_told and error.is_told:
            await self._tell(source, call, f"refused: {reason}", Topic.REFUSED)

    async def _decide(
        self, source: Domain, call: Call, answers: Answers | None, only: DomainKey | None
    ) -> tuple[Allowed, str, bool]:
        """Who may be had, by which rule, and whether the user wants to be told; raises Denied."""
        await self._until_read(source, call)
        name = policy_name(source)
        policy = await asyncio.to_thread(self._files.load)
        system = await self._system()
        self._require_same(source, system)
        verdict = policy.evaluate(call.service, call.argument, name, call.target, system)
        by = Decider.POLICY
        if isinstance(verdict, Ask):
            by, verdict, system = await self._ask(source, call, verdict, answers)
        if answers and isinstance(verdict, Allow) and not permits(verdict, call.target):
            verdict = Deny(verdict.notify, verdict.rule, f"the policy sends it to “{verdict.target}”")
        rule = str(verdict.rule.place) if verdict.rule else ""
        if isinstance(verdict, Deny):
            raise Denied(verdict.told, verdict.reason, by, rule, is_told=verdict.notify)
        allowed = self._allowed(verdict, by, system)
        if only and (allowed.is_new or not (allowed.is_host if only.uuid == HOST_UUID else allowed.key == only)):
            raise Denied(f"the policy sends it to “{allowed.target}”", "", by, rule)
        return allowed, rule, verdict.notify

    async def permits(self, source: Domain, call: Call) -> bool:
        """Whether the policy would let the user have what he has chosen; nobody is asked, and nothing recorded."""
        await self._until_read(source, call)
        policy, system = await asyncio.to_thread(self._files.load), await self._system()
        verdict = policy.evaluate(call.service, call.argument, policy_name(source), call.target, system)
        return permits(verdict, call.target)

    async def _ask(
        self, source: Domain, call: Call, ask: Ask, answers: Answers | None
    ) -> tuple[Decider, Allow | Deny, dict[str, Subject]]:
        """Have the user decide, and hold the answer against policy and domains as they are then; raises Denied."""
        question = self._question(source, call, ask, await self._system())
        by = Decider.USER
        try:
            if answers:
                answer = await answers.ask(question)
            else:
                self._session.require_unblocked(question.source_uuid)
                answer = Answer(self._session.granted(question))
                if answer.target:
                    by = Decider.GRANT
                else:
                    answer = await self._asker.ask(question)
        except Refused as error:
            refuser = Decider.BLOCK if isinstance(error, Blocked) else Decider.BROKER
            is_told = refuser is Decider.BROKER
            raise Denied(str(error), "", refuser, str(ask.rule.place), is_told=is_told) from error
        if not answer.target:
            raise Denied("the user said no", "", Decider.USER, str(ask.rule.place), is_told=False)
        policy = await asyncio.to_thread(self._files.load)
        system = await self._system()
        self._require_same(source, system)
        return by, policy.answer(ask, answer.target, system), system

    def _require_same(self, source: Domain, system: dict[str, Subject]) -> None:
        """Raise Denied when who asks has another name by now, and its own may be another one's."""
        subject = system.get(policy_name(source))
        if subject and not source.is_host and subject.uuid != source.key.uuid:
            raise Denied(f"“{source.name}” has been renamed, and its name is another one’s")

    def _question(self, source: Domain, call: Call, ask: Ask, system: dict[str, Subject]) -> Question:
        return Question(
            policy_name(source),
            source.label.name if source.label else "",
            call.service,
            call.argument,
            "",
            call.names,
            call.count,
            call.size,
            tuple(self._titled(_choice(target, system)) for target in ask.targets),
            ask.default_target,
            True,
            "" if call.target == Kind.DEFAULT.value else call.target,
            self._session.maker(source.key.uuid),
            source.key.uuid,
            source.title,
        )

    def _titled(self, choice: Choice) -> Choice:
        """A choice as it is shown where its user has given a disposable a title."""
        domain = self._store.get(DomainKey(self._uri, choice.uuid))
        return replace(choice, title=domain.shown_name) if domain and domain.title else choice

    def _allowed(self, allow: Allow, by: Decider, system: dict[str, Subject]) -> Allowed:
        name = allow.target.removeprefix(Kind.NEW_OF.value)
        is_new, is_host = name != allow.target, allow.target == Kind.HOST.value
        subject = system.get(name)
        if subject is None and not is_host:
            raise Denied(f"“{name}” is not there any more")
        key = DomainKey(self._uri, subject.uuid if subject else "")
        name = HOST_NAME if is_host else name
        return Allowed(key, name, is_new, is_host, allow.user, allow.autostart, allow.target, by)

    async def _system(self) -> dict[str, Subject]:
        default = await asyncio.to_thread(self._defaults.get, "default_dispvm")
        if self._known is None or self._known[0] != default:
            found = self._store.named(self._uri, default) if default else None
            known = subjects(self._store.of_host(self._uri), policy_name(found) if found else "")
            self._known = (default, known)
        return self._known[1]

    async def _until_read(self, source: Domain, call: Call) -> None:
        """Wait for the domains' XML, for one that cannot be read once and no more: it keeps no others from anything.

        Raises QubesManagerError when that is the source or the target.
        """
        try:
            async with asyncio.timeout(_READ_PATIENCE):
                while any(d.key not in self._unreadable for d in self._unread()):
                    self._moved.clear()
                    await self._moved.wait()
        except TimeoutError:
            self._unreadable |= {d.key for d in self._unread()}
        for domain in self._unread():
            if domain.key == source.key or policy_name(domain) == call.target:
                raise QubesManagerError(f"“{domain.name}” could not be read: the host does not tell what it is")

    def _unread(self) -> list[Domain]:
        return [d for d in self._store.of_host(self._uri) if not (d.is_read or d.is_host)]

    def _on_batch(self, batch: Batch) -> None:
        self._known = None
        for key in batch.removed:
            self._notices.forget(key)
            self._unreadable.discard(key)
        self._moved.set()

    async def _record(
        self, source: Domain, call: Call, outcome: Outcome, by: Decider, rule: str, went_to: str = "", reason: str = ""
    ) -> None:
        decision = Decision(
            policy_name(source),
            call.service,
            call.argument,
            call.target,
            outcome,
            by,
            went_to,
            rule,
            reason,
            self._uri,
        )
        await self._recorder.write(source.key, decision)

    async def _tell(self, source: Domain, call: Call, text: str, topic: Topic) -> None:
        await self._notices.show(f"{source.name}: {call.service}", text, source.key, topic)


def _choice(target: str, system: dict[str, Subject]) -> Choice:
    name = target.removeprefix(Kind.NEW_OF.value)
    subject = system.get(name)
    label = subject.label if subject else "black"
    if name != target:
        return Choice(target, f"New disposable of {name}", label, "Disposable", subject.uuid if subject else "")
    if subject is None:
        return Choice(target, "dom0, this machine", label, "This machine")
    return Choice(target, name, label, "Running" if subject.is_running else "Halted", subject.uuid)
