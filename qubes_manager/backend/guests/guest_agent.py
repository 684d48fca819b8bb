"""Talking to qemu-guest-agent. Everything that it answers is hostile: bounded, checked and never trusted."""

import asyncio
import base64
import binascii
import contextlib
import json
import secrets
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import libvirt
import libvirt_qemu

from qubes_manager.backend.connection.agent_calls import PATIENCE, agent_may_take, patience_for
from qubes_manager.backend.connection.connection import LibvirtConnection
from qubes_manager.backend.connection.subscriptions import Handle
from qubes_manager.core.domain import Domain
from qubes_manager.core.errors import GuestError, QubesManagerError, TimedOut
from qubes_manager.core.text import one_line

COMMAND_TIMEOUT = 15
# Seconds for an agent that has answered before: its guest may be busy, or stand still for a while.
_BUSY = 60.0
# libvirt takes agent answers up to 10 MB and RPC strings up to 4 MB, but with writes of 256 KiB the agent of
# QEMU 7.2 left its port (tried); 128 KiB held.
CHUNK = 64 << 10
_SMALL = 4096
# Characters of an answer: a chunk in base64, and what is around it.
_MAX_ANSWER = CHUNK * 4 // 3 + 4096
_MAX_POLL = 0.5
_SIGNALLED = 128

Sink = Callable[[bytes], None]

# Runs in the guest, by its own shell: a folder for the streams that only the agent's user can read, then the
# command as the user that was asked for; without one, as "user" where the guest has it, else as root. It leads a group
# of its own, to be ended with all that it began; setsid keeps its number only for who does not lead one yet.
_RUNNER = """
d=$1 u=$2 c=$3
umask 077
[ -d "$d" ] || mkdir "$d" || exit 125
i=/dev/null; [ -f "$d/in" ] && i=$d/in
exec <"$i" >"$d/out" 2>"$d/err"
umask 022
if [ -z "$u" ]; then if id user >/dev/null 2>&1; then u=user; else u=root; fi; fi
read -r stat </proc/$$/stat
set -- ${stat##*) }
lead=; [ "$3" = $$ ] || ! command -v setsid >/dev/null || lead=setsid
if [ "$u" = "$(id -un)" ]; then cd; exec $lead sh -c "$c"; fi
exec $lead su -s /bin/sh "$u" -c "cd; $c"
"""
# Ends the command, kindly at first: its group, and that of its child, which su makes.
_ENDER = """
p=$1 d=$2
children=$(for f in /proc/[0-9]*/stat; do
  read -r line 2>/dev/null <"$f" && set -- ${line%% *} ${line##*) } && [ "$3" = "$p" ] && echo "$1"
done)
for signal in TERM KILL; do
  for group in $p $children; do kill -s $signal -- "-$group" 2>/dev/null; done
  [ $signal = KILL ] || sleep 1
done
rm -rf "$d"
"""


@dataclass(frozen=True, slots=True)
class Bounds:
    """Bytes that a command may say on each of its streams, and seconds that it may run."""

    size: int
    seconds: float


class AgentSilent(GuestError):
    """There is no agent, or it does not get to what it was asked for."""


class AgentRefused(GuestError):
    """The agent is well, and does not do what it was asked for."""


