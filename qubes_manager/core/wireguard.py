"""WireGuard's files for wg-quick(8): read strictly, and written anew with nothing in them that was not understood.

Who gives such a file away may be a stranger, and wg-quick runs commands that it names.
"""

import base64
import binascii
import configparser
import ipaddress
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TypeVar

from qubes_manager.core.errors import BadInput
from qubes_manager.core.firewall.rules import Address, parse_host
from qubes_manager.core.values import parse_number

T = TypeVar("T")
MAX_FILE = 64 << 10
_MAX_PEERS = 32
_SECTION = re.compile(r"^\s*\[([^\]]*)\]\s*$")
_KEY_BYTES = 32
# What wg-quick knows and this leaves out: commands, which would run as root, and routing of its own.
_LEFT_OUT = ("preup", "postup", "predown", "postdown", "saveconfig", "table", "fwmark", "listenport")


@dataclass(frozen=True, slots=True)
class Peer:
    """One other end; *host* is an address or a name, empty where it is to call."""

    public_key: str
    allowed: tuple[str, ...]
    host: str = ""
    port: int = 0
    preshared_key: str = ""
    keepalive: int = 0


@dataclass(frozen=True, slots=True)
class Tunnel:
    """A tunnel's own end, and the others; *left_out* names what the file had that is not taken over."""

    private_key: str
    addresses: tuple[str, ...]
    dns: tuple[Address, ...]
    peers: tuple[Peer, ...]
    mtu: int = 0
    left_out: tuple[str, ...] = ()

    def to_file(self) -> str:
        """As wg-quick reads it."""
        lines = ["[Interface]", f"PrivateKey = {self.private_key}", f"Address = {', '.join(self.addresses)}"]
        lines += [f"DNS = {', '.join(map(str, self.dns))}"] if self.dns else []
        lines += [f"MTU = {self.mtu}"] if self.mtu else []
        for peer in self.peers:
            lines += ["", "[Peer]", f"PublicKey = {peer.public_key}", f"AllowedIPs = {', '.join(peer.allowed)}"]
            lines += [f"PresharedKey = {peer.preshared_key}"] if peer.preshared_key else []
            host = f"[{peer.host}]" if ":" in peer.host else peer.host
            lines += [f"Endpoint = {host}:{peer.port}"] if peer.host else []
            lines += [f"PersistentKeepalive = {peer.keepalive}"] if peer.keepalive else []
        return "\n".join(lines) + "\n"


def parse_tunnel(text: str) -> Tunnel:
    """Return the tunnel of a file; raises BadInput, which names the section and the key."""
    if len(text) > MAX_FILE:
        raise BadInput("WireGuard file", f"{len(text)} characters", f"it has {MAX_FILE} at most")
    own, others = _sections(text)
    peers = tuple(_peer(section, number) for number, section in enumerate(others, 1))
    if not any(peer.host for peer in peers):
        raise BadInput("[Peer] Endpoint", "", "name where at least one server is")
    dns = _each(own, "[Interface]", "dns", _dns)
    found = Tunnel(
        private_key=_key(own, "[Interface]", "privatekey"),
        addresses=tuple(_each(own, "[Interface]", "address", lambda word: str(ipaddress.ip_interface(word)))),
        dns=tuple(address for address in dns if address),
        peers=peers,
        mtu=parse_number(own["mtu"], "[Interface] MTU", 576, 65535) if own.get("mtu") else 0,
        left_out=tuple(sorted({key for section in (own, *others) for key in section if key in _LEFT_OUT})),
    )
    if not found.addresses:
        raise BadInput("[Interface] Address", "", "name the tunnel’s own address")
    return found


def _sections(text: str) -> tuple[Mapping[str, str], list[Mapping[str, str]]]:
    """The one [Interface], and each [Peer]; configparser wants names that differ."""
    lines, peers = [], 0
    for line in text.splitlines():
        match = _SECTION.match(line)
        kind = match[1].strip().lower() if match else ""
        if match and kind not in ("interface", "peer"):
            raise BadInput("section", line.strip()[:80], "it has [Interface] and [Peer]")
        peers += kind == "peer"
        lines.append(f"[peer {peers}]" if kind == "peer" else "[interface]" if match else line)
    if not 1 <= peers <= _MAX_PEERS:
        raise BadInput("[Peer]", str(peers), f"a tunnel has 1 to {_MAX_PEERS} other ends")
    parser = configparser.ConfigParser(
        delimiters="=", comment_prefixes=("#",), inline_comment_prefixes=("#",), interpolation=None, default_section=""
    )
    try:
        parser.read_string("\n".join(lines))
        return dict(parser["interface"]), [dict(parser[f"peer {number}"]) for number in range(1, peers + 1)]
    except configparser.Error as error:
        raise BadInput("WireGuard file", str(error).splitlines()[0][:80], "give it as wg-quick reads it") from None
    except KeyError:
        raise BadInput("[Interface]", "", "the file says nothing of the tunnel’s own end") from None


def _peer(section: Mapping[str, str], number: int) -> Peer:
    where = f"[Peer] {number}"
    host, port = "", 0
    if endpoint := section.get("endpoint", "").strip():
        host, _, digits = endpoint.rpartition(":")
        host = host.removeprefix("[").removesuffix("]")
        if "/" in host or "%" in host:
            raise BadInput(f"{where} Endpoint", host[:80], "give a host’s name or address, a colon and a port")
        parse_host(host, f"{where} Endpoint")
        port = parse_number(digits, f"{where} Endpoint", 1, 65535)
    keepalive = section.get("persistentkeepalive", "off").strip().lower()
    allowed = _each(section, where, "allowedips", lambda word: str(ipaddress.ip_network(word, strict=False)))
    return Peer(
        public_key=_key(section, where, "publickey"),
        allowed=tuple(allowed),
        host=host,
        port=port,
        preshared_key=_key(section, where, "presharedkey") if section.get("presharedkey") else "",
        keepalive=0 if keepalive == "off" else parse_number(keepalive, f"{where} PersistentKeepalive", 0, 65535),
    )


def _each(section: Mapping[str, str], where: str, key: str, read: Callable[[str], T]) -> list[T]:
    """What each of the words of a key means, which are separated by commas."""
    found = []
    for word in section.get(key, "").split(","):
        if not word.strip():
            continue
        # An address of IPv6 may have any text behind this.
        if "%" in word:
            raise BadInput(f"{where} {key}", word.strip()[:80], "give addresses without a scope")
        try:
            found.append(read(word.strip()))
        except ValueError:
            raise BadInput(f"{where} {key}", word.strip()[:80], "give addresses, separated by commas") from None
    return found


def _dns(word: str) -> Address | None:
    """A server's address; None for a domain to search, which is left out."""
    try:
        return ipaddress.ip_address(word)
    except ValueError:
        parse_host(word, "[Interface] DNS")
        return None


def _key(section: Mapping[str, str], where: str, key: str) -> str:
    """A key in base64; an error does not show it."""
    text = section.get(key, "").strip()
    try:
        is_key = len(base64.b64decode(text, validate=True)) == _KEY_BYTES
    except (binascii.Error, ValueError):
        is_key = False
    if not is_key:
        raise BadInput(
            f"{where} {key}", "no key" if text else "", "give a key of 32 bytes in base64, as “wg genkey” does"
        )
    return text
