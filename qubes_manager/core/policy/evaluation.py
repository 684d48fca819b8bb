"""Deciding calls: the first rule that matches decides, and without one the answer is no."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace

from qubes_manager.core.names import HOST_NAME
from qubes_manager.core.policy.matching import Aim, find_aim, matches_source, matches_target, possible_aims
from qubes_manager.core.policy.rule_lines import is_argument, is_service
from qubes_manager.core.policy.rules import Action, Fault, Rule
from qubes_manager.core.policy.subject import Subject, System
from qubes_manager.core.policy.tokens import BadToken, Kind, Place, Token, parse_token


@dataclass(frozen=True, slots=True)
class Request:
    """What is asked: *argument* begins with ``+``, *source* is a domain's name, *target* as the caller wrote it."""

    service: str
    argument: str
    source: str
    target: str


@dataclass(frozen=True, slots=True)
class Allow:
    """The call goes ahead to *target*: a name, ``@dispvm:NAME`` (a new disposable of NAME) or ``@adminvm``.

    *user* empty is the target's ordinary one. *autostart* says whether the target may be started for it.
    """

    target: str
    user: str
    notify: bool
    autostart: bool
    rule: Rule


@dataclass(frozen=True, slots=True)
class Ask:
    """The user is to choose one of *targets*, written as in Allow; *default_target* is one of them, or empty."""

    targets: tuple[str, ...]
    default_target: str
    user: str
    notify: bool
    autostart: bool
    rule: Rule
    request: Request
    # Whose names the targets were when they were asked about: a name may be another domain's by the time of the answer.
    uuids: tuple[str | None, ...] = field(default=(), repr=False)


@dataclass(frozen=True, slots=True)
class Deny:
    """The call is refused; *reason* says why in plain words. *rule* is None when none decided.

    *told* is what the caller may know of it: nothing about other domains, nor about the user's rules.
    """

    notify: bool
    rule: Rule | None
    reason: str
    told: str = "the policy does not allow it"


Verdict = Allow | Ask | Deny


class Policy:
    """Rules in their order. *faults* is what was wrong with the files that they come from; then *rules* are few."""

    def __init__(self, rules: Iterable[Rule], faults: Iterable[Fault] = ()) -> None:
        self.rules = tuple(rules)
        self.faults = tuple(faults)

    def evaluate(self, service: str, argument: str, source: str, target: str, system: System) -> Verdict:
        """Decide a call of *service* by the domain *source*, a key of *system*.

        *argument* comes without the ``+`` that sets it off, and is empty for none. *target* is what the caller named:
        empty or a name that nobody has is ``@default``.
        """
        verdict = self._evaluate(Request(service, f"+{argument}", source, target or Kind.DEFAULT.value), system)
        if isinstance(verdict, Deny) and self.faults:
            # It may be that alone.
            return replace(verdict, reason=f"{verdict.reason}; the policy is broken: {self.faults[0]}")
        return verdict

    def _evaluate(self, request: Request, system: System) -> Verdict:
        if not is_service(request.service) or not is_argument(request.argument):
            return _deny_told(True, None, "no service is called so")
        asking = system.get(request.source)
        if asking is None:
            return Deny(True, None, "it is not known who asks")
        try:
            aim = find_aim(parse_token(request.target, Place.CALL), asking, system)
        except BadToken as error:
            return _deny_told(True, None, str(error))
        if aim.kind is Kind.NAME and aim.subject is None:
            aim = Aim(Kind.DEFAULT)
        if aim.kind is Kind.NEW_OF and not (aim.subject and aim.subject.template_for_dispvms):
            return _deny_told(True, None, f"{request.target} is no template for disposables")
        about = self._about(request, asking, system)
        rule = next((rule for rule in about if matches_target(rule.target, aim, system)), None)
        if rule is None:
            return Deny(True, None, "no rule of the policy is about this")
        match rule.action:
            case Action.DENY:
                return Deny(rule.notify, rule, f"the policy denies it ({rule.place})")
            case Action.ALLOW:
                return _allow(rule, find_aim(rule.redirect, asking, system) if rule.redirect else aim, asking)
            case Action.ASK:
                return self._ask(rule, request, aim, asking, system)

    def answer(self, ask: Ask, target: str, system: System) -> Allow | Deny:
        """What becomes of the user's choice of *target*, by this policy and as things stand now.

        Both may have changed while the user was asked: what was not offered, what is not allowed any more and a name
        that has become another domain's are refused.
        """
        if target not in ask.targets:
            return Deny(True, ask.rule, f"{target!r} was not among the choices")
        if _uuid_of(target, system) != ask.uuids[ask.targets.index(target)]:
            return Deny(True, ask.rule, f"{target!r} is not the domain any more that it was when you were asked")
        request = ask.request
        match now := self.evaluate(
            request.service, request.argument.removeprefix("+"), request.source, request.target, system
        ):
            case Allow(target=only) if only == target:
                return now
            case Ask() if target in now.targets:
                return Allow(target, now.user, now.notify, now.autostart, now.rule)
            case Deny():
                return now
            case _:
                return Deny(True, now.rule, f"the policy has changed: {target!r} is not among the choices any more")

    def _about(self, request: Request, source: Subject, system: System) -> Iterator[Rule]:
        for rule in self.rules:
            if rule.is_about(request.service, request.argument) and matches_source(rule.source, source, system):
                yield rule

    def _ask(self, rule: Rule, request: Request, aim: Aim, source: Subject, system: System) -> Ask | Deny:
        if rule.redirect is None and _is_loopback(aim, source):
            return _deny_told(rule.notify, rule, f"{source.name} asks for itself")
        if rule.redirect is not None:
            offers = [find_aim(rule.redirect, source, system)]
        else:
            offers = self._offers(request, source, system)
        choices = {o.text: o for o in offers if not refusal(rule, o, source)}
        if not choices:
            return Deny(rule.notify, rule, f"there is no domain that could be asked for ({rule.place})")
        default = find_aim(rule.default_target, source, system).text if rule.default_target else ""
        targets = tuple(sorted(choices))
        return Ask(
            targets,
            default if default in choices else "",
            rule.user,
            rule.notify,
            rule.autostart,
            rule,
            request,
            tuple(_uuid_of(target, system) for target in targets),
        )

    def _offers(self, request: Request, source: Subject, system: System) -> list[Aim]:
        """What some rule would ask for or allow, and none before it denies; no internal domains, and not the source."""
        undecided = list(possible_aims(source, system))
        offers: list[Aim] = []
        denying: list[Token] = []
        for rule in self._about(request, source, system):
            if rule.action is Action.DENY:
                denying.append(rule.target)
            elif rule.redirect is not None:
                aim = find_aim(rule.redirect, source, system)
                if not any(matches_target(token, aim, system) for token in denying):
                    offers.append(aim)
                continue
            rest: list[Aim] = []
            for aim in undecided:
                if not matches_target(rule.target, aim, system):
                    rest.append(aim)
                elif rule.action is not Action.DENY:
                    offers.append(aim)
            undecided = rest
        return [aim for aim in offers if not (aim.subject and aim.subject.internal)]


