"""qubes-manager policy: which rule decides a call, the rules in words, and what was decided."""

import time
from argparse import Namespace
from collections.abc import Sequence
from dataclasses import astuple
from datetime import datetime

from qubes_manager.cli.command import Session, complain, report, run
from qubes_manager.cli.options import DONE, FAILED, new_parser
from qubes_manager.cli.tables import print_table
from qubes_manager.core.errors import QubesManagerError
from qubes_manager.core.policy.subject import System
from qubes_manager.core.policy.words import BROKEN, explain, rule_words
from qubes_manager.services.assembly import Services
from qubes_manager.services.crossing.audit import AuditFilter, Outcome
from qubes_manager.services.crossing.subjects import policy_name, subjects

_DAY = 86_400


def main(argv: Sequence[str] | None = None) -> int:
    """Entry point of ``qubes-manager policy``."""
    parser = new_parser("qubes-manager policy", "Say which rule decides, what the rules mean, and what was decided.")
    commands = parser.add_subparsers(dest="command", required=True)
    deciding = commands.add_parser("explain", help="which rule decides a call; exit 1 when it is denied")
    deciding.add_argument("SERVICE", help="the service, or SERVICE+ARGUMENT")
    deciding.add_argument("SOURCE", help="the domain that asks")
    deciding.add_argument("TARGET", nargs="?", default="@default", help="what it asks for; else @default")
    commands.add_parser("rules", help="the rules in words, in the order in which they hold")
    log = commands.add_parser("log", help="what was decided, the newest first")
    log.add_argument("--source", default="", metavar="NAME", help="only what this domain asked for")
    log.add_argument("--target", default="", metavar="NAME", help="only what this domain was asked for")
    log.add_argument("--service", default="", metavar="NAME", help="only this service")
    log.add_argument("--outcome", type=Outcome, choices=list(Outcome), help="only what was allowed, or refused")
    log.add_argument("--days", type=float, default=0, metavar="N", help="only of the last N days")
    log.add_argument("--limit", type=int, default=100, metavar="N", help="at most so many; 100 if not given")
    options = parser.parse_args(argv)
    match options.command:
        case "explain":
            return run(options, lambda session: _explain(session, options))
        case "rules":
            return report(options, _print_rules)
        case _:
            return report(options, lambda: _print_log(options))


def find_system(session: Session) -> System:
    """The domains of the first connection, as the policy sees them; blocks."""
    store, defaults = session.store, session.services.defaults
    return subjects(store.of_host(session.uris[0]), defaults.get("default_dispvm"))


async def _explain(session: Session, options: Namespace) -> int:
    source = policy_name(session.find(options.SOURCE))
    service, _, argument = options.SERVICE.partition("+")
    policy = session.services.policy_files.load()
    explanation = explain(policy, service, argument, source, options.TARGET, find_system(session))
    print("\n".join(explanation.lines))
    return FAILED if explanation.is_denied else DONE


def _print_rules() -> int:
    policy = Services.connecting(watch=False).policy_files.load()
    rows = [(rule.place, *astuple(rule_words(rule))) for rule in policy.rules]
    print_table(("RULE", "WHO ASKS", "FOR WHAT", "OF WHOM", "WHAT BECOMES OF IT"), rows)
    for fault in policy.faults:
        complain(QubesManagerError(f"{BROKEN}: {fault}"))
    return FAILED if policy.faults else DONE


def _print_log(options: Namespace) -> int:
    since = time.time() - options.days * _DAY if options.days else 0.0
    wanted = AuditFilter(options.source, options.target, options.service, options.outcome, since)
    rows = [
        (
            datetime.fromtimestamp(d.when).isoformat(" ", "seconds"),
            d.source,
            d.service + (f"+{d.argument}" if d.argument else ""),
            d.went_to or d.target,
            f"{d.outcome} by {d.by}",
            d.rule,
            d.reason,
        )
        for d in Services.connecting(watch=False).audit.read(wanted, max(options.limit, 0))
    ]
    print_table(("WHEN", "SOURCE", "SERVICE", "TARGET", "OUTCOME", "RULE", "REASON"), rows)
    return DONE
