"""Talking to qemu-guest-agent. Everything that it answers is hostile: bounded, checked and never trusted."""

import asyncio
import base64
import binascii
import json
import secrets
from collections.abc import Callable
from typing import Any

import libvirt
import libvirt_qemu

from qubes_manager.backend.connection.connection import LibvirtConnection
from qubes_manager.backend.connection.subscriptions import Handle
from qubes_manager.core.domain import Domain
from qubes_manager.core.errors import GuestError, QubesManagerError
from qubes_manager.core.text import one_line

COMMAND_TIMEOUT = 10
# libvirt takes agent answers up to 10 MB and RPC strings up to 4 MB, but with writes of 256 KiB the agent of
# QEMU 7.2 left its port (tried); 128 KiB held.
_CHUNK = 64 << 10
_SMALL = 4096
_MAX_POLL = 0.5
_SIGNALLED = 128

Sink = Callable[[bytes], None]

# Runs in the guest, by its own shell: a folder for the streams that only the agent's user can read, then the
# command as the user that was asked for; without one, as "user" where the guest has it, else as root.
_RUNNER = """
d=$1 u=$2 c=$3
umask 077
[ -d "$d" ] || mkdir "$d" || exit 125
i=/dev/null; [ -f "$d/in" ] && i=$d/in
exec <"$i" >"$d/out" 2>"$d/err"
umask 022
if [ -z "$u" ]; then if id user >/dev/null 2>&1; then u=user; else u=root; fi; fi
if [ "$u" = "$(id -un)" ]; then cd; exec sh -c "$c"; fi
exec su -s /bin/sh "$u" -c "cd; $c"
"""


