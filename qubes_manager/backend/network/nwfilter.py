"""A domain's firewall as a network filter of libvirt's (https://libvirt.org/formatnwfilter.html)."""

import contextlib
from collections.abc import Collection, Iterator
from pathlib import Path

import libvirt
from lxml import etree
from lxml.builder import E

from qubes_manager.backend.connection.connection import LibvirtConnection
from qubes_manager.backend.connection.libvirt_errors import is_unsupported
from qubes_manager.backend.xml import parse
from qubes_manager.core.errors import Refused
from qubes_manager.core.firewall.filter_rules import FilterRule
from qubes_manager.core.firewall.rules import Action, Address, Protocol, parse_address
from qubes_manager.core.interfaces import filter_name

# libvirt puts rules in the order of their priorities.
_FIRST, _LAST = -900, 1000
_MOST = _LAST - _FIRST - 1
_PLAIN = _FIRST - 100
_BROADCAST, _ALL_DHCP, _ALL_ROUTERS = "255.255.255.255", "ff02::1:2", "ff02::2"
_NEIGHBOURS = (("ff02::", "16"), ("fe80::", "10"))
_HERE = ("qemu:///", "qemu+unix:///")
_NO_FILTER = 62  # VIR_ERR_NO_NWFILTER


def filter_xml(uuid: str, rules: list[FilterRule], servers: Collection[Address] = (), own_uuid: str = "") -> str:
    """Return the filter for the domain of *uuid*; *own_uuid* is the filter's, where it is there already.

    *servers* are the addresses by which its network gives out addresses. Raises Refused where it has more rules than
    libvirt can put in order.
    """
    if len(rules) > _MOST:
        raise Refused(f"libvirt’s network filters have {_MOST} rules at most, and these come to {len(rules)}")
    root = E.filter(name=filter_name(uuid), chain="root")
    if own_uuid:
        root.append(E.uuid(own_uuid))
    # What is not plain IP, as in a VLAN's tag, would pass by the rules for IP.
    for protocol in ("arp", "ipv4", "ipv6"):
        root.append(_rule("accept", "inout", _PLAIN, E.mac(protocolid=protocol)))
    root.append(E.rule(action="drop", direction="inout", priority=str(_LAST)))
    for direction, match in (*_addresses(servers), *_neighbours(servers), *_answers()):
        root.append(_rule("accept", direction, _PLAIN, match, statematch="false"))
    # Errors about a connection that there is.
    root.append(_rule("accept", "in", _PLAIN, E.all(state="RELATED")))
    for priority, rule in enumerate(rules, _FIRST):
        action = "accept" if rule.action is Action.ACCEPT else "reject"
        root.append(_rule(action, "out", priority, _match(rule)))
    for every in ("all", "all-ipv6"):
        root.append(_rule("reject", "out", _LAST, E(every)))
        root.append(_rule("drop", "in", _LAST, E(every)))
    return etree.tostring(root, encoding="unicode")


def _addresses(servers: Collection[Address]) -> Iterator[tuple[str, etree._Element]]:
    """How a domain gets its addresses: from who gives them out, where that is known, and from nobody far away."""
    four = [str(server) for server in servers if server.version == 4]
    for to in (_BROADCAST, *four):
        yield "out", E.udp(dstipaddr=to, srcportstart="68", dstportstart="67")
    for source in four or [""]:
        match = E.udp(srcportstart="67", dstportstart="68")
        if source:
            match.set("srcipaddr", source)
        yield "in", match
    yield "out", E("udp-ipv6", dstipaddr=_ALL_DHCP, srcportstart="546", dstportstart="547")
    yield "in", E("udp-ipv6", srcipaddr="fe80::", srcipmask="10", srcportstart="547", dstportstart="546")


