"""A rule as the cells of a row, and a row as a rule; pure."""

from collections.abc import Sequence

from qubes_manager.core.firewall.rules import FirewallRule, Protocol, parse_rule

ACTIONS = ("accept", "drop")
ANY, DNS = "any", "dns"
PROTOCOLS = (ANY, "tcp", "udp", "icmp", DNS, f"{DNS} tcp", f"{DNS} udp")
HEADS = ("Action", "Host", "Protocol", "Ports", "Comment")


def cells_of(rule: FirewallRule) -> tuple[str, ...]:
    """The cells of a rule; of ICMP the type stands where ports do."""
    protocol = " ".join(filter(None, (DNS if rule.dns else "", rule.proto or ""))) or ANY
    detail = rule.icmp_type if rule.proto is Protocol.ICMP else rule.ports
    host = "" if rule.host is None else str(rule.host)
    return rule.action, host, protocol, "" if detail is None else str(detail), rule.comment


def rule_of(cells: Sequence[str], expire: int | None, now: float) -> FirewallRule:
    """The rule that cells say, which ends at *expire* (seconds since 1970); raises BadInput."""
    action, host, protocol, detail, comment = (cell.strip() for cell in cells)
    words = [f"action={action}"]
    if host:
        words.append(f"dsthost={host}")
    kind, _, of_dns = protocol.lower().partition(" ")
    if kind == DNS:
        words += ["specialtarget=dns", *([f"proto={of_dns}"] if of_dns else [])]
    elif kind not in ("", ANY):
        words.append(f"proto={protocol}")
    if detail:
        words.append(f"{'icmptype' if kind == 'icmp' else 'dstports'}={detail}")
    if expire is not None:
        words.append(f"expire={expire}")
    if comment:
        words.append(f"comment={comment}")
    return parse_rule(words, now)
