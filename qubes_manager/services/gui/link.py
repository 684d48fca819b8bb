"""Talking to the program that shows a connection's windows; starts it where there is none."""

import asyncio
import logging
from collections.abc import Callable
from pathlib import Path
from typing import assert_never

from qubes_manager.backend.user.screen import screen_name
from qubes_manager.core.errors import QubesManagerError, Refused
from qubes_manager.core.gui_messages import Answer, ApplicationsRead, News, Request, StatusGone, parse_reply
from qubes_manager.core.gui_status import GuiStatus
from qubes_manager.core.json_lines import MAX_LINE, BadMessage
from qubes_manager.core.service_messages import Done, Failed, Follow, Notice
from qubes_manager.core.signal import Signal
from qubes_manager.services.gui.address import socket_path
from qubes_manager.services.programs.program import Program

log = logging.getLogger(__name__)
_TITLE = "the program that shows windows"
_ANSWER_PATIENCE = 60.0
# Seconds before a service that ended is looked for again.
_RETRY = 2.0


def has_screen() -> bool:
    """Whether there is a screen that windows could come to."""
    return bool(screen_name())


class GuiLink:
    """The way to the service of one connection."""

    def __init__(self, uri: str) -> None:
        self.uri = uri
        self._program = Program(_TITLE, ("gui", "--connect", uri), lambda: socket_path(uri), MAX_LINE)
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
            raise Refused("there is no screen: log in to a desktop")
        await self._program.ensure()

    async def stop(self) -> bool:
        """Have the service end, and close all windows; returns whether it ran. Raises QubesManagerError."""
        return await self._program.end()

    async def ask(self, request: Request) -> None:
        """Send a request to the service, if it runs; raises QubesManagerError with the reason why it is not done."""
        await _ask(self._program, request)

    async def wait(self, uuid: str, check: Callable[[GuiStatus], bool], timeout: float) -> GuiStatus:
        """Wait until *check* holds for a domain's windows; needs ``follow``. Raises TimeoutError."""
        async with asyncio.timeout(timeout):
            while True:
                self._heard.clear()
                status = self._statuses.get(uuid)
                if status and check(status):
                    return status
                await self._heard.wait()

    async def _read_news(self) -> None:
        async for line in self._program.news([Follow()]):
            try:
                self._on_message(parse_reply(line))
            except BadMessage as error:
                log.warning("news of %s are not understood: %s", self.uri, error)

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


async def ask_at(path: Path, request: Request, patience: float) -> None:
    """Send a request to the service at *path*, if it runs; raises QubesManagerError with why it is not done."""
    await _ask(Program(_TITLE, (), lambda: path, MAX_LINE), request, patience)


async def _ask(program: Program, request: Request, patience: float = _ANSWER_PATIENCE) -> None:
    line = await program.ask([request], patience)
    if line is None:
        return
    try:
        answer = parse_reply(line)
    except BadMessage as error:
        raise program.not_understood(error) from None
    if isinstance(answer, Failed):
        raise QubesManagerError(answer.reason)
