"""Talking to the program that shows a connection's windows; starts it where there is none."""

import asyncio
import contextlib
import json
import logging
import os
import subprocess
import sys
from collections.abc import Callable

from qubes_manager.core.errors import QubesManagerError, Refused
from qubes_manager.core.gui_status import GuiStatus
from qubes_manager.core.signal import Signal
from qubes_manager.services.gui.service import socket_path

log = logging.getLogger(__name__)
_START_PATIENCE = 15.0
_PAUSE = 0.1
_ANSWER_PATIENCE = 30.0
# Seconds before a service that ended is looked for again.
_RETRY = 2.0


def has_screen() -> bool:
    """Whether there is an X screen that windows could come to."""
    return bool(os.environ.get("DISPLAY"))


class GuiLink:
    """The way to the service of one connection."""

    def __init__(self, uri: str) -> None:
        self.uri = uri
        self._statuses: dict[str, GuiStatus] = {}
        # A domain's windows by its UUID, None when they are not looked after any more; a list of applications was
        # read; what the service complains of.
        self.changed = Signal[str, GuiStatus | None]()
        self.list_read = Signal[()]()
        self.noticed = Signal[str]()
        self._heard = asyncio.Event()

    def status(self, uuid: str) -> GuiStatus | None:
        """The newest status of a domain's windows, as far as it was heard."""
        return self._statuses.get(uuid)

    async def follow(self) -> None:
        """Start the service where there is none, and hear from it until cancelled."""
        while True:
            try:
                await self.ensure()
                await self._hear()
            except (OSError, ValueError, KeyError, QubesManagerError) as error:
                log.warning("windows of %s: %s", self.uri, error)
            self._forget_all()
            await asyncio.sleep(_RETRY)

    async def ensure(self) -> None:
        """Start the service where there is none; raises Refused without a screen, QubesManagerError."""
        if not has_screen():
            raise Refused("there is no X display: log in to a desktop with X or XWayland")
        path = await asyncio.to_thread(socket_path, self.uri)
        if await _answers(str(path)):
            return
        await asyncio.to_thread(self._spawn)
        try:
            async with asyncio.timeout(_START_PATIENCE):
                while not await _answers(str(path)):  # noqa: ASYNC110 - nothing tells of a socket that appears
                    await asyncio.sleep(_PAUSE)
        except TimeoutError:
            raise QubesManagerError("the program that shows windows does not start; its log has more") from None

    async def ask(self, request: dict[str, str]) -> None:
        """Send a request to the service, if it runs: what to do, and on what (see ``GuiService``)."""
        path = await asyncio.to_thread(socket_path, self.uri)
        with contextlib.suppress(OSError):
            reader, writer = await asyncio.open_unix_connection(path)
            try:
                writer.write(json.dumps(request).encode() + b"\n")
                async with asyncio.timeout(_ANSWER_PATIENCE):
                    answer = await reader.readline()
            except TimeoutError:
                raise QubesManagerError("the program that shows windows does not answer") from None
            else:
                if not answer:
                    raise QubesManagerError("the program that shows windows could not do that; its log has more")
            finally:
                writer.close()

    async def wait(self, uuid: str, check: Callable[[GuiStatus], bool], timeout: float) -> GuiStatus:
        """Wait until *check* holds for a domain's windows; needs ``follow``. Raises TimeoutError."""
        async with asyncio.timeout(timeout):
            while True:
                self._heard.clear()
                status = self._statuses.get(uuid)
                if status and check(status):
                    return status
                await self._heard.wait()

    def _spawn(self) -> None:
        # It lives on when this program ends.
        subprocess.Popen(
            [sys.executable, "-m", "qubes_manager", "gui", "--connect", self.uri],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
            cwd="/",
        )

    async def _hear(self) -> None:
        path = await asyncio.to_thread(socket_path, self.uri)
        reader, writer = await asyncio.open_unix_connection(path)
        writer.write(b'{"do": "follow"}\n')
        try:
            while line := await reader.readline():
                data = json.loads(line)
                if "applications" in data:
                    self.list_read.emit()
                elif "notice" in data:
                    self.noticed.emit(str(data["notice"]))
                else:
                    self._take(str(data["uuid"]), None if data.get("gone") else GuiStatus.of(data))
        finally:
            writer.close()

    def _take(self, uuid: str, status: GuiStatus | None) -> None:
        if status is None:
            self._statuses.pop(uuid, None)
        else:
            self._statuses[uuid] = status
        self._heard.set()
        self.changed.emit(uuid, status)

    def _forget_all(self) -> None:
        for uuid in list(self._statuses):
            self._take(uuid, None)


async def _answers(path: str) -> bool:
    try:
        _reader, writer = await asyncio.open_unix_connection(path)
    except OSError:
        return False
    writer.close()
    return True
