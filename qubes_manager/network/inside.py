"""What is set up in a domain's network namespace: by its holder at the start, by its keeper from outside later."""

import asyncio
import contextlib
import json
import socket
import subprocess
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

from qubes_manager.core.firewall.dns import DNS4, DNS6
from qubes_manager.network.addresses import DNS_PORT, GuestNetwork
from qubes_manager.network.ruleset import CARD, MOST_REFUSED, REFUSED

PATH = "/usr/sbin:/usr/bin:/sbin:/bin"
# The same for all: domains that see each other's are none.
GATEWAY_MAC = "02:51:75:62:65:73"
_IS_GONE = "Cannot assign requested address"
_DNS_LINES = (f"{DNS4}/32 dev lo", f"{DNS6}/128 dev lo nodad")
# What every namespace does that passes on what it gets.
FORWARDING = {
    "ipv4/ip_forward": "1",
    "ipv6/conf/all/forwarding": "1",
    "ipv6/conf/default/accept_dad": "0",
    "ipv4/conf/all/accept_redirects": "0",
    "ipv4/conf/all/send_redirects": "0",
}
_SYSCTLS = FORWARDING | {"ipv4/conf/all/rp_filter": "0"}
_TOOL_SECONDS = 20.0
_MAX_ANSWER = 1 << 20


def set_up(network: GuestNetwork) -> None:
    """Configure the namespace that this process is in, as its root; raises OSError."""
    put_sysctls(_SYSCTLS)
    run_ip(
        "link set lo up",
        *(f"addr add {line}" for line in _DNS_LINES),
        f"link set {CARD} address {GATEWAY_MAC}",
        f"addr add {network.gateway}/24 dev {CARD}",
        f"addr add {network.gateway6}/64 dev {CARD} nodad",
        f"link set {CARD} up",
    )


def put_sysctls(values: Mapping[str, str]) -> None:
    """Set what the kernel does with packets in the namespace that this process is in; raises OSError."""
    for name, value in values.items():
        Path("/proc/sys/net", name).write_text(value)


def run_ip(*lines: str) -> None:
    """Let ip do what the lines say, in the namespace that this process is in; raises OSError."""
    run_tool("ip", "-batch", "-", feed="\n".join(lines) + "\n")


def run_tool(*words: str, feed: str) -> None:
    """Run a tool in the namespace that this process is in; raises OSError."""
    try:
        subprocess.run(
            words, input=feed, env={"PATH": PATH}, capture_output=True, text=True, timeout=_TOOL_SECONDS, check=True
        )
    except subprocess.SubprocessError as error:
        raise OSError(f"{words[0]} refuses: {getattr(error, 'stderr', '') or error}") from error


def listen_for_dns() -> list[socket.socket]:
    """Return sockets of this namespace for DNS: of IPv4 and of IPv6, UDP and TCP of each."""
    sockets = []
    for family, address in ((socket.AF_INET, DNS4), (socket.AF_INET6, DNS6)):
        for kind in (socket.SOCK_DGRAM, socket.SOCK_STREAM):
            opened = socket.socket(family, kind)
            opened.bind((str(address), DNS_PORT))
            if kind == socket.SOCK_STREAM:
                opened.listen(16)
            sockets.append(opened)
    return sockets


async def outcome(process: asyncio.subprocess.Process, name: str, feed: str) -> tuple[bytes, bytes]:
    """Return what a tool says and complains of; it has ended when this does, whatever ends this. Raises OSError."""
    try:
        async with asyncio.timeout(_TOOL_SECONDS):
            return await process.communicate(feed.encode())
    except TimeoutError:
        raise OSError(f"{name} does not answer") from None
    finally:
        if process.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                process.kill()
            await process.wait()


class Inside:
    """Runs tools in the namespace that a process holds, as its root."""

    def __init__(self, holder: int) -> None:
        self.holder = holder

    def command(self, *words: str) -> list[str]:
        """The command line that runs a tool in there."""
        return ["nsenter", f"--target={self.holder}", "--user", "--net", "--preserve-credentials", *words]

    async def put_rules(self, *pieces: str) -> None:
        """Give nft rules, of each piece all or none; raises OSError."""
        for piece in pieces:
            await self.run("nft", "-f", "-", feed=piece)

    async def answer_dns(self, wanted: bool) -> None:
        """Let the namespace itself be asked for DNS, or let such questions go out as all others; raises OSError."""
        word = "replace" if wanted else "del"
        for line in _DNS_LINES:
            try:
                await self.run("ip", "addr", word, *line.removesuffix("" if wanted else " nodad").split())
            except OSError as error:
                if wanted or _IS_GONE not in str(error):
                    raise

    async def counters(self, of: str) -> dict[str, tuple[int, int]]:
        """Return packets and bytes by the names of a table's counters; raises OSError."""
        found = await self._list("counters", "table", "inet", of)
        return {c["name"]: (c["packets"], c["bytes"]) for entry in found if (c := entry.get("counter"))}

    async def refused(self, of: str) -> list[tuple[str, str, int]]:
        """Return where to the domain was refused lately by a table: address, protocol and port; raises OSError."""
        places = []
        for version in (4, 6):
            for entry in await self._list("set", "inet", of, f"{REFUSED}{version}"):
                for element in entry.get("set", {}).get("elem", ())[:MOST_REFUSED]:
                    address, protocol, port = element["elem"]["val"]["concat"]
                    places.append((str(address), str(protocol), int(port)))
        return places

    async def _list(self, *what: str) -> list[dict[str, Any]]:
        answer = json.loads(await self.run("nft", "--json", "list", *what))
        return list(answer["nftables"])

    async def run(self, *words: str, feed: str = "", known: Collection[int] = ()) -> bytes:
        """Run a tool, and return what it says; raises OSError where it ends with a code other than 0 and *known*."""
        pipe = asyncio.subprocess.PIPE
        process = await asyncio.create_subprocess_exec(
            *self.command(*words), stdin=pipe, stdout=pipe, stderr=pipe, env={"PATH": PATH, "LC_ALL": "C"}
        )
        answer, errors = await outcome(process, words[0], feed)
        if process.returncode not in (0, *known) or len(answer) > _MAX_ANSWER:
            # libkmod, and not nft, complains of kernels without modules.
            lines = [line for line in errors.decode("utf-8", "replace").splitlines() if "kmod" not in line and line]
            raise OSError(f"{words[0]} refuses: {' '.join(lines[:3]) or process.returncode}")
        return answer