class GuestAgent:
    """The agent of one running domain."""

    def __init__(self, connection: LibvirtConnection, domain: Domain) -> None:
        self._connection = connection
        self._uuid = domain.key.uuid
        self._name = domain.name

    async def command(self, execute: str, **arguments: object) -> Any:
        """Send one command and return what it answers; raises GuestError."""
        text = json.dumps({"execute": execute, "arguments": arguments} if arguments else {"execute": execute})

        def send(domain: Handle) -> str:
            try:
                return str(libvirt_qemu.qemuAgentCommand(domain, text, COMMAND_TIMEOUT, 0))
            except libvirt.libvirtError as error:
                raise self._agent_error(error) from error

        answer = await self._connection.on_domain(
            self._uuid, f"reach the agent of “{self._name}”", send, timeout=COMMAND_TIMEOUT + 5
        )
        try:
            return json.loads(answer)["return"]
        except (ValueError, KeyError, TypeError, RecursionError):
            raise GuestError(f"the agent of “{self._name}” answers nonsense") from None

    def _agent_error(self, error: libvirt.libvirtError) -> QubesManagerError:
        raw = one_line(str(error.get_error_message()), 1000)
        if error.get_error_code() in (libvirt.VIR_ERR_AGENT_UNRESPONSIVE, libvirt.VIR_ERR_ARGUMENT_UNSUPPORTED):
            return GuestError(f"no guest agent answers in “{self._name}”: is qemu-guest-agent installed there?", raw)
        if error.get_error_code() == libvirt.VIR_ERR_OPERATION_INVALID:
            return GuestError(f"“{self._name}” is not running", raw)
        return GuestError(f"the agent of “{self._name}” refused: {one_line(raw)}", raw)

    async def wait(self, timeout: float) -> None:
        """Wait until the agent answers; *timeout* is in seconds. Raises GuestError."""
        try:
            async with asyncio.timeout(timeout):
                while True:
                    try:
                        await self.command("guest-ping")
                    except GuestError:
                        await asyncio.sleep(0.25)
                    else:
                        return
        except TimeoutError:
            raise GuestError(f"no guest agent answers in “{self._name}” after {timeout:.0f} s") from None

    async def run(
        self, command: str, *, user: str = "", data: bytes = b"", out: Sink | None = None, err: Sink | None = None
    ) -> int:
        """Run a shell *command* in the guest and return its exit code (128 + n when signal n ended it).

        *data* is its standard input. *out* and *err* get its output as it comes, of any size; without them it
        goes nowhere. Raises GuestError.
        """
        folder = f"/run/qubes-manager-{secrets.token_hex(8)}"
        wanted = out is not None or err is not None
        try:
            if data:
                await self._finish(await self._exec(["mkdir", "-m", "700", folder]))
                await self._write(f"{folder}/in", data)
            pid = await self._exec(["/bin/sh", "-c", _RUNNER, "qubes-manager", folder, user, command])
            streams = [(f"{folder}/out", out), (f"{folder}/err", err)]
            return await self._follow(pid, [(p, sink) for p, sink in streams if sink] if wanted else [])
        finally:
            # Even when cancelled; the guest's own affair when it does not obey.
            await asyncio.shield(self._clean(folder))

    async def write_pipe(self, path: str, line: str) -> bool:
        """Write a line into a pipe of the guest that somebody reads; returns False when there is no such pipe."""
        try:
            # "r+" makes no file of that name where there is none, and does not wait for a reader.
            handle = await self.command("guest-file-open", path=path, mode="r+")
        except GuestError:
            return False
        text = base64.b64encode(f"{line}\n".encode()).decode()
        try:
            await self.command("guest-file-write", handle=handle, **{"buf-b64": text})
        finally:
            await self.command("guest-file-close", handle=handle)
        return True

    async def read_small_file(self, path: str) -> bytes | None:
        """Return the start of a small file of the guest; None when there is none."""
        handle = await self._open(path)
        if handle is None:
            return None
        try:
            return _bytes(await self.command("guest-file-read", handle=handle, count=_SMALL), self._name)
        finally:
            await self.command("guest-file-close", handle=handle)

    async def _clean(self, folder: str) -> None:
        try:
            await self._exec(["rm", "-rf", folder])
        except QubesManagerError:
            return

    async def _exec(self, argv: list[str]) -> int:
        answer = await self.command("guest-exec", path=argv[0], arg=argv[1:])
        return _number(answer, "pid", self._name)

    async def _status(self, pid: int) -> int | None:
        answer = await self.command("guest-exec-status", pid=pid)
        if not isinstance(answer, dict) or not answer.get("exited"):
            return None
        if "signal" in answer:
            return _SIGNALLED + _number(answer, "signal", self._name)
        return _number(answer, "exitcode", self._name) & 0xFF

    async def _finish(self, pid: int) -> int:
        pause = 0.02
        while (code := await self._status(pid)) is None:
            await asyncio.sleep(pause)
            pause = min(pause * 1.5, _MAX_POLL)
        return code

    async def _write(self, path: str, data: bytes) -> None:
        handle = await self.command("guest-file-open", path=path, mode="w")
        try:
            for start in range(0, len(data), _CHUNK):
                rest = data[start : start + _CHUNK]
                while rest:
                    text = base64.b64encode(rest).decode()
                    answer = await self.command("guest-file-write", handle=handle, **{"buf-b64": text})
                    count = _number(answer, "count", self._name)
                    if count <= 0:
                        raise GuestError(f"the agent of “{self._name}” takes no more input")
                    rest = rest[count:]
        finally:
            await self.command("guest-file-close", handle=handle)

    async def _follow(self, pid: int, streams: list[tuple[str, Sink]]) -> int:
        """Pass on the streams' files as they grow, until the process has ended; returns its exit code."""
        handles: dict[str, int] = {}
        pause = 0.02
        while True:
            code = await self._status(pid)
            moved = False
            for path, sink in streams:
                if path not in handles:
                    handle = await self._open(path)
                    if handle is None:
                        continue
                    handles[path] = handle
                moved |= await self._drain(handles[path], sink)
            if code is not None:
                for handle in handles.values():
                    await self.command("guest-file-close", handle=handle)
                return code
            pause = 0.02 if moved else min(pause * 1.5, _MAX_POLL)
            await asyncio.sleep(pause)

    async def _open(self, path: str) -> int | None:
        try:
            handle = await self.command("guest-file-open", path=path, mode="r")
        except GuestError:
            return None  # not made yet
        return handle if isinstance(handle, int) else None

    async def _drain(self, handle: int, sink: Sink) -> bool:
        moved = False
        while True:
            answer = await self.command("guest-file-read", handle=handle, count=_CHUNK)
            data = _bytes(answer, self._name)
            if not data:
                return moved
            sink(data)
            moved = True


def _number(answer: object, key: str, name: str) -> int:
    value = answer.get(key) if isinstance(answer, dict) else None
    if not isinstance(value, int) or isinstance(value, bool):
        raise GuestError(f"the agent of “{name}” answers nonsense")
    return value


def _bytes(answer: object, name: str) -> bytes:
    text = answer.get("buf-b64", "") if isinstance(answer, dict) else None
    try:
        data = base64.b64decode(text, validate=True) if isinstance(text, str) else None
    except (binascii.Error, ValueError):
        data = None
    if data is None or len(data) > _CHUNK:
        raise GuestError(f"the agent of “{name}” answers nonsense")
    return data
