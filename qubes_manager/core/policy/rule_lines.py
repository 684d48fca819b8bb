"""One line of a policy file, and the rule that it is."""

import re
import string

from qubes_manager.core.errors import QubesManagerError
from qubes_manager.core.policy.rules import Action, Rule
from qubes_manager.core.policy.tokens import BadToken, Kind, Place, Token, parse_token

# Characters of a line.
MAX_LINE = 4096
_NAME = frozenset(string.ascii_letters + string.digits + "-._")
_ARGUMENT = _NAME | {"+"}
# What each action takes.
_OPTIONS = {
    Action.ALLOW: {"target", "user", "notify", "autostart"},
    Action.ASK: {"target", "default_target", "user", "notify", "autostart"},
    Action.DENY: {"notify"},
}
_TRUTHS = {"yes": True, "no": False}
# useradd's own rule, and what Qubes' files may have besides (capitals).
_USER = re.compile(r"[A-Za-z_][A-Za-z0-9_.-]{0,31}", re.ASCII)


class BadRule(QubesManagerError):
    """A line that is no rule; says why."""


def is_service(name: str) -> bool:
    """Whether a service may be called so."""
    return bool(name) and _NAME.issuperset(name)


def is_argument(argument: str) -> bool:
    """Whether *argument*, with the ``+`` before it, may be one of a call's."""
    return argument.startswith("+") and _ARGUMENT.issuperset(argument)


def parse_service(service: str, argument: str) -> tuple[str | None, str | None]:
    """Return the service and argument of a rule, None for any; raises BadRule."""
    if service != "*" and not is_service(service):
        raise BadRule(f"{service!r} is no service: use letters, digits, “.”, “_” and “-”, or * for any")
    if argument != "*" and not is_argument(argument):
        raise BadRule(f"{argument!r} is no argument: write + and letters, digits, “.”, “_”, “-” or “+”, or * for any")
    if service == "*" and argument != "*":
        raise BadRule(f"the argument {argument!r} needs a service: with * as the service it can be * only")
    return None if service == "*" else service, None if argument == "*" else argument


def parse_rule(line: str, file: str, number: int) -> Rule:
    """Return the rule in *line*; raises BadRule."""
    words = _words(line)
    if len(words) < 5:
        raise BadRule(f"a rule has service, argument, source, target and action; this line has {_count(len(words))}")
    service, argument = parse_service(words[0], words[1])
    return _rule(service, argument, words[2:], line, file, number)


def parse_old_rule(service: str | None, argument: str | None, line: str, file: str, number: int) -> Rule:
    """Return the rule in a *line* that has only source, target and action; raises BadRule."""
    words = _words(line)
    if len(words) < 3:
        raise BadRule(f"a rule has source, target and action here; this line has {_count(len(words))}")
    return _rule(service, argument, words, line, file, number)


def deny_all(service: str | None, argument: str | None, file: str, number: int, text: str) -> Rule:
    """A rule that denies a service to everybody."""
    anything = Token(Kind.ANYTHING)
    return Rule(file, number, text, service, argument, anything, anything, Action.DENY, notify=True)


def service_of(line: str) -> str:
    """The service that a line which is no rule seems to be about; empty when that cannot be told."""
    first = line[:MAX_LINE].split(maxsplit=1)[:1]
    return first[0] if first and is_service(first[0]) else ""


def _words(line: str) -> list[str]:
    if len(line) > MAX_LINE:
        raise BadRule(f"the line has {len(line)} characters; at most {MAX_LINE} are allowed")
    if odd := next((char for char in line if not (char.isprintable() or char == "\t")), ""):
        # It could hide or reorder what the rule says.
        raise BadRule(f"the line has a character that does not print, U+{ord(odd):04X}; take it out")
    return line.split()


def _count(words: int) -> str:
    return f"{words} word{'s' if words != 1 else ''}"


def _rule(service: str | None, argument: str | None, words: list[str], line: str, file: str, number: int) -> Rule:
    try:
        source, target = parse_token(words[0], Place.SOURCE), parse_token(words[1], Place.TARGET)
        action = _action(words[2])
        options = _options(action, words[3:])
        redirect, default_target = (
            parse_token(options[key], Place.REDIRECT) if key in options else None
            for key in ("target", "default_target")
        )
    except BadToken as error:
        raise BadRule(str(error)) from None
    if action is Action.ALLOW and target.kind is Kind.DEFAULT and redirect is None:
        raise BadRule("“allow” for @default needs target=, which says where such calls go")
    user = options.get("user", "")
    if user and not _USER.fullmatch(user):
        raise BadRule(f"{user!r} is no name of a user")
    notify = _truth(options, "notify", action is Action.DENY)
    autostart = _truth(options, "autostart", True)
    return Rule(
        file,
        number,
        line,
        service,
        argument,
        source,
        target,
        action,
        redirect,
        default_target,
        user,
        notify,
        autostart,
    )


def _action(word: str) -> Action:
    try:
        return Action(word)
    except ValueError:
        raise BadRule(f"{word!r} is no action: use allow, ask or deny") from None


def _options(action: Action, words: list[str]) -> dict[str, str]:
    options: dict[str, str] = {}
    for word in words:
        key, equals, value = word.partition("=")
        if not equals:
            raise BadRule(f"{word!r} is no option: options are key=value")
        if key not in _OPTIONS[action]:
            raise BadRule(f"“{action}” has no option {key!r}: use {', '.join(sorted(_OPTIONS[action]))}")
        if key in options:
            raise BadRule(f"the option {key!r} is there twice")
        if not value:
            raise BadRule(f"the option {key!r} has no value")
        options[key] = value
    return options


def _truth(options: dict[str, str], key: str, default: bool) -> bool:
    if key not in options:
        return default
    if options[key] not in _TRUTHS:
        raise BadRule(f"{key} is {options[key]!r}; it can be yes or no")
    return _TRUTHS[options[key]]