def _deny_told(notify: bool, rule: Rule | None, reason: str) -> Deny:
    """A denial whose reason is about nobody but the caller."""
    return Deny(notify, rule, reason, reason)


def permits(verdict: Verdict, target: str) -> bool:
    """Whether a domain may be had that the user has chosen himself: where the policy asks, that is his answer.

    *target* is its name. Not where a rule sends such calls elsewhere.
    """
    text = Kind.HOST.value if target == HOST_NAME else target
    match verdict:
        case Allow():
            return verdict.target == text
        case Ask():
            return text in verdict.targets
        case Deny():
            return False


def _allow(rule: Rule, aim: Aim, source: Subject) -> Allow | Deny:
    if reason := refusal(rule, aim, source):
        is_own = _is_loopback(aim, source) or aim.kind is Kind.NEW
        told = {"told": reason} if is_own else {}
        return Deny(rule.notify, rule, f"{reason} ({rule.place})", **told)
    return Allow(aim.text, rule.user, rule.notify, rule.autostart, rule)


def refusal(rule: Rule, aim: Aim, source: Subject) -> str:
    """Why a call of *source* cannot go to *aim*, though the policy lets it; empty when it can."""
    subject = aim.subject
    match aim.kind:
        case Kind.DEFAULT:
            return "neither the caller nor the policy names a domain"
        case Kind.HOST:
            return f"{source.name} asks for itself" if source.is_host else ""
        case Kind.NEW if subject is None:
            return f"{source.name} has no template for its disposables"
        case Kind.NEW | Kind.NEW_OF:
            if subject is None or not subject.template_for_dispvms:
                return f"{subject.name if subject else 'what the rule names'} is no template for disposables"
            return "a new disposable would have to be started" if not rule.autostart else ""
        case _ if subject is None:
            return "the domain that the rule names does not exist"
        case _ if _is_loopback(aim, source):
            return f"{source.name} asks for itself"
        case _:
            return "" if rule.autostart or subject.is_running else f"{subject.name} would have to be started"


def _is_loopback(aim: Aim, source: Subject) -> bool:
    return aim.kind in (Kind.NAME, Kind.HOST) and aim.subject is not None and aim.subject.name == source.name


def _uuid_of(target: str, system: System) -> str | None:
    subject = system.get(target.removeprefix(Kind.NEW_OF.value))
    return subject.uuid if subject else None
