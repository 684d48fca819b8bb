"""A rule of a domain's firewall, in the words of Qubes (``qvm-firewall``).

The grammar is that of https://doc.qubes-os.org/en/latest/user/security-in-qubes/firewall.html: an action and any of
``dsthost`` (``dst4``, ``dst6``), ``proto``, ``dstports``, ``icmptype``, ``specialtarget``, ``expire`` and, last,
``comment``.
"""

import ipaddress
import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import TypeVar

from qubes_manager.core.errors import BadInput
from qubes_manager.core.values import parse_number

Network = ipaddress.IPv4Network | ipaddress.IPv6Network
Address = ipaddress.IPv4Address | ipaddress.IPv6Address
# RFC 1123, section 2.1, and RFC 1035, section 2.3.4. The last part of a name is no number: that would be an address.
_LABEL = re.compile(r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?", re.IGNORECASE | re.ASCII)
_MAX_NAME = 253
_COMMENT = re.compile(r"[A-Za-z0-9:;,./_\[\] -]{0,255}", re.ASCII)
_MAX_PORT, _MAX_ICMP_TYPE = 65535, 255
# The year 2106; seconds since 1970.
_MAX_TIME = 1 << 32
Choice = TypeVar("Choice", bound=StrEnum)
# Words without a key are these, in this order.
_KEYS = ("action", "dsthost", "dst4", "dst6", "proto", "dstports", "icmptype", "specialtarget", "expire", "comment")
_ORDER = ("action", "dsthost", "proto", "dstports", "icmptype")


class Action(StrEnum):
    """What a rule does with what it matches."""

    ACCEPT = "accept"
    DROP = "drop"


class Protocol(StrEnum):
    """What a rule may be restricted to."""

    TCP = "tcp"
    UDP = "udp"
    ICMP = "icmp"


@dataclass(frozen=True, slots=True)
class Ports:
    """A range of ports, both ends of it among them."""

    first: int
    last: int

    def __contains__(self, port: int) -> bool:
        return self.first <= port <= self.last

    def __str__(self) -> str:
        return str(self.first) if self.first == self.last else f"{self.first}-{self.last}"


_HOSTS = "give an address, a network such as 192.0.2.0/24, or (dsthost) a host’s name"


@dataclass(frozen=True, slots=True)
class FirewallRule:
    """What it matches, and what becomes of that; what is not said matches anything.

    *host* is a network, or a name that is looked up later. *dns* is ``specialtarget=dns``: whatever answers the
    domain's DNS. *expire* is in seconds since 1970.
    """

    action: Action
    host: Network | str | None = None
    proto: Protocol | None = None
    ports: Ports | None = None
    icmp_type: int | None = None
    dns: bool = False
    expire: int | None = None
    comment: str = ""

    @property
    def name(self) -> str:
        """The name that must be looked up; empty when there is none."""
        return self.host if isinstance(self.host, str) else ""

    def has_expired(self, now: float) -> bool:
        """Whether it holds no longer, at *now* (seconds since 1970)."""
        return self.expire is not None and self.expire <= now

    @property
    def bare(self) -> str:
        """As it is written, without its comment."""
        return str(replace(self, comment=""))

    def __str__(self) -> str:
        """As ``parse_rule`` reads it, and Qubes."""
        words: dict[str, object] = {"action": self.action}
        match self.host:
            case str(name):
                words["dsthost"] = name
            case ipaddress.IPv4Network():
                words["dst4"] = self.host
            case ipaddress.IPv6Network():
                words["dst6"] = self.host
        words |= {
            key: value
            for key, value in (("proto", self.proto), ("dstports", self.ports), ("icmptype", self.icmp_type))
            if value is not None
        }
        if self.dns:
            words["specialtarget"] = "dns"
        if self.expire is not None:
            words["expire"] = self.expire
        if self.comment:
            words["comment"] = self.comment
        return " ".join(f"{key}={value}" for key, value in words.items())


def parse_line(line: str, now: float) -> FirewallRule:
    """Return the rule of a line, whose comment goes on to its end; raises BadInput."""
    start, is_commented, comment = f" {line.strip()}".partition(" comment=")
    return parse_rule([*start.split(), *([f"comment={comment}"] if is_commented else ())], now)


def parse_rule(words: Sequence[str], now: float) -> FirewallRule:
    """Return the rule that *words* say; raises BadInput.

    Words are ``key=value``; those without a key are action, dsthost, proto, and ports or ICMP type, in this order. An
    ``expire`` that begins with ``+`` counts seconds from *now* (seconds since 1970).
    """
    values = _by_key(words)
    if "action" not in values:
        raise BadInput("action", "", "begin with accept or drop")
    proto = _parse_choice("proto", values["proto"], Protocol) if "proto" in values else None
    rule = FirewallRule(
        action=_parse_choice("action", values["action"], Action),
        host=_parse_host(values),
        proto=proto,
        ports=_parse_ports(values["dstports"]) if "dstports" in values else None,
        icmp_type=parse_number(values["icmptype"], "icmptype", 0, _MAX_ICMP_TYPE) if "icmptype" in values else None,
        dns="specialtarget" in values,
        expire=_parse_expire(values["expire"], now) if "expire" in values else None,
        comment=_parse_comment(values.get("comment", "")),
    )
    _check_together(rule, values)
    return rule


def _by_key(words: Sequence[str]) -> dict[str, str]:
    order = list(_ORDER)
    values: dict[str, str] = {}
    for word in words:
        key, is_keyed, value = word.partition("=")
        if not is_keyed:
            if not order:
                raise BadInput("rule", word[:80], "give it as key=value")
            key, value = order[0], word
        if key not in _KEYS:
            raise BadInput("rule", word[:80], f"the keys are {', '.join(_KEYS)}")
        if key in values:
            raise BadInput(key, value[:80], "give it once")
        values[key] = value
        place = "dsthost" if key in ("dst4", "dst6") else key
        if place in order:
            del order[: order.index(place) + 1]
    return values


def _parse_choice(key: str, value: str, kind: type[Choice]) -> Choice:
    try:
        return kind(value.lower())
    except ValueError:
        raise BadInput(key, value[:80], f"use {', '.join(kind)}") from None


def _parse_host(values: dict[str, str]) -> Network | str | None:
    given = [key for key in ("dsthost", "dst4", "dst6") if key in values]
    if not given:
        return None
    if len(given) > 1:
        raise BadInput(given[1], values[given[1]][:80], f"{given[0]} says where to already")
    [key] = given
    found = parse_host(values[key], key)
    is_fitting = {"dst4": isinstance(found, ipaddress.IPv4Network), "dst6": isinstance(found, ipaddress.IPv6Network)}
    if not is_fitting.get(key, True):
        raise BadInput(key, values[key][:80], _HOSTS)
    return found


def parse_address(text: str) -> Address | None:
    """Return the address in *text*, whatever scope it names; None where it is none."""
    try:
        return ipaddress.ip_address(text.partition("%")[0])
    except ValueError:
        return None


def parse_host(text: str, field: str) -> Network | str:
    """Return the network or address that *text* is, or the name of a host; raises BadInput."""
    try:
        # Bits beyond the length of the network are forgiven: 192.168.1.5/24 is a slip that means 192.168.1.0/24.
        return ipaddress.ip_network(text, strict=False)
    except ValueError:
        if _is_name(text):
            return text.lower().removesuffix(".")
    raise BadInput(field, text[:80], _HOSTS)


def _is_name(text: str) -> bool:
    labels = text.removesuffix(".").split(".")
    return len(text) <= _MAX_NAME and all(_LABEL.fullmatch(label) for label in labels) and not labels[-1].isdigit()


def _parse_ports(text: str) -> Ports:
    first, is_range, last = text.partition("-")
    low = parse_number(first, "dstports", 0, _MAX_PORT)
    return Ports(low, parse_number(last, "dstports", low, _MAX_PORT) if is_range else low)


def _parse_expire(text: str, now: float) -> int:
    if text.startswith("+"):
        return int(now) + parse_number(text[1:], "expire", 1, _MAX_TIME - int(now))
    return parse_number(text, "expire", 0, _MAX_TIME)


def _parse_comment(text: str) -> str:
    if not _COMMENT.fullmatch(text):
        raise BadInput("comment", text[:80], "use letters, digits, spaces and :;,./-_[], 255 at most")
    return text.strip()


def _check_together(rule: FirewallRule, values: dict[str, str]) -> None:
    """Raise BadInput for what means nothing beside the rest of its rule."""
    if rule.ports and rule.proto not in (Protocol.TCP, Protocol.UDP):
        raise BadInput("dstports", values["dstports"][:80], "say proto=tcp or proto=udp too")
    if rule.icmp_type is not None and rule.proto is not Protocol.ICMP:
        raise BadInput("icmptype", values["icmptype"][:80], "say proto=icmp too")
    if not rule.dns:
        return
    if values["specialtarget"] != "dns":
        raise BadInput("specialtarget", values["specialtarget"][:80], "use dns")
    if rule.host is not None or rule.ports or rule.proto is Protocol.ICMP:
        raise BadInput("specialtarget", "dns", "it says host and ports itself; proto may be tcp or udp")
