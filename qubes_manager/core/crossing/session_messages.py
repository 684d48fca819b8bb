"""What the user has said for as long as the broker runs: pairs that are not asked about, domains that are blocked."""

from dataclasses import dataclass
from typing import ClassVar

from qubes_manager.core.crossing.guest_messages import MAX_ARGUMENT, MAX_SERVICE
from qubes_manager.core.crossing.question import MAX_TARGET
from qubes_manager.core.json_lines import Fields, Message

# Of each; all of them are told in one line.
MAX_RULES = 200


@dataclass(frozen=True, slots=True)
class SessionGrant:
    """*source* may have *service* of *target* without being asked about; names as the policy has them.

    *requested* is what the call had named when the user allowed it, empty for nothing: calls that name the same, or
    *target* itself, are covered.
    """

    source: str
    service: str
    argument: str
    target: str
    requested: str = ""

    @classmethod
    def of(cls, fields: Fields) -> "SessionGrant":
        """The grant in an object; raises BadMessage."""
        return cls(
            fields.raw("source", MAX_TARGET),
            fields.text("service", MAX_SERVICE),
            fields.text("argument", MAX_ARGUMENT),
            fields.raw("target", MAX_TARGET),
            fields.raw("requested", MAX_TARGET),
        )


@dataclass(frozen=True, slots=True)
class SessionRules(Message):
    """News: all grants there are, and the names of the domains whose requests are blocked."""

    TYPE: ClassVar[str] = "session"
    grants: tuple[SessionGrant, ...] = ()
    blocked: tuple[str, ...] = ()

    @classmethod
    def of(cls, fields: Fields) -> "SessionRules":
        """The message in *fields*; raises BadMessage."""
        return cls(
            tuple(SessionGrant.of(part) for part in fields.objects("grants", MAX_RULES)),
            fields.raws("blocked", MAX_RULES, MAX_TARGET),
        )


@dataclass(frozen=True, slots=True)
class RevokeGrant(Message):
    """Ask again from now on."""

    TYPE: ClassVar[str] = "revoke"
    source: str
    service: str
    argument: str
    target: str
    requested: str = ""

    @classmethod
    def of(cls, fields: Fields) -> "RevokeGrant":
        """The message in *fields*; raises BadMessage."""
        return cls.for_grant(SessionGrant.of(fields))

    @classmethod
    def for_grant(cls, grant: SessionGrant) -> "RevokeGrant":
        """What revokes *grant*."""
        return cls(grant.source, grant.service, grant.argument, grant.target, grant.requested)

    @property
    def grant(self) -> SessionGrant:
        """What is revoked."""
        return SessionGrant(self.source, self.service, self.argument, self.target, self.requested)


@dataclass(frozen=True, slots=True)
class Unblock(Message):
    """Ask about a domain's requests again."""

    TYPE: ClassVar[str] = "unblock"
    source: str

    @classmethod
    def of(cls, fields: Fields) -> "Unblock":
        """The message in *fields*; raises BadMessage."""
        return cls(fields.raw("source", MAX_TARGET))
