"""Which tokens of rules match who asks, and what is asked for."""

from collections.abc import Iterator
from dataclasses import dataclass

from qubes_manager.core.domain import DomainClass
from qubes_manager.core.names import HOST_NAME
from qubes_manager.core.policy.subject import Subject, System
from qubes_manager.core.policy.tokens import Kind, Token


@dataclass(frozen=True, slots=True)
class Aim:
    """What a call goes to: a domain (NAME), the host, a new disposable (NEW, NEW_OF), or nothing named (DEFAULT).

    *subject* is the domain, or what the disposable is to be made of; None where there is none.
    """

    kind: Kind
    subject: Subject | None = None

    @property
    def text(self) -> str:
        """As verdicts write it: a name, ``@dispvm:NAME``, ``@adminvm``."""
        if self.kind in (Kind.HOST, Kind.DEFAULT):
            return str(self.kind.value)
        name = self.subject.name if self.subject else ""
        return name if self.kind is Kind.NAME else Kind.NEW_OF.value + name


def find_aim(token: Token, source: Subject, system: System) -> Aim:
    """What *token*, of a call or of ``target=``, stands for when *source* asks."""
    match token.kind:
        case Kind.HOST:
            return Aim(Kind.HOST, system.get(HOST_NAME))
        case Kind.DEFAULT:
            return Aim(Kind.DEFAULT)
        case Kind.NEW:
            return Aim(Kind.NEW, system.get(source.default_dispvm))
        case Kind.NEW_OF:
            return Aim(Kind.NEW_OF, _named(token.value, system))
        case Kind.UUID:
            return Aim(Kind.NAME, _named(str(token), system))
        case _:
            return Aim(Kind.NAME, _named(token.value, system))


def possible_aims(source: Subject, system: System) -> Iterator[Aim]:
    """All that a call of *source* could go to."""
    for subject in system.values():
        if not subject.is_host:
            yield Aim(Kind.NAME, subject)
        if subject.template_for_dispvms:
            yield Aim(Kind.NEW_OF, subject)
    yield Aim(Kind.NEW, system.get(source.default_dispvm))
    yield Aim(Kind.HOST, system.get(HOST_NAME))


def matches_source(token: Token, source: Subject, system: System) -> bool:
    """Whether a rule with *token* as its source is about calls of *source*.

    ``@dispvm:NAME`` and ``@dispvm:@tag:TAG`` are the disposables that were made of such a template.
    """
    match token.kind:
        case Kind.ANYTHING:
            return True
        case Kind.ANY_DOMAIN:
            return not source.is_host
        case Kind.HOST:
            return source.is_host
        case Kind.NEW_OF | Kind.NEW_TAGGED:
            return source.klass == DomainClass.DISPOSABLE and _is_made_of(token, system.get(source.template))
        case _:
            return _is(token, source)


def matches_target(token: Token, aim: Aim, system: System) -> bool:
    """Whether a rule with *token* as its target is about calls that go to *aim*."""
    match token.kind:
        case Kind.ANYTHING:
            return True
        case Kind.ANY_DOMAIN:
            return aim.kind is not Kind.HOST
        case Kind.HOST | Kind.DEFAULT | Kind.NEW:
            return aim.kind is token.kind
        case Kind.NEW_OF | Kind.NEW_TAGGED:
            return aim.kind in (Kind.NEW, Kind.NEW_OF) and _is_made_of(token, aim.subject)
        case _:
            return aim.kind in (Kind.NAME, Kind.HOST) and aim.subject is not None and _is(token, aim.subject)


def _is(token: Token, subject: Subject) -> bool:
    match token.kind:
        case Kind.TAGGED:
            return token.value in subject.tags
        case Kind.CLASS:
            return token.value == subject.klass
        case Kind.UUID:
            return token.value == subject.uuid and not subject.is_host
        case _:
            return token.value == subject.name and not subject.is_host


def _is_made_of(token: Token, template: Subject | None) -> bool:
    if template is None or not template.template_for_dispvms:
        return False
    if token.kind is Kind.NEW_TAGGED:
        return token.value in template.tags
    return token.value in (template.name, Kind.UUID.value + template.uuid)


def _named(value: str, system: System) -> Subject | None:
    """The domain of a name or ``uuid:…``."""
    uuid = value.removeprefix(Kind.UUID.value)
    if uuid != value:
        return next((subject for subject in system.values() if subject.uuid == uuid), None)
    return system.get(value)
