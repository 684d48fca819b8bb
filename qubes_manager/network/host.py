"""What this machine has of the network: its addresses, whether it reaches anything, and who answers its DNS."""

import asyncio
import ipaddress
import json
import os
import socket
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from qubes_manager.core.firewall.rules import Address, Network, parse_address
from qubes_manager.network.inside import PATH

_RESOLVER = Path("/etc/resolv.conf")
_MAX_RESOLVER = 1 << 16
_TOOL_SECONDS = 10.0
# RTMGRP_LINK, _IPV4_IFADDR, _IPV4_ROUTE, _IPV6_IFADDR and _IPV6_ROUTE (rtnetlink(7)).
_GROUPS = 0x1 | 0x10 | 0x40 | 0x100 | 0x400
# A change of the network is many changes: seconds until it is looked at, so that all of them are seen at once.
_GATHER = 0.2
_PIECE = 1 << 16


@dataclass(frozen=True, slots=True)
class HostNetwork:
    """The addresses of this machine, the networks that they are in, and the versions of IP that lead anywhere."""

    addresses: frozenset[Address] = frozenset()
    links: frozenset[Network] = frozenset()
    versions: frozenset[int] = frozenset()


async def read_host_network() -> HostNetwork:
    """Return what this machine has now; raises OSError."""
    links, *routes = await asyncio.gather(
        _ip("address", "show"), _ip("-4", "route", "show", "default"), _ip("-6", "route", "show", "default")
    )
    infos = [info for link in links for info in link.get("addr_info", ())]
    addresses = {address for info in infos if (address := parse_address(str(info.get("local", ""))))}
    near = {_network(info) for info in infos if info.get("prefixlen")}
    versions = {version for version, found in zip((4, 6), routes, strict=True) if found}
    return HostNetwork(frozenset(addresses), frozenset(filter(None, near)), frozenset(versions))


def _network(info: Mapping[str, object]) -> Network | None:
    """The network that an address is in: whoever has one there is reached without a router."""
    try:
        return ipaddress.ip_network(f"{info.get('local')}/{info['prefixlen']}", strict=False)
    except ValueError:
        return None


async def _ip(*words: str) -> list[dict[str, list[dict[str, object]]]]:
    pipe = asyncio.subprocess.PIPE
    process = await asyncio.create_subprocess_exec("ip", "-json", *words, stdout=pipe, stderr=pipe, env={"PATH": PATH})
    try:
        async with asyncio.timeout(_TOOL_SECONDS):
            answer, errors = await process.communicate()
    except TimeoutError:
        process.kill()
        await process.wait()
        raise OSError("ip does not answer") from None
    if process.returncode:
        raise OSError(f"ip: {errors.decode('utf-8', 'replace')[:200]}")
    return list(json.loads(answer or b"[]"))


class HostChanges:
    """Calls *changed* when this machine's addresses or routes may have changed, once for many changes at once."""

    def __init__(self, changed: Callable[[], object]) -> None:
        self._changed = changed
        self._waiting: asyncio.TimerHandle | None = None
        # Whoever binds it hears of the namespace that it was made in: this machine's.
        self._socket = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_NONBLOCK, 0)
        self._socket.bind((0, _GROUPS))
        asyncio.get_running_loop().add_reader(self._socket, self._heard)

    def _heard(self) -> None:
        try:
            while self._socket.recv(_PIECE):
                pass
        except OSError:
            # Nothing more, or more than was kept for us (ENOBUFS): in either case something has changed.
            pass
        if self._waiting is None:
            self._waiting = asyncio.get_running_loop().call_later(_GATHER, self._tell)

    def _tell(self) -> None:
        self._waiting = None
        self._changed()


def nameserver() -> Address | None:
    """Return who answers this machine's DNS now (resolv.conf(5)); None where nobody does. Blocks for a small file."""
    try:
        with _RESOLVER.open("rb") as file:
            text = file.read(_MAX_RESOLVER).decode("utf-8", "replace")
    except OSError:
        return None
    for line in text.splitlines():
        words = line.split()
        if len(words) > 1 and words[0] == "nameserver" and (address := parse_address(words[1])):
            return address
    return None


def end_with_parent() -> None:
    """In a child before its program is started: let it be killed when its parent ends (prctl(2))."""
    import ctypes

    ctypes.CDLL(None).prctl(1, 9, 0, 0, 0)
    if os.getppid() == 1:
        os._exit(1)
