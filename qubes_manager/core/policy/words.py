"""Rules and decisions in plain words."""

from dataclasses import dataclass

from qubes_manager.core.crossing.service_words import service_title
from qubes_manager.core.policy.evaluation import Allow, Ask, Deny, Policy, Verdict
from qubes_manager.core.policy.rules import Action, Rule
from qubes_manager.core.policy.subject import System
from qubes_manager.core.policy.tokens import Kind, Place, Token

BROKEN = "the policy is broken, and only what it denies holds beside the defaults"
_FIXED = {
    Kind.ANYTHING: "any domain or the host",
    Kind.ANY_DOMAIN: "any domain",
    Kind.HOST: "the host",
    Kind.DEFAULT: "no domain by name",
    Kind.NEW: "a new disposable",
}
_OF_SOURCE = {
    Kind.TAGGED: "any domain tagged “{}”",
    Kind.CLASS: "any {}",
    Kind.NEW_OF: "any disposable of {}",
    Kind.NEW_TAGGED: "any disposable of a template tagged “{}”",
}
_OF_TARGET = {
    **_OF_SOURCE,
    Kind.NEW_OF: "a new disposable of {}",
    Kind.NEW_TAGGED: "a new disposable of a template tagged “{}”",
}


@dataclass(frozen=True, slots=True)
class RuleWords:
    """A rule, column by column: who asks, for what, of whom, and what becomes of it."""

    who: str
    what: str
    whom: str
    outcome: str

    @property
    def sentence(self) -> str:
        """All of it on one line."""
        return f"When {self.who} asks for {self.what} of {self.whom}: {self.outcome}"


@dataclass(frozen=True, slots=True)
class Explanation:
    """Why a call is decided as it is, line by line, the decision first."""

    verdict: Verdict
    lines: tuple[str, ...]

    @property
    def is_denied(self) -> bool:
        """Whether the call would be refused."""
        return isinstance(self.verdict, Deny)


def token_words(token: Token, place: Place) -> str:
    """Whom a token stands for."""
    if words := _FIXED.get(token.kind):
        return words
    pattern = (_OF_SOURCE if place is Place.SOURCE else _OF_TARGET).get(token.kind, "{}")
    return pattern.format(token.value if token.kind is not Kind.UUID else str(token))


def rule_words(rule: Rule) -> RuleWords:
    """A rule in words."""
    return RuleWords(
        token_words(rule.source, Place.SOURCE),
        _call_words(rule.service, rule.argument),
        token_words(rule.target, Place.TARGET),
        _outcome(rule),
    )


def explain(policy: Policy, service: str, argument: str, source: str, target: str, system: System) -> Explanation:
    """Which rule decides a call, and why; the arguments are those of ``Policy.evaluate``."""
    verdict = policy.evaluate(service, argument, source, target, system)
    match verdict:
        case Allow():
            lines = [f"allowed: it goes to {verdict.target}" + _as_user(verdict.user)]
        case Ask():
            lines = [f"the user is asked; to choose from: {', '.join(verdict.targets)}"]
            if verdict.default_target:
                lines.append(f"{verdict.default_target} is chosen beforehand")
        case Deny():
            lines = [f"denied: {verdict.reason}"]
    if rule := verdict.rule:
        lines += [f"decided by {rule.place}: {' '.join(rule.text.split())}", rule_words(rule).sentence]
    lines += [f"{BROKEN}: {fault}" for fault in policy.faults]
    return Explanation(verdict, tuple(lines))


def _call_words(service: str | None, argument: str | None) -> str:
    if service is None:
        return "any service"
    title = service_title(service)
    name = service if title == service else f"“{title}” ({service})"
    if argument is None:
        return name
    return f"{name} with the argument “{argument[1:]}”" if argument != "+" else f"{name} without an argument"


def _outcome(rule: Rule) -> str:
    match rule.action:
        case Action.DENY:
            return "denied" if rule.notify else "denied, without a notice"
        case Action.ALLOW:
            words = ["allowed"]
        case Action.ASK:
            words = ["the user is asked"]
    if rule.redirect:
        words.append(f"it goes to {token_words(rule.redirect, Place.REDIRECT)}")
    if rule.default_target:
        words.append(f"{token_words(rule.default_target, Place.REDIRECT)} is chosen beforehand")
    if not rule.autostart:
        words.append("only if that runs")
    if rule.notify:
        words.append("with a notice")
    return ", ".join(words) + _as_user(rule.user)


def _as_user(user: str) -> str:
    return f", as the user {user}" if user else ""
