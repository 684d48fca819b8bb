"""qvm-firewall: what a domain's network lets through."""

import argparse
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import replace

from qubes_manager.cli.command import Session, run
from qubes_manager.cli.options import DONE, new_parser
from qubes_manager.cli.tables import print_table
from qubes_manager.core.domain import Domain
from qubes_manager.core.errors import NotFound
from qubes_manager.core.firewall.control import NetworkState
from qubes_manager.core.firewall.firewall import Firewall, parse_firewall
from qubes_manager.core.firewall.rules import FirewallRule, parse_rule
from qubes_manager.core.sizes import format_size

_RULE = (
    "a rule: accept or drop, then HOST PROTOCOL PORTS, or any of dsthost= dst4= dst6= proto= dstports= icmptype= "
    "specialtarget=dns expire=+SECONDS comment="
)
_COLUMNS = ("NO", "ACTION", "HOST", "PROTOCOL", "PORT(S)", "SPECIAL TARGET", "ICMP TYPE", "EXPIRE", "COMMENT")


def main(argv: Sequence[str] | None = None) -> int:
    """Entry point."""
    parser = new_parser("qvm-firewall", "Show and set what a domain reaches: the first rule that matches decides.")
    parser.add_argument("VMNAME", help="the domain")
    parser.add_argument("--reload", "-r", action="store_true", help="let the rules that are set hold once more")
    parser.add_argument("--raw", action="store_true", help="list rules as they are given, without numbers and counts")
    commands = parser.add_subparsers(dest="command")
    commands.add_parser("list", help="list the rules, with what went through each while the domain runs")
    adding = commands.add_parser("add", help="add a rule, as the last one")
    adding.add_argument("--before", type=int, metavar="NUMBER", help="before the rule of that number")
    adding.add_argument("match", nargs="+", metavar="RULE", help=_RULE)
    removing = commands.add_parser("del", help="take a rule away")
    removing.add_argument("--rule-no", type=int, metavar="NUMBER", help="the rule of that number")
    removing.add_argument("match", nargs="*", metavar="RULE", help="the rule that says just this")
    commands.add_parser("reset", help="accept everything but the home network, as for a new domain")
    home = commands.add_parser("home", help="the networks around this machine: whether any rule may let it in there")
    home.add_argument("state", choices=("on", "off"))
    options = parser.parse_args(argv)
    if options.command == "del" and (options.rule_no is None) == (not options.match):
        parser.error("give either --rule-no or a rule")

    async def job(session: Session) -> int:
        domain = session.find(options.VMNAME)
        firewalls = session.services.firewalls
        if options.command == "reset":
            note = await firewalls.reset(domain.key)
        elif change := _change(options, firewalls.of(domain.key)):
            note = await firewalls.change(domain.key, change)
        else:
            note = await firewalls.reload(domain.key) if options.reload else ""
        if note:
            print(f"qvm-firewall: {note}", file=sys.stderr)
        if options.command in (None, "list") and not options.reload:
            await _list(session, domain, raw=options.raw)
        return DONE

    return run(options, job)


def _change(options: argparse.Namespace, shown: Firewall) -> Callable[[Firewall], Firewall] | None:
    """What a command does to a firewall; None for one that changes nothing.

    A number is that of a rule as it is *shown*; others may give it to another rule meanwhile.
    """
    match options.command:
        case "add":
            rule = parse_rule(options.match, time.time())
            if options.before is None:
                return lambda firewall: firewall.insert(rule)
            after = shown.rule(options.before)
            return lambda firewall: firewall.insert(rule, _place(firewall, after))
        case "del":
            gone = parse_rule(options.match, time.time()) if options.match else shown.rule(options.rule_no)
            return lambda firewall: firewall.remove(_place(firewall, gone))
        case "home":
            return lambda firewall: replace(firewall, home=options.state == "on")
    return None


def _place(firewall: Firewall, rule: FirewallRule) -> int:
    """The number of the first rule that is like *rule*; raises NotFound."""
    if rule in firewall.rules:
        return firewall.rules.index(rule)
    raise NotFound(f"there is no rule {rule}")


async def _list(session: Session, domain: Domain, *, raw: bool) -> None:
    firewall = session.services.firewalls.of(domain.key)
    if raw:
        print(firewall.lines)
        return
    state = await session.services.firewalls.state(domain.key)
    counts = dict(zip(_held(state), state.counts if state else (), strict=True))
    columns = (*_COLUMNS, *(("PACKETS", "BYTES", "NOTE") if state else ()))
    print_table(columns, [_row(number, rule, state, counts) for number, rule in enumerate(firewall.rules)])
    print(f"home network: {'on' if firewall.home else 'off'}")
    if state and (_held(state), state.home) != ([rule.bare for rule in firewall.rules], firewall.home):
        print("these are not the rules that hold now: qvm-firewall --reload lets them")
    if state:
        print(f"refused: {state.refused[0]} packets; way out: {state.trouble or 'open'}")


def _held(state: NetworkState | None) -> list[str]:
    """The rules that hold in a running domain, as they are counted."""
    return [rule.bare for rule in parse_firewall(state.rules, time.time()).rules] if state else []


def _row(
    number: int, rule: FirewallRule, state: NetworkState | None, counts: dict[str, tuple[int, int]]
) -> tuple[str, ...]:
    left = "" if rule.expire is None else f"+{max(0, round(rule.expire - time.time()))}"
    left = "expired" if rule.has_expired(time.time()) else left
    cells = (
        *(str(number), str(rule.action), str(rule.host or "-"), str(rule.proto or "-"), str(rule.ports or "-")),
        *("dns" if rule.dns else "-", "-" if rule.icmp_type is None else str(rule.icmp_type), left or "-"),
        rule.comment or "-",
    )
    if state is None:
        return cells
    packets, size = counts.get(rule.bare, (0, 0))
    troubles = dict(zip(state.troubles[::2], state.troubles[1::2], strict=False))
    return (*cells, str(packets), format_size(size), troubles.get(rule.name, "-"))