def _neighbours(servers: Collection[Address]) -> Iterator[tuple[str, etree._Element]]:
    """Who is whose neighbour (RFC 4861): libvirt makes no rule of an ICMP type for both directions at once."""
    yield "out", E.icmpv6(type="133", dstipaddr=_ALL_ROUTERS)
    yield "in", E.icmpv6(type="134", srcipaddr="fe80::", srcipmask="10")
    near = [*_NEIGHBOURS, *((str(server), "64") for server in servers if server.version == 6)]
    for kind in ("135", "136"):
        yield "in", E.icmpv6(type=kind)
        for address, mask in near:
            yield "out", E.icmpv6(type=kind, dstipaddr=address, dstipmask=mask)


def _answers() -> Iterator[tuple[str, etree._Element]]:
    """What answers a ping, since libvirt lets nothing back in of a rule with an ICMP type; and errors of IPv6."""
    yield "in", E.icmp(type="0")
    for kind in ("129", "1", "2", "3"):
        yield "in", E.icmpv6(type=kind)


def _rule(action: str, direction: str, priority: int, match: etree._Element, **more: str) -> etree._Element:
    return E.rule(match, action=action, direction=direction, priority=str(priority), **more)


def _match(rule: FilterRule) -> etree._Element:
    attributes: dict[str, str] = {}
    if rule.to is not None:
        attributes |= {"dstipaddr": str(rule.to.network_address), "dstipmask": str(rule.to.prefixlen)}
    if rule.ports:
        attributes |= {"dstportstart": str(rule.ports.first), "dstportend": str(rule.ports.last)}
    if rule.icmp_type is not None:
        attributes["type"] = str(rule.icmp_type)
    if rule.proto is Protocol.ICMP:
        return E("icmp" if rule.version == 4 else "icmpv6", **attributes)
    return E(f"{rule.proto or 'all'}{'' if rule.version == 4 else '-ipv6'}", **attributes)


async def put_filter(
    connection: LibvirtConnection, uuid: str, rules: list[FilterRule], servers: Collection[Address] = ()
) -> None:
    """Let the filter of a domain be these rules; running domains that have it have them at once.

    Raises Refused where that libvirt has no filters, HostCallFailed.
    """

    def put(raw: libvirt.virConnect) -> None:
        try:
            own = raw.nwfilterLookupByName(filter_name(uuid)).UUIDString()
        except libvirt.libvirtError as error:
            if is_unsupported(error):
                raise Refused("this libvirt has no network filters (its driver “nwfilter”)") from error
            if error.get_error_code() != _NO_FILTER:
                raise
            own = ""
        raw.nwfilterDefineXML(filter_xml(uuid, rules, servers, own))

    await connection.call("set a domain’s network filter", put)


async def drop_filter(connection: LibvirtConnection, uuid: str) -> None:
    """Take the filter of a domain away, where there is one that nobody has."""

    def drop(raw: libvirt.virConnect) -> None:
        try:
            raw.nwfilterLookupByName(filter_name(uuid)).undefine()
        except libvirt.libvirtError:
            # A disposable may still have its template's.
            return

    await connection.call("take a domain’s network filter away", drop)


async def dns_of_network(connection: LibvirtConnection, name: str) -> list[Address]:
    """Return the addresses by which a network's own DNS is asked: this machine's in it; none where it has no DNS."""

    def read(raw: libvirt.virConnect) -> str:
        return str(raw.networkLookupByName(name).XMLDesc())

    root = parse(await connection.call(f"read the network “{name}”", read))
    dns = root.find("dns")
    if dns is not None and dns.get("enable") == "no":
        return []
    return [found for element in root.iterfind("ip") if (found := parse_address(element.get("address", "")))]


def bridges_pass_by(uri: str) -> bool:
    """Whether this machine's kernel keeps what goes over bridges from the packet filter, for a libvirt that is its own.

    Blocks for two small files, which are not there before something filters bridges.
    """
    if not uri.startswith(_HERE):
        return False
    for name in ("iptables", "ip6tables"):
        with contextlib.suppress(OSError):
            if Path(f"/proc/sys/net/bridge/bridge-nf-call-{name}").read_text().strip() == "0":
                return True
    return False
