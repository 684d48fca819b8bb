"""Talking to the program that shows a connection's windows; starts it where there is none."""

import asyncio
import logging
import os
import subprocess
import sys
from collections.abc import Callable
from typing import assert_never

from qubes_manager.core.errors import QubesManagerError, Refused
from qubes_manager.core.gui_messages import (
    Answer,
    ApplicationsRead,
    Done,
    Failed,
    Follow,
    News,
    Notice,
    Request,
    StatusGone,
    parse_reply,
)
from qubes_manager.core.gui_status import GuiStatus
from qubes_manager.core.json_lines import MAX_LINE, BadMessage
from qubes_manager.core.signal import Signal
from qubes_manager.services.gui.address import socket_path

log = logging.getLogger(__name__)
_START_PATIENCE = 15.0
_PAUSE = 0.1
_ANSWER_PATIENCE = 60.0
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
                await self._read_news()
            except (OSError, QubesManagerError) as error:
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

    async def ask(self, request: Request) -> None:
        """Send a request to the service, if it runs; raises QubesManagerError with the reason why it is not done."""
        path = await asyncio.to_thread(socket_path, self.uri)
        try:
            reader, writer = await asyncio.open_unix_connection(path, limit=MAX_LINE)
        except OSError:
            return
        try:
            writer.write(request.to_json().encode() + b"\n")
            async with asyncio.timeout(_ANSWER_PATIENCE):
                answer = await _read_answer(reader)
        except TimeoutError:
            raise QubesManagerError("the program that shows windows does not answer") from None
        except OSError:
            answer = None
        finally:
            writer.close()
        match answer:
            case Failed(reason):
                raise QubesManagerError(reason)
            case None:
                raise QubesManagerError("the program that shows windows ended before it answered; its log has more")

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

    async def _read_news(self) -> None:
        path = await asyncio.to_thread(socket_path, self.uri)
        reader, writer = await asyncio.open_unix_connection(path, limit=MAX_LINE)
        try:
            writer.write(Follow().to_json().encode() + b"\n")
            while line := await _read_line(reader):
                try:
                    self._on_message(parse_reply(line))
                except BadMessage as error:
                    log.warning("news of %s are not understood: %s", self.uri, error)
        finally:
            writer.close()

    def _on_message(self, message: Answer | News) -> None:
        match message:
            case GuiStatus():
                self._apply_status(message.uuid, message)
            case StatusGone(uuid):
                self._apply_status(uuid, None)
            case Notice(text):
                self.noticed.emit(text)
            case ApplicationsRead():
                self.list_read.emit()
            case Failed(reason):
                log.warning("windows of %s cannot be followed: %s", self.uri, reason)
            case Done():
                pass
            case _:
                assert_never(message)

    def _apply_status(self, uuid: str, status: GuiStatus | None) -> None:
        if status is None:
            self._statuses.pop(uuid, None)
        else:
            self._statuses[uuid] = status
        self._heard.set()
        self.changed.emit(uuid, status)

    def _forget_all(self) -> None:
        for uuid in list(self._statuses):
            self._apply_status(uuid, None)


async def _answers(path: str) -> bool:
    try:
        _reader, writer = await asyncio.open_unix_connection(path)
    except OSError:
        return False
    writer.close()
    return True


async def _read_answer(reader: asyncio.StreamReader) -> Answer | None:
    """The answer to a request; None when the service hung up. Raises BadMessage."""
    while line := await _read_line(reader):
        try:
            message = parse_reply(line)
        except BadMessage as error:
            raise BadMessage(f"what the program that shows windows answers is not understood: {error}") from None
        if isinstance(message, Done | Failed):
            return message
    return None


async def _read_line(reader: asyncio.StreamReader) -> bytes:
    """The next line, empty at the end; raises BadMessage when it is too long."""
    try:
        return await reader.readline()
    except ValueError:
        raise BadMessage(f"the program that shows windows sent more than {MAX_LINE} bytes in a line") from None
