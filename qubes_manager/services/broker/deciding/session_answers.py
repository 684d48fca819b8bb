"""The user's answers that hold for longer than one request: grants and blocks.

They live in the broker's memory, and so end with it. A grant ends when its source or its target stops, goes or is
renamed: what runs then under that name may be something else. A block ends when its domain is removed; it holds for the
disposables that the domain has had made too.
"""

from collections.abc import Callable
from dataclasses import dataclass

from qubes_manager.core.crossing.question import Question
from qubes_manager.core.crossing.session_messages import MAX_RULES, RevokeGrant, SessionGrant, SessionRules, Unblock
from qubes_manager.core.domain import Domain, DomainKey
from qubes_manager.core.errors import NotFound, Refused
from qubes_manager.core.policy.tokens import Kind
from qubes_manager.core.service_messages import Done
from qubes_manager.core.signal import Signal
from qubes_manager.services.broker.lineage import Kin, Lineage
from qubes_manager.services.broker.requests import Requests
from qubes_manager.services.crossing.subjects import policy_name
from qubes_manager.services.hosts.store import Batch, DomainStore
from qubes_manager.services.programs.client import Client


class Blocked(Refused):
    """The user has blocked the requests of a domain."""


@dataclass(frozen=True, slots=True)
class _End:
    """Whom a grant is about, under the name that the policy had for it; no UUID for this machine.

    *is_new* is a new disposable of it, which does not stop with it.
    """

    uuid: str
    name: str
    is_new: bool = False


class SessionAnswers:
    """Grants and blocks of one connection's domains; ``changed`` tells all of them anew."""

    def __init__(self, uri: str, store: DomainStore, lineage: Lineage) -> None:
        self._uri = uri
        self._store = store
        self._lineage = lineage
        # With source and target.
        self._grants: dict[SessionGrant, tuple[_End, _End]] = {}
        # By UUID, with the names that they had.
        self._blocked: dict[str, str] = {}
        # By UUID, libvirt's number of the run.
        self._running: dict[str, int] = {}
        self.changed = Signal[SessionRules]()
        store.on_batch(self._on_batch)

    def serve(self, requests: Requests) -> None:
        """Let the user take back what he has said."""
        requests.serve(RevokeGrant, self._on_revoke)
        requests.serve(Unblock, self._on_unblock)

    @property
    def is_idle(self) -> bool:
        """Whether nothing holds that would be forgotten at the broker's end."""
        return not self._grants and not self._blocked

    @property
    def rules(self) -> SessionRules:
        """All that holds now."""
        return SessionRules(tuple(self._grants), tuple(self._blocked.values()))

    def granted(self, question: Question) -> str:
        """The target that the user has allowed for the session for such a question; empty when it is to be asked."""
        choices = {choice.target: choice.uuid for choice in question.choices}
        for grant, (source, target) in self._grants.items():
            about = (source.uuid, grant.service, grant.argument)
            is_same = about == (question.source_uuid, question.service, question.argument)
            is_requested = question.requested in (grant.requested, grant.target)
            if is_same and is_requested and choices.get(grant.target) == target.uuid:
                return grant.target
        return ""

    def kin(self, uuid: str) -> Kin:
        """Whom a domain belongs to: itself, or who has had the disposable made."""
        return self._lineage.kin(DomainKey(self._uri, uuid))

    def maker(self, uuid: str) -> str:
        """The policy's name for the domain that has had a disposable made; empty for any other."""
        kin = self.kin(uuid)
        maker = self._store.get(kin.origin) if kin.is_made else None
        return policy_name(maker) if maker else ""

    def require_unblocked(self, uuid: str) -> None:
        """Raise Blocked when the requests of a domain are refused unasked."""
        if not self._blocked.keys().isdisjoint((uuid, self.kin(uuid).origin.uuid)):
            raise Blocked("you have blocked the requests of this domain")

    def grant(self, question: Question, target: str) -> None:
        """Allow what was asked for, and the same again; raises Refused when that cannot be kept."""
        if len(self._grants) >= MAX_RULES:
            raise Refused(f"{MAX_RULES} pairs are allowed for the session already: revoke one first")
        name = target.removeprefix(Kind.NEW_OF.value)
        uuid = next(choice.uuid for choice in question.choices if choice.target == target)
        source, end = _End(question.source_uuid, question.source), _End(uuid, name, name != target)
        for one in filter(lambda one: one.uuid, (source, end)):
            self._require(one.uuid, one.name)
        grant = SessionGrant(question.source, question.service, question.argument, target, question.requested)
        self._grants[grant] = source, end
        self.changed.emit(self.rules)

    def block(self, uuid: str, name: str) -> None:
        """Refuse what a domain asks for from now on; raises Refused when that cannot be kept."""
        if len(self._blocked) >= MAX_RULES:
            raise Refused(f"{MAX_RULES} domains are blocked already: unblock one first")
        self._require(uuid, name)
        self._blocked[uuid] = name
        self.changed.emit(self.rules)

    def revoke(self, grant: SessionGrant) -> None:
        """Ask again; raises NotFound."""
        if self._grants.pop(grant, None) is None:
            raise NotFound("there is no such permission any more")
        self.changed.emit(self.rules)

    def unblock(self, source: str) -> None:
        """Ask again about what a domain asks for; raises NotFound."""
        for uuid, name in self._blocked.items():
            if name == source:
                del self._blocked[uuid]
                self.changed.emit(self.rules)
                return
        raise NotFound(f"the requests of “{source}” are not blocked")

    async def _on_revoke(self, _client: Client, request: RevokeGrant) -> Done:
        self.revoke(request.grant)
        return Done()

    async def _on_unblock(self, _client: Client, request: Unblock) -> Done:
        self.unblock(request.source)
        return Done()

    def _require(self, uuid: str, name: str) -> None:
        if self._store.get(DomainKey(self._uri, uuid)) is None:
            raise Refused(f"“{name}” is not there any more")

    def _on_batch(self, batch: Batch) -> None:
        before = self.rules
        for key in batch.removed:
            self._blocked.pop(key.uuid, None)
            self._running.pop(key.uuid, None)
            self._end_grants(key.uuid, lambda _end: True)
        for domain in (*batch.added, *batch.changed):
            self._follow(domain)
        if self.rules != before:
            self.changed.emit(self.rules)

    def _follow(self, domain: Domain) -> None:
        uuid, name = domain.key.uuid, policy_name(domain)
        if uuid in self._blocked:
            self._blocked[uuid] = name
        run = domain.id if domain.state.is_active else None
        if self._running.get(uuid, run) != run:
            # It has stopped, and may have been started again at once.
            self._end_grants(uuid, lambda end: not end.is_new)
        if run is None:
            self._running.pop(uuid, None)
        else:
            self._running[uuid] = run
        self._end_grants(uuid, lambda end: end.name != name)

    def _end_grants(self, uuid: str, is_over: Callable[[_End], bool]) -> None:
        for grant, ends in list(self._grants.items()):
            if any(end.uuid == uuid and is_over(end) for end in ends):
                del self._grants[grant]
