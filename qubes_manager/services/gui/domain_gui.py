"""The windows of one running domain: shows them while it runs, again after a failure, and says how things stand."""

import asyncio
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import assert_never

from qubes_manager.backend.connection.connection import LibvirtConnection
from qubes_manager.backend.guests.gui_port import GuiPort, connect_gui_port, read_gui_port
from qubes_manager.backend.viewers.viewer_process import ViewerProcess
from qubes_manager.core.domain import Domain
from qubes_manager.core.errors import NotFound, QubesManagerError, Refused
from qubes_manager.core.events import DomainEvent, DomainEventKind, Event
from qubes_manager.core.gui_rules import GuiRules
from qubes_manager.core.gui_status import GuiPhase, GuiStatus
from qubes_manager.core.viewer_messages import (
    Connected,
    Denied,
    Go,
    Launch,
    Mapped,
    Unusable,
    ViewerEvent,
    Windows,
)

# Seconds between tries. A viewer that held this long was not the last failure's successor.
FIRST_PAUSE, LAST_PAUSE = 0.2, 30.0
_HELD = 10.0


class DomainGui:
    """Supervises one domain; *on_status* gets its status at every change."""

    def __init__(
        self,
        connection: LibvirtConnection,
        domain: Domain,
        rules: GuiRules,
        startup_timeout: float,
        log: Path,
        on_status: Callable[[GuiStatus], object],
    ) -> None:
        self.domain = domain
        self._connection = connection
        self._rules = rules
        self._startup_timeout = startup_timeout
        self._log = log
        self._on_status = on_status
        self._status = GuiStatus(domain.key.uuid, GuiPhase.WAITING)
        self._viewer: ViewerProcess | None = None
        self._launch: Launch | None = None
        self._open, self._over = asyncio.Event(), asyncio.Event()

    async def run(self) -> None:
        """Show the windows until cancelled; returns when nothing can be shown here at all."""
        with self._connection.listen() as events:
            port = await read_gui_port(self._connection, self.domain.key.uuid)
            if port is None:
                return
            self._on_status(self._status)
            if port.is_open:
                self._open.set()
            async with asyncio.TaskGroup() as beside:
                follower = beside.create_task(self._follow(events, port))
                try:
                    await self._keep_showing(port)
                except (NotFound, Refused) as error:
                    self._set(GuiPhase.FAILED, str(error))
                finally:
                    follower.cancel()

    def change_rules(self, rules: GuiRules) -> None:
        """Hold the windows to other rules from now on."""
        if rules == self._rules:
            return
        # The room for the border is measured when a window opens: with another width all open anew.
        if rules.border_width != self._rules.border_width:
            self._over.set()
        self._rules = rules
        if self._viewer:
            self._viewer.send(rules)

    def announce_launch(self, launch: Launch) -> None:
        """Tell the viewer that an application is being launched, as soon as there is one."""
        if self._viewer:
            self._viewer.send(launch)
        else:
            self._launch = launch

    async def _follow(self, events: "asyncio.Queue[Event]", port: GuiPort) -> None:
        while True:
            event = await events.get()
            if not isinstance(event, DomainEvent) or (event.uuid, event.detail) != (self.domain.key.uuid, port.alias):
                continue
            if event.kind is DomainEventKind.PORT_OPENED:
                self._open.set()
            elif event.kind is DomainEventKind.PORT_CLOSED:
                # What the guest still says on the old way belongs to nobody.
                self._open.clear()
                self._over.set()

    async def _keep_showing(self, port: GuiPort) -> None:
        pause = FIRST_PAUSE
        while True:
            started = time.monotonic()
            trouble = ""
            try:
                trouble = await self._show(port)
            except (NotFound, Refused):
                raise
            except QubesManagerError as error:
                trouble = str(error)
            if time.monotonic() - started > _HELD:
                pause = FIRST_PAUSE
            if trouble:
                self._set(GuiPhase.FAILED, f"the windows of “{self.domain.name}” closed: {trouble}")
            await asyncio.sleep(pause)
            pause = min(pause * 2, LAST_PAUSE)

    async def _show(self, port: GuiPort) -> str:
        """Run a viewer until it ends or the port closes; returns what was wrong when something was."""
        self._set(GuiPhase.WAITING)
        viewer = await self._start_viewer(port)
        # It takes a second to load: it does so while the guest is on its way, and then waits.
        try:
            async with asyncio.timeout(self._startup_timeout):
                await self._open.wait()
        except TimeoutError:
            patience = f"{self._startup_timeout:.0f} s"
            self._set(GuiPhase.SILENT, f"nothing in “{self.domain.name}” offers windows after {patience}")
            await viewer.end()
            await self._open.wait()
            viewer = await self._start_viewer(port)
        except BaseException:
            await asyncio.shield(viewer.end())
            raise
        return await self._run(viewer)

    async def _start_viewer(self, port: GuiPort) -> ViewerProcess:
        end = await connect_gui_port(self._connection, self.domain.key.uuid, port)
        viewer = await ViewerProcess.start("gui", [str(end.fileno())], self._log, [end])
        viewer.send(self._rules)
        return viewer

    async def _run(self, viewer: ViewerProcess) -> str:
        self._set(GuiPhase.CONNECTING)
        self._over.clear()
        try:
            self._viewer = viewer
            # The rules may have changed while it waited.
            viewer.send(self._rules)
            viewer.send(Go())
            if self._launch:
                viewer.send(self._launch)
            self._launch = None
            talk = asyncio.get_running_loop().create_task(self._listen(viewer))
            over = asyncio.get_running_loop().create_task(self._over.wait())
            try:
                await asyncio.wait({talk, over}, return_when=asyncio.FIRST_COMPLETED)
                if by_itself := talk.done():
                    talk.result()
            finally:
                talk.cancel()
                over.cancel()
        finally:
            self._viewer = None
            code = await asyncio.shield(viewer.end())
        return f"{viewer.last_line or 'the viewer ended'} (exit code {code})" if by_itself else ""

    async def _listen(self, viewer: ViewerProcess) -> None:
        async for event in viewer.events():
            self._on_event(event)

    def _on_event(self, event: ViewerEvent) -> None:
        status = self._status
        match event:
            case Connected():
                self._set(GuiPhase.SHOWN)
            case Windows(count):
                self._set(status.phase, status.message, windows=count)
            case Mapped(managed):
                if managed:
                    self._set(status.phase, status.message, mapped=status.mapped + 1)
            case Denied(what):
                self._set(status.phase, f"refused to “{self.domain.name}”: {what}")
            case Unusable(reason):
                raise NotFound(reason)
            case _:
                assert_never(event)

    def _set(
        self, phase: GuiPhase, message: str = "", *, windows: int | None = None, mapped: int | None = None
    ) -> None:
        before = self._status
        if windows is None:
            windows = before.windows if phase is GuiPhase.SHOWN or mapped is not None else 0
        mapped = before.mapped if mapped is None else mapped
        status = replace(before, phase=phase, message=message, windows=windows, mapped=mapped)
        if status != self._status:
            self._status = status
            self._on_status(status)
