"""A viewer's way to screen readers, which may ask it for its windows' names; it sees nobody else there.

The accessibility bus (AT-SPI) lets every program read and press all controls of all others, so a viewer has a way of
its own: xdg-dbus-proxy lets it join and be asked, which Flatpak has it for too, and call nothing else.
"""

import asyncio
import contextlib
import shutil
import socket
import tempfile
from collections.abc import AsyncIterator, Mapping
from pathlib import Path

from qubes_manager.backend.host.host_tools import run_tool_now
from qubes_manager.backend.viewers.compositor import Way
from qubes_manager.core.errors import QubesManagerError

_PROXY = "xdg-dbus-proxy"
# Seconds that one of the user's own programs may take to answer.
_PATIENCE = 5.0
_ASK = ("dbus-send", "--session", "--print-reply=literal", "--reply-timeout=3000", "--dest=org.a11y.Bus")
_IS_WANTED = (
    *("/org/a11y/bus", "org.freedesktop.DBus.Properties.Get"),
    *("string:org.a11y.Status", "string:IsEnabled"),
)
_GET_ADDRESS = ("/org/a11y/bus", "org.a11y.Bus.GetAddress")
# What Qt calls to be there at all. It is not told what keys are pressed, and presses none.
_CALLS = (
    "org.a11y.atspi.Socket.Embed@/org/a11y/atspi/accessible/root",
    "org.a11y.atspi.Socket.Unembed@/org/a11y/atspi/accessible/root",
    "org.a11y.atspi.Registry.GetRegisteredEvents@/org/a11y/atspi/registry",
)
# It is outside the sandbox, and keeps what a viewer says until that is whole. For Qt's one connection it has 17 MiB of
# data and nine files; these let four connections through.
_LIMITED = ("prlimit", f"--data={64 << 20}", "--nofile=16", "--core=0", "--")
# It belongs to the viewer, and outlives whoever started both. Where a session's end ends all programs, it clears first.
_RUN = 'folder=$1; shift; { trap : HUP TERM; "$@"; rm -rf "$folder"; } >/dev/null 2>&1 &'


@contextlib.asynccontextmanager
async def way_to_readers(environment: Mapping[str, str]) -> AsyncIterator[Way | None]:
    """A way for one viewer, which lasts as long as it; None where nobody reads windows, or no proxy is there."""
    address = await _bus_address(environment) if shutil.which(_PROXY) else ""
    if not address:
        yield None
        return
    folder = Path(tempfile.mkdtemp(prefix="qubes-manager-readers-"))
    is_ready = False
    try:
        ours, theirs = socket.socketpair()
        ours.setblocking(False)
        with ours, theirs:
            rules = [f"--call=org.a11y.atspi.Registry={call}" for call in _CALLS]
            words = [_PROXY, f"--fd={theirs.fileno()}", address, f"{folder}/bus", "--filter", "--sloppy-names", *rules]
            starting = await asyncio.create_subprocess_exec(
                *("sh", "-c", _RUN, "readers", str(folder), *_LIMITED, *words),
                stdin=asyncio.subprocess.DEVNULL,
                pass_fds=[theirs.fileno()],
            )
            theirs.close()
            await starting.wait()
            is_ready = await _is_ready(ours)
            yield Way(str(folder / "bus"), ours.fileno()) if is_ready else None
    finally:
        # A shell that has come as far clears by itself.
        if not is_ready:
            shutil.rmtree(folder, ignore_errors=True)


async def _is_ready(proxy: socket.socket) -> bool:
    """Wait until a proxy listens, which it tells by one byte."""
    with contextlib.suppress(TimeoutError, OSError):
        async with asyncio.timeout(_PATIENCE):
            return bool(await asyncio.get_running_loop().sock_recv(proxy, 1))
    return False


async def _bus_address(environment: Mapping[str, str]) -> str:
    """Where the accessibility bus is; empty where it is not in use."""
    # Without a bus that is there the tool would start one.
    if not environment.get("DBUS_SESSION_BUS_ADDRESS"):
        return ""
    if not (await _ask(_IS_WANTED, environment)).endswith("true"):
        return ""
    return await _ask(_GET_ADDRESS, environment)


async def _ask(what: tuple[str, ...], environment: Mapping[str, str]) -> str:
    """What the session's bus answers; nothing when there is no answer."""
    try:
        words = [*_ASK, *what]
        answer = await asyncio.to_thread(run_tool_now, words, timeout=_PATIENCE, environment=environment)
    except QubesManagerError:
        return ""
    return answer.decode("utf-8", "replace").strip()
