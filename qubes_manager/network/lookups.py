"""Who is asked for the addresses of names: this machine's resolver, or that of the domain that is the network."""

import asyncio
import functools
import socket
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor

from qubes_manager.core.firewall.dns import DNS4
from qubes_manager.network.dhcp import system_files
from qubes_manager.network.inside import Inside

LookUp = Callable[[str], Awaitable[list[str]]]
_MOST_LOOKS = 32
# Nothing of this machine's own answers in there: neither its list of names nor services on its sockets.
_FILES = "printf '%s\\n' 'nameserver {dns}' >/etc/resolv.conf && echo 'hosts: dns' >/etc/nsswitch.conf && exec \"$@\""
_UNKNOWN = 2
_MEMORY, _SECONDS = 256 << 20, 12


def here() -> LookUp:
    """Ask as this machine's programs do."""
    # A look takes as long as the C library likes, and cannot be ended.
    threads = ThreadPoolExecutor(_MOST_LOOKS)

    async def look_up(name: str) -> list[str]:
        ask = functools.partial(socket.getaddrinfo, name, None, type=socket.SOCK_STREAM)
        answers = await asyncio.get_running_loop().run_in_executor(threads, ask)
        return [str(answer[4][0]) for answer in answers]

    return look_up


def through(inside: Inside) -> LookUp:
    """Ask as the domain does, by its own way out; a name that it may know is none that this machine is asked for."""
    files = _FILES.format(dns=DNS4)
    # It hears what a hostile domain answers. Over TCP the C library would wait for ever.
    limits = ["prlimit", f"--as={_MEMORY}", "--nofile=64", "--core=0", "timeout", "--kill-after=1", str(_SECONDS)]
    sandbox = ["bwrap", "--unshare-pid", "--unshare-ipc", "--unshare-uts", "--die-with-parent", "--new-session"]
    sandbox += ["--clearenv", *system_files(), "--proc", "/proc", "--dev", "/dev", "--cap-drop", "ALL"]
    looks = asyncio.Semaphore(_MOST_LOOKS)

    async def look_up(name: str) -> list[str]:
        async with looks:
            answer = await inside.run(
                *limits, *sandbox, "sh", "-c", files, "sh", "getent", "ahosts", "--", name, known=(_UNKNOWN,)
            )
        lines = answer.decode("utf-8", "replace").splitlines()
        return list(dict.fromkeys(line.split()[0] for line in lines if line.strip()))

    return look_up
