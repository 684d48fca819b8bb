"""Who may reach whom: a policy, worked out for all domains that there are."""

from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass

from qubes_manager.core.names import HOST_NAME
from qubes_manager.core.policy.evaluation import Policy, refusal
from qubes_manager.core.policy.matching import Aim, find_aim, matches_source, matches_target, possible_aims
from qubes_manager.core.policy.rules import Action, Rule
from qubes_manager.core.policy.subject import Subject, System
from qubes_manager.core.policy.tokens import Kind

ANY = "*"


@dataclass(frozen=True, slots=True)
class Reach:
    """A domain may have a service of another: at once, or when the user says so (*is_asked*).

    *service* and *argument* ``*`` are all that no rule names. *target* is a domain's name, ``dom0`` for the host too,
    ``@dispvm:NAME``, or ``@default``: the user chooses.
    """

    source: str
    target: str
    service: str
    argument: str
    is_asked: bool
    rule: Rule

    @property
    def call(self) -> str:
        """The service and its argument, as they are called."""
        return self.service if self.argument in (ANY, "+") else self.service + self.argument


def reaches(
    policy: Policy,
    system: System,
    *,
    sources: Collection[str] = (),
    targets: Collection[str] = (),
    services: Collection[str] = (),
) -> Iterator[Reach]:
    """All that the policy lets through, each once; of *sources*, *targets* and *services* only where those are given.

    A service may be given with its argument (``qubes.StartApp+firefox``). The work grows with domains times domains.
    """
    found: set[tuple[str, str, str, str, bool]] = set()
    asking = [subject for name, subject in system.items() if not sources or name in sources]
    for service, argument in _calls(policy.rules, services):
        about = [rule for rule in policy.rules if rule.is_about(service, argument)]
        for source in asking:
            own = [rule for rule in about if matches_source(rule.source, source, system)]
            for aim in (*possible_aims(source, system), Aim(Kind.DEFAULT)):
                reach = _reach(own, service, argument, source, aim, system)
                if reach is None or (targets and reach.target not in targets):
                    continue
                key = (reach.source, reach.target, service, argument, reach.is_asked)
                if key not in found:
                    found.add(key)
                    yield reach


def _calls(rules: Iterable[Rule], wanted: Collection[str]) -> list[tuple[str, str]]:
    """The services and arguments that rules tell apart, or that were asked for."""
    known = {(rule.service or ANY, rule.argument or ANY) for rule in rules}
    known |= {(service, plus + rest if plus else ANY) for service, plus, rest in (w.partition("+") for w in wanted)}
    return sorted(call for call in known if not wanted or call[0] in wanted or "".join(call) in wanted)


def _reach(rules: list[Rule], service: str, argument: str, source: Subject, aim: Aim, system: System) -> Reach | None:
    rule = next((rule for rule in rules if matches_target(rule.target, aim, system)), None)
    if rule is None or rule.action is Action.DENY:
        return None
    is_asked = rule.action is Action.ASK
    if rule.redirect:
        aim = find_aim(rule.redirect, source, system)
    is_choice = is_asked and aim.kind is Kind.DEFAULT
    if not is_choice and refusal(rule, aim, source):
        return None
    if is_asked and not rule.redirect and aim.subject and aim.subject.internal:
        return None
    target = HOST_NAME if aim.kind is Kind.HOST else aim.text
    return Reach(source.name, target, service, argument, is_asked, rule)
