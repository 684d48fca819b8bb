"""The addresses that a domain has and sees."""

import hashlib
import ipaddress
from collections.abc import Iterator
from dataclasses import dataclass

DNS_PORT = 53
_NETWORK = ipaddress.IPv4Network("10.137.0.0/16")
# Ours by RFC 4193.
_NETWORK6 = ipaddress.IPv6Network("fd51:7562:6573::/48")
# Domains have the upper half of it: the way out and DNS are in the lower one.
_DOMAINS = 0x80
# So many others would have to have the same number before one has none.
_ATTEMPTS = 16
# What the namespace itself has on its way out; nobody sees them but the two ends of that.
UPLINK4, UPLINK_GATEWAY4 = "10.138.0.2", "10.138.0.1"
UPLINK6, UPLINK_GATEWAY6 = "fd51:7562:6573:138::2", "fe80::1"

# A domain that is the network of others: its second card and what is at the other end of that; then the others, and
# what each of them sends to.
PROVIDER4, PROVIDER_GATEWAY4 = "10.139.2.2", "10.139.2.1"
PROVIDER6, PROVIDER_GATEWAY6 = "fd51:7562:6573:13a::3", "fd51:7562:6573:13a::2"
CLIENTS4, CLIENT_GATEWAY4 = "10.140.0.0/16", "10.140.0.1"
CLIENTS6, CLIENT_GATEWAY6 = "fd51:7562:6573:140::/64", "fe80::1"


@dataclass(frozen=True, slots=True)
class GuestNetwork:
    """The network of one card: a domain always gets the same one, most likely no other domain has it."""

    gateway: ipaddress.IPv4Address
    guest: ipaddress.IPv4Address
    gateway6: ipaddress.IPv6Address
    prefix6: ipaddress.IPv6Network


def guest_network(uuid: str) -> GuestNetwork:
    """Return the network of the domain with that UUID."""
    digest = hashlib.sha256(uuid.encode()).digest()
    base = int(_NETWORK.network_address) + (digest[0] << 8)
    prefix = ipaddress.IPv6Network(
        (int(_NETWORK6.network_address) + ((digest[0] | _DOMAINS) << 72 | digest[1] << 64), 64)
    )
    return GuestNetwork(
        gateway=ipaddress.IPv4Address(base + 1),
        guest=ipaddress.IPv4Address(base + 2 + digest[1] % 253),
        gateway6=prefix[1],
        prefix6=prefix,
    )


def client_numbers(uuid: str) -> Iterator[int]:
    """The numbers that a domain may have in the network of another one, the likeliest first: 16 bits each."""
    for attempt in range(_ATTEMPTS):
        digest = hashlib.sha256(f"{uuid} {attempt}".encode()).digest()
        # The first and the last ones are no addresses of theirs.
        yield 0x100 + int.from_bytes(digest[:4]) % 0xFE00


def client_addresses(number: int) -> tuple[str, str]:
    """The addresses that a domain of that number has in the network of another one."""
    four, six = ipaddress.IPv4Network(CLIENTS4), ipaddress.IPv6Network(CLIENTS6)
    return str(four[number]), str(six[number])
