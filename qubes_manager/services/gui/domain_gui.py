"""The windows of one running domain: shows them while it runs, again after a failure, and says how things stand."""

import asyncio
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import assert_never

from qubes_manager.backend.connection.connection import LibvirtConnection
from qubes_manager.backend.guests.guest_port import GuestPort, open_channel, read_port
from qubes_manager.backend.guests.port_changes import port_changes
from qubes_manager.backend.user.port_holder import PortHolder
from qubes_manager.backend.viewers.programs import WINDOWS
from qubes_manager.backend.viewers.viewer_process import ViewerProcess
from qubes_manager.core.domain import GUI_PORT, Domain, DomainKey
from qubes_manager.core.errors import NotFound, QubesManagerError, Refused
from qubes_manager.core.events import Event
from qubes_manager.core.gui_messages import Port
from qubes_manager.core.gui_rules import GuiRules
from qubes_manager.core.gui_status import GuiPhase, GuiStatus
from qubes_manager.core.viewer_messages import (
    Connected,
    Denied,
    Go,
    Launch,
    Mapped,
    Pressed,
    Unusable,
    ViewerEvent,
    Windows,
    Wished,
)
from qubes_manager.services.gui.early_launches import EarlyLaunches
from qubes_manager.services.gui.port_claim import PortClaim

# Seconds between tries. A viewer that held this long was not the last failure's successor.
FIRST_PAUSE, LAST_PAUSE = 0.2, 30.0
_HELD = 10.0


class DomainGui:
    """Supervises one domain; *on_status* gets its status at every change, *on_user* what the user does over windows."""

    def __init__(
        self,
        connection: LibvirtConnection,
        domain: Domain,
        rules: GuiRules,
        startup_timeout: float,
        log: Path,
        early: EarlyLaunches,
        on_status: Callable[[GuiStatus], object],
        on_user: Callable[[DomainKey, Pressed | Wished], object],
    ) -> None:
        self.domain = domain
        self._connection = connection
        self._rules = rules
        self._startup_timeout = startup_timeout
        self._log = log
        self._early = early
        self._on_status = on_status
        self._on_user = on_user
        self._status = GuiStatus(domain.key.uuid, GuiPhase.WAITING)
        self._viewer: ViewerProcess | None = None
        self._open, self._over = asyncio.Event(), asyncio.Event()
        # The user wants the windows: what could not be shown at all is tried once more.
        self._wanted = asyncio.Event()
        self._claim = PortClaim(
            connection.uri,
            domain.key.uuid,
            Port.WINDOWS,
            lambda holder: self._set(GuiPhase.ELSEWHERE, self._elsewhere(holder)),
        )

    async def run(self) -> None:
        """Show the windows until cancelled; returns at once for a domain without the port."""
        with self._connection.listen() as events:
            port = await read_port(self._connection, self.domain.key.uuid, GUI_PORT)
            if port is None:
                return
            self._on_status(self._status)
            if port.is_open:
                self._open.set()
            async with asyncio.TaskGroup() as beside:
                follower = beside.create_task(self._follow(events, port))
                try:
                    while True:
                        await self._until_impossible(port)
                        await self._wanted.wait()
                finally:
                    follower.cancel()

    def change_rules(self, rules: GuiRules) -> None:
        """Hold the windows to other rules from now on."""
        if rules == self._rules:
            return
        self._rules = rules
        if self._viewer:
            self._viewer.send(rules)

    def announce_launch(self, launch: Launch) -> None:
        """Tell the viewer that an application is being launched, as soon as there is one."""
        self._wanted.set()
        if self._viewer:
            self._viewer.send(launch)
        else:
            self._early.put(self.domain.key.uuid, launch)

    async def show(self, *, take_over: bool) -> None:
        """See that the windows are shown here, *take_over* them where another service has them.

        Raises Refused when another one has them and may keep them, QubesManagerError when it does not let go.
        """
        self._wanted.set()
        if (holder := await self._claim.settled()) and not take_over:
            raise Refused(self._elsewhere(holder))
        await self._claim.take_over()

    async def release(self) -> None:
        """Close the windows here and let go of the port, for the service that asks for it; raises QubesManagerError."""
        await self._claim.release()

    def _elsewhere(self, holder: PortHolder) -> str:
        name = self.domain.name
        return f"the windows of “{name}” are shown by {holder.sentence}; “qvm-start-gui --take-over {name}” gets them"

    async def _until_impossible(self, port: GuestPort) -> None:
        """Show the windows until that cannot be done, whatever is tried: before somebody has changed something."""
        self._wanted.clear()
        try:
            await self._keep_holding(port)
        except (NotFound, Refused) as error:
            self._set(GuiPhase.FAILED, str(error))

    async def _keep_holding(self, port: GuestPort) -> None:
        """Show what comes through the port whenever no other service has it."""
        while True:
            await self._claim.hold()
            try:
                await self._show_until_given_away(port)
            finally:
                self._claim.let_go()
            self._set(GuiPhase.ELSEWHERE, f"the windows of “{self.domain.name}” are being shown elsewhere")

    async def _show_until_given_away(self, port: GuestPort) -> None:
        loop = asyncio.get_running_loop()
        showing = loop.create_task(self._keep_showing(port))
        given_away = loop.create_task(self._claim.is_given_away.wait())
        try:
            await asyncio.wait({showing, given_away}, return_when=asyncio.FIRST_COMPLETED)
            if showing.done():
                showing.result()
        finally:
            given_away.cancel()
            showing.cancel()
            # The port is somebody else's only when the viewer has gone.
            await asyncio.shield(asyncio.wait({showing}))

    async def _follow(self, events: "asyncio.Queue[Event]", port: GuestPort) -> None:
        async for alias, is_open in port_changes(self._connection, self.domain.key.uuid, events, [port]):
            if alias != port.alias:
                continue
            if is_open:
                self._open.set()
            else:
                # What the guest still says on the old way belongs to nobody.
                self._open.clear()
                self._over.set()

    async def _keep_showing(self, port: GuestPort) -> None:
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

    async def _show(self, port: GuestPort) -> str:
        """Run a viewer until it ends or the port closes; returns what was wrong when something was."""
        self._set(GuiPhase.WAITING)
        viewer = await self._start_viewer(port)
        # It loads while the guest is on its way, and then waits.
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

    async def _start_viewer(self, port: GuestPort) -> ViewerProcess:
        end = await open_channel(self._connection, self.domain.key.uuid, GUI_PORT, port)
        viewer = await ViewerProcess.start(WINDOWS, [str(end.fileno())], self._log, [end])
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
            if launch := self._early.take(self.domain.key.uuid):
                viewer.send(launch)
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
            case Mapped():
                self._set(status.phase, status.message, mapped=status.mapped + 1)
            case Denied(what):
                self._set(status.phase, f"refused to “{self.domain.name}”: {what}")
            case Pressed() | Wished():
                self._on_user(self.domain.key, event)
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
