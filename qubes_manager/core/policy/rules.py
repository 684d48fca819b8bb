"""A rule of the policy: one line of a file."""

from dataclasses import dataclass
from enum import StrEnum

from qubes_manager.core.policy.tokens import Token


class Action(StrEnum):
    """What a rule does with the calls that it matches."""

    ALLOW = "allow"
    ASK = "ask"
    DENY = "deny"


@dataclass(frozen=True, slots=True)
class Fault:
    """What is wrong with a policy: where (line 0 is the whole file), why, and the line's own text."""

    file: str
    line: int
    reason: str
    text: str = ""

    def __str__(self) -> str:
        return f"{self.file}:{self.line}: {self.reason}" if self.line else f"{self.file}: {self.reason}"


@dataclass(frozen=True, slots=True)
class Rule:
    """Which calls it is about, and what becomes of them.

    *service* and *argument* None are any; an *argument* begins with ``+``. *redirect* is its ``target=``. *text* is
    the line as it was written.
    """

    file: str
    line: int
    text: str
    service: str | None
    argument: str | None
    source: Token
    target: Token
    action: Action
    redirect: Token | None = None
    default_target: Token | None = None
    user: str = ""
    notify: bool = False
    autostart: bool = True

    @property
    def place(self) -> str:
        """Where it stands: file and line."""
        return f"{self.file}:{self.line}"

    @property
    def outcome(self) -> str:
        """Its action and options, as they are written; options at their default are left out."""
        options = {
            "target": self.redirect,
            "default_target": self.default_target,
            "user": self.user,
            "notify": "" if self.notify is (self.action is Action.DENY) else "yes" if self.notify else "no",
            "autostart": "" if self.autostart else "no",
        }
        return " ".join([self.action.value, *(f"{key}={value}" for key, value in options.items() if value)])

    def is_about(self, service: str, argument: str) -> bool:
        """Whether it is about calls of *service* with *argument* (which begins with ``+``)."""
        return self.service in (None, service) and self.argument in (None, argument)