class GuestAgent:
    """The agent of one running domain."""

    def __init__(self, connection: LibvirtConnection, domain: Domain) -> None:
        self._connection = connection
        self._uuid = domain.key.uuid
        self._name = domain.name

    async def command(self, execute: str, **arguments: object) -> Any:
        """Send one command and return what it answers; raises GuestError."""
        request = {"execute": execute, "arguments": arguments} if arguments else {"execute": execute}
        # libvirt asks for a sign of life first, for which it has five seconds of its own.
        return await self._ask(request, lambda _domain: contextlib.nullcontext(), COMMAND_TIMEOUT, COMMAND_TIMEOUT + 6)

    async def _said_again(self, execute: str, **arguments: object) -> Any:
        """As ``command``, where the agent has answered just before; one that is busy now is waited for.

        A command that had been sent would have been waited for longer: what gave no sign of life in time got none.
        """
        start = time.monotonic()
        try:
            return await self.command(execute, **arguments)
        except AgentSilent:
            if time.monotonic() - start >= COMMAND_TIMEOUT:
                raise
        await self.wait(_BUSY)
        return await self.command(execute, **arguments)

    async def _ping(self) -> None:
        """Ask for a sign of life only; one that does not answer holds nothing for long."""
        request = {"execute": "guest-ping"}
        await self._ask(request, lambda domain: agent_may_take(domain, PATIENCE), PATIENCE, patience_for(PATIENCE))

    async def _ask(
        self,
        request: Mapping[str, object],
        within: Callable[[Handle], contextlib.AbstractContextManager[None]],
        seconds: int,
        timeout: float,
    ) -> Any:
        text = json.dumps(request)

        def send(domain: Handle) -> str:
            try:
                with within(domain):
                    return str(libvirt_qemu.qemuAgentCommand(domain, text, seconds, 0))
            except libvirt.libvirtError as error:
                raise self._agent_error(error) from error

        answer = await self._connection.on_agent(self._uuid, f"reach the agent of “{self._name}”", send, timeout)
        # Nothing longer was asked for, and as Python's objects it would take many times its length.
        if len(answer) > _MAX_ANSWER:
            raise GuestError(f"the agent of “{self._name}” answers without end")
        try:
            return json.loads(answer)["return"]
        except (ValueError, KeyError, TypeError, RecursionError):
            raise GuestError(f"the agent of “{self._name}” answers nonsense") from None

    def _agent_error(self, error: libvirt.libvirtError) -> QubesManagerError:
        raw = one_line(str(error.get_error_message()), 1000)
        if error.get_error_code() in (libvirt.VIR_ERR_AGENT_UNRESPONSIVE, libvirt.VIR_ERR_ARGUMENT_UNSUPPORTED):
            return AgentSilent(f"no guest agent answers in “{self._name}”: is qemu-guest-agent installed there?", raw)
        if error.get_error_code() == libvirt.VIR_ERR_OPERATION_INVALID:
            return GuestError(f"“{self._name}” is not running", raw)
        return AgentRefused(f"the agent of “{self._name}” refused: {one_line(raw)}", raw)

    async def wait(self, timeout: float) -> None:
        """Wait until the agent answers; *timeout* is in seconds. Raises GuestError."""
        try:
            async with asyncio.timeout(timeout):
                while True:
                    try:
                        await self._ping()
                    except (GuestError, TimedOut):
                        await asyncio.sleep(0.25)
                    else:
                        return
        except TimeoutError:
            raise GuestError(f"no guest agent answers in “{self._name}” after {timeout:.0f} s") from None

    async def run(
        self,
        command: str,
        *,
        user: str = "",
        data: bytes = b"",
        out: Sink | None = None,
        err: Sink | None = None,
        bounds: Bounds | None = None,
        started: Callable[[int], Awaitable[object]] | None = None,
    ) -> int:
        """Run a shell *command* in the guest and return its exit code (128 + n when signal n ended it).

        *data* is its standard input. *out* and *err* get its output as it comes; without them it goes nowhere. Without
        *bounds* it runs as long as it likes. *started* is told the number that it has for the agent. When this is
        cancelled it is ended in the guest too. Raises GuestError.
        """
        folder = f"/run/qubes-manager-{secrets.token_hex(8)}"
        starting: asyncio.Task[int] | None = None
        streams = [_Stream(f"{folder}/{name}", sink) for name, sink in (("out", out), ("err", err)) if sink]
        try:
            async with asyncio.timeout(bounds.seconds if bounds else None):
                if data:
                    await self._finish(await self._exec(["mkdir", "-m", "700", folder]))
                    await self._write(f"{folder}/in", data)
                words = ["/bin/sh", "-c", _RUNNER, "qubes-manager", folder, user, command]
                starting = asyncio.ensure_future(self._exec(words))
                # The guest starts it though nobody waits for that any more: its number has to be known to end it.
                pid = await asyncio.shield(starting)
                if started:
                    await started(pid)
                code = await self._follow(pid, streams, bounds.size if bounds else None)
            starting = None
            return code
        except TimeoutError:
            raise GuestError(f"what was run in “{self._name}” does not end") from None
        finally:
            # Even when cancelled; the guest's own affair when it does not obey.
            await asyncio.shield(self._clean(folder, starting, streams))

    async def runs(self, number: int) -> bool:
        """Whether the process of that number, which the agent started, has not ended yet; raises GuestError, TimedOut.

        Of one that has ended the agent tells once, and then no more.
        """
        try:
            return await self._status(number) is None
        except AgentRefused:
            return False

    async def set_clock(self) -> None:
        """Give the guest the time of this machine; raises GuestError, TimedOut."""
        await self.command("guest-set-time", time=time.time_ns())

    async def write_pipe(self, path: str, line: str) -> bool:
        """Write a line into a pipe of the guest that somebody reads; returns False when there is no such pipe.

        Nothing was written either when the agent of a guest that boots does not get to it.
        """
        try:
            # "r+" makes no file of that name where there is none, and does not wait for a reader.
            handle = await self._open(path, "r+")
        except (GuestError, TimedOut):
            return False
        text = base64.b64encode(f"{line}\n".encode()).decode()
        try:
            await self.command("guest-file-write", handle=handle, **{"buf-b64": text})
        finally:
            await asyncio.shield(self._close(handle))
        return True

    async def read_small_file(self, path: str) -> bytes | None:
        """Return the start of a small file of the guest; None when there is none."""
        handle = await self._open_if_there(path)
        if handle is None:
            return None
        try:
            return bytes_of(await self.command("guest-file-read", handle=handle, count=_SMALL), self._name)
        finally:
            await asyncio.shield(self._close(handle))

    async def _clean(self, folder: str, starting: "asyncio.Task[int] | None", streams: "Sequence[_Stream]") -> None:
        """Take a command's files away; what still runs, or is just being started, is ended first."""
        argv = ["rm", "-rf", folder]
        if starting:
            with contextlib.suppress(QubesManagerError):
                argv = ["/bin/sh", "-c", _ENDER, "qubes-manager", str(await starting), folder]
        with contextlib.suppress(QubesManagerError):
            await self.command("guest-exec", path=argv[0], arg=argv[1:])
        for stream in streams:
            if stream.handle is not None:
                with contextlib.suppress(QubesManagerError):
                    await self._close(stream.handle)

    async def _exec(self, argv: list[str]) -> int:
        answer = await self._said_again("guest-exec", path=argv[0], arg=argv[1:])
        return number_of(answer, "pid", self._name)

    async def _status(self, pid: int) -> int | None:
        answer = await self._said_again("guest-exec-status", pid=pid)
        if not isinstance(answer, dict) or not answer.get("exited"):
            return None
        if "signal" in answer:
            return _SIGNALLED + number_of(answer, "signal", self._name)
        return number_of(answer, "exitcode", self._name) & 0xFF

    async def _finish(self, pid: int) -> int:
        pause = 0.02
        while (code := await self._status(pid)) is None:
            await asyncio.sleep(pause)
            pause = min(pause * 1.5, _MAX_POLL)
        return code

    async def _write(self, path: str, data: bytes) -> None:
        async with self.opened(path, "w") as handle:
            for start in range(0, len(data), CHUNK):
                await self.write_piece(handle, data[start : start + CHUNK])

    @contextlib.asynccontextmanager
    async def opened(self, path: str, mode: str) -> AsyncIterator[int]:
        """A file of the guest, open by its agent meanwhile; *mode* as in fopen(3). Raises GuestError."""
        handle = await self._open(path, mode)
        try:
            yield handle
        finally:
            await asyncio.shield(self._close(handle))

    async def _open(self, path: str, mode: str) -> int:
        """Have a file opened, and closed again when this is cancelled: an agent has so many and no more."""
        opening = asyncio.ensure_future(self.command("guest-file-open", path=path, mode=mode))
        try:
            handle = await asyncio.shield(opening)
        except asyncio.CancelledError:
            await asyncio.shield(self._close_late(opening))
            raise
        if isinstance(handle, bool) or not isinstance(handle, int):
            raise GuestError(f"the agent of “{self._name}” answers nonsense")
        return handle

    async def _open_if_there(self, path: str) -> int | None:
        """A file that may not have been made yet."""
        try:
            return await self._open(path, "r")
        except GuestError:
            return None

    async def _close(self, handle: int) -> None:
        await self.command("guest-file-close", handle=handle)

    async def _close_late(self, opening: "asyncio.Future[Any]") -> None:
        """Close what nobody waits for any more, when it is open."""
        with contextlib.suppress(QubesManagerError):
            await self._close(await opening)

    async def read_piece(self, handle: int, most: int = CHUNK) -> bytes:
        """The next bytes of a file that is open, at most *most* (and CHUNK); none at its end. Raises GuestError."""
        piece = bytes_of(await self.command("guest-file-read", handle=handle, count=min(most, CHUNK)), self._name)
        if len(piece) > most:
            raise GuestError(f"the agent of “{self._name}” answers nonsense")
        return piece

    async def write_piece(self, handle: int, data: bytes) -> None:
        """Write at most CHUNK bytes to a file that is open; raises GuestError."""
        while data:
            text = base64.b64encode(data).decode()
            answer = await self.command("guest-file-write", handle=handle, **{"buf-b64": text})
            count = number_of(answer, "count", self._name)
            if count <= 0:
                raise GuestError(f"the agent of “{self._name}” takes no more input")
            data = data[count:]

    async def _follow(self, pid: int, streams: "Sequence[_Stream]", most: int | None) -> int:
        """Pass on the streams' files as they grow, until the process has ended; returns its exit code.

        More than *most* bytes of a stream are a GuestError.
        """
        pause = 0.02
        while True:
            code = await self._status(pid)
            moved = False
            for stream in streams:
                if stream.handle is None:
                    stream.handle = await self._open_if_there(stream.path)
                if stream.handle is not None:
                    moved |= await self._drain(stream, most)
            if code is not None:
                return code
            pause = 0.02 if moved else min(pause * 1.5, _MAX_POLL)
            await asyncio.sleep(pause)

    async def _drain(self, stream: "_Stream", most: int | None) -> bool:
        moved = False
        while True:
            answer = await self._said_again("guest-file-read", handle=stream.handle, count=CHUNK)
            data = bytes_of(answer, self._name)
            if not data:
                return moved
            stream.size += len(data)
            if most is not None and stream.size > most:
                raise GuestError(f"what was run in “{self._name}” says more than {most} bytes")
            stream.sink(data)
            moved = True


@dataclass(slots=True)
class _Stream:
    """A file in the guest that grows, and where its bytes go."""

    path: str
    sink: Sink
    handle: int | None = None
    size: int = 0


def number_of(answer: object, key: str, name: str) -> int:
    """The whole number *key* in what the agent of “*name*” answers; raises GuestError."""
    value = answer.get(key) if isinstance(answer, dict) else None
    if not isinstance(value, int) or isinstance(value, bool):
        raise GuestError(f"the agent of “{name}” answers nonsense")
    return value


def bytes_of(answer: object, name: str) -> bytes:
    """The bytes in what the agent of “*name*” answers, at most ``CHUNK``; raises GuestError."""
    text = answer.get("buf-b64", "") if isinstance(answer, dict) else None
    try:
        data = base64.b64decode(text, validate=True) if isinstance(text, str) else None
    except (binascii.Error, ValueError):
        data = None
    if data is None or len(data) > CHUNK:
        raise GuestError(f"the agent of “{name}” answers nonsense")
    return data
