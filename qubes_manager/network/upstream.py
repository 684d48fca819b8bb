"""The way out of a domain's namespace through another domain, which is its network: a cable to that one's second card.

While that domain does not run there is no way out, and there is never another one.
"""

import asyncio
import contextlib
import os
import subprocess
from collections.abc import Callable
from pathlib import Path

from qubes_manager.network import namespaces
from qubes_manager.network.addresses import (
    CLIENT_GATEWAY4,
    CLIENT_GATEWAY6,
    client_addresses,
    client_numbers,
)
from qubes_manager.network.downstream import CABLE
from qubes_manager.network.emulator import DOWNSTREAM_NAMESPACE
from qubes_manager.network.inside import PATH, outcome
from qubes_manager.network.ruleset import UPLINK
from qubes_manager.network.shared import holder_of, is_same, open_users

_LOOK, _MOST = 1.0, 30.0
NOT_RUNNING = "the domain that is its network does not run"
_NO_CARD = "the domain that is its network gives none since its last start; restart it"
_APART = "this domain and the one that is its network were started by different versions; restart this one"


class Upstream:
    """Keeps a domain connected to the one of a UUID, whenever that runs."""

    def __init__(self, folder: Path, own: str, holder: int, via: str, log: Callable[[str], None]) -> None:
        self._folder = str(folder)
        self._own = own
        self._holder = holder
        self._via = via
        self._log = log
        self.trouble = NOT_RUNNING

    async def run(self) -> None:
        """Keep it connected until cancelled; then it is no more."""
        pause = _LOOK
        try:
            while True:
                try:
                    provider = await asyncio.to_thread(holder_of, self._folder, self._via)
                    ended = os.pidfd_open(provider)
                except OSError:
                    self.trouble, pause = NOT_RUNNING, _LOOK
                    await asyncio.sleep(_LOOK)
                    continue
                try:
                    if trouble := await self._connect(provider):
                        self._tell(trouble)
                        pause = min(2 * pause, _MOST)
                        with contextlib.suppress(TimeoutError):
                            async with asyncio.timeout(pause):
                                await _end_of(ended)
                        continue
                    self.trouble, pause = "", _LOOK
                    self._log("connected to the domain that is its network")
                    await _end_of(ended)
                    self._log("the domain that is its network has ended")
                finally:
                    os.close(ended)
        finally:
            await self._disconnect()

    def _tell(self, trouble: str) -> None:
        if trouble != self.trouble:
            self.trouble = trouble
            self._log(trouble)

    async def _connect(self, provider: int) -> str:
        """Lay the cable; returns why that is not possible."""
        opened: list[int] = []
        try:
            for holder in (self._holder, provider):
                opened.append(open_users(holder))
            ours, theirs = opened
            if not is_same(ours, theirs):
                return _APART
            own = os.open(f"/proc/{self._holder}/ns/net", os.O_RDONLY | os.O_CLOEXEC)
            opened.append(own)
            try:
                there = os.open(f"/proc/{provider}/fd/{DOWNSTREAM_NAMESPACE}", os.O_RDONLY | os.O_CLOEXEC)
            except FileNotFoundError:
                return _NO_CARD
            opened.append(there)
            await self._lay(ours, own, there)
        except OSError as error:
            return f"it cannot be connected to the domain that is its network: {error}"
        finally:
            for file in opened:
                os.close(file)
        return ""

    async def _lay(self, users: int, own: int, there: int) -> None:
        await self._disconnect()
        for number in client_numbers(self._own):
            cable = f"{CABLE}{number:04x}"
            other_end = f"peer name {cable} netns /proc/self/fd/{there}"
            try:
                await _ip(users, own, f"link add {UPLINK} type veth {other_end}", there)
                break
            except FileExistsError:
                # Another one has that number.
                continue
        else:
            raise OSError("too many domains have its numbers")
        four, six = client_addresses(number)
        # The other end first: what is sent before it is there is lost.
        await _ip(
            users,
            there,
            f"link set {cable} up\naddr add {CLIENT_GATEWAY6}/64 dev {cable} nodad\n"
            f"route add {four}/32 dev {cable}\nroute add {six}/128 dev {cable}",
        )
        await _ip(
            users,
            own,
            f"addr add {four}/32 dev {UPLINK}\naddr add {six}/128 dev {UPLINK} nodad\nlink set {UPLINK} up\n"
            f"route add {CLIENT_GATEWAY4}/32 dev {UPLINK}\nroute add default via {CLIENT_GATEWAY4} dev {UPLINK}\n"
            f"route add default via {CLIENT_GATEWAY6} dev {UPLINK}",
        )

    async def _disconnect(self) -> None:
        """Take the cable away, where there is one."""
        with contextlib.suppress(OSError):
            users = open_users(self._holder)
            try:
                own = os.open(f"/proc/{self._holder}/ns/net", os.O_RDONLY | os.O_CLOEXEC)
                try:
                    await _ip(users, own, f"link del {UPLINK}")
                finally:
                    os.close(own)
            finally:
                os.close(users)


async def _end_of(process: int) -> None:
    """Wait for the end of the process behind a descriptor."""
    ended = asyncio.Event()
    loop = asyncio.get_running_loop()
    loop.add_reader(process, ended.set)
    try:
        await ended.wait()
    finally:
        loop.remove_reader(process)


async def _ip(users: int, network: int, lines: str, *passed: int) -> None:
    """Let ip do what the lines say, in a network namespace and as the root of *users*; raises OSError."""

    def enter() -> None:
        namespaces.enter(users, namespaces.NEW_USER)
        namespaces.enter(network, namespaces.NEW_NET)

    pipe = asyncio.subprocess.PIPE
    try:
        process = await asyncio.create_subprocess_exec(
            "ip",
            "-batch",
            "-",
            stdin=pipe,
            stdout=pipe,
            stderr=pipe,
            env={"PATH": PATH, "LC_ALL": "C"},
            pass_fds=passed,
            preexec_fn=enter,
        )
    except subprocess.SubprocessError as error:
        raise OSError("its namespace cannot be entered") from error
    _out, errors = await outcome(process, "ip", f"{lines}\n")
    if process.returncode:
        said = errors.decode("utf-8", "replace").strip()
        raise (FileExistsError if "File exists" in said else OSError)(f"ip refuses: {said[:200]}")
