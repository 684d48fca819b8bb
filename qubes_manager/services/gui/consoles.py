"""Windows onto domains' screens and serial consoles."""

import asyncio
from collections.abc import Callable

from qubes_manager.backend.guests.consoles import open_screen, open_serial_line
from qubes_manager.backend.user.port_holder import HeldPort, PortTaken
from qubes_manager.backend.viewers.programs import CONSOLE
from qubes_manager.backend.viewers.viewer_process import ViewerProcess
from qubes_manager.core.background import Background
from qubes_manager.core.domain import Domain, DomainKey
from qubes_manager.core.errors import Refused
from qubes_manager.core.gui_messages import ConsoleKind, Port
from qubes_manager.core.gui_options import GuiOptions
from qubes_manager.services.files.log_paths import LogPaths
from qubes_manager.services.gui.ports import hold_port, take_over_port
from qubes_manager.services.hosts.hosts import Hosts
from qubes_manager.services.hosts.store import Batch, DomainStore

# Told what went wrong.
Complain = Callable[[str], object]
# Of one domain: each takes what memory it may, and all of them, who are one guest's, no more than its windows.
_MOST = 4


class Consoles:
    """Opens consoles; each lives until its window is closed. Needs to run where the windows are shown."""

    def __init__(
        self, hosts: Hosts, store: DomainStore, options: GuiOptions, logs: LogPaths, complain: Complain
    ) -> None:
        self._hosts = hosts
        self._store = store
        self._options = options
        self._logs = logs
        self._complain = complain
        self._showing = Background()
        self._open: dict[asyncio.Task[None], tuple[DomainKey, ViewerProcess]] = {}
        # Those that are serial lines, by the domain's UUID.
        self._lines: dict[str, asyncio.Task[None]] = {}
        store.on_batch(self._on_batch)

    @property
    def is_idle(self) -> bool:
        """Whether no console is open."""
        return not self._open

    async def open(self, key: DomainKey, kind: ConsoleKind, *, take_over: bool = False) -> "asyncio.Task[None]":
        """Open a console; what goes wrong later is complained of. Returns a task that lasts as long as the console.

        A serial line is one program's at a time; *take_over* it from another service of the user's. Raises NotFound,
        Refused, HostCallFailed, QubesManagerError.
        """
        domain = self._store.require(key)
        if domain.is_host or not domain.state.is_active:
            raise Refused(f"“{domain.name}” is not running: it has no console now")
        if sum(key == other for other, _viewer in self._open.values()) >= _MOST:
            raise Refused(f"“{domain.name}” has {_MOST} consoles open already: close one of them")
        held = await self._hold_line(domain, take_over=take_over) if kind is ConsoleKind.SERIAL else None
        try:
            viewer = await self._start(key, kind)
        except BaseException:
            if held:
                held.close()
            raise
        # Its label may have changed meanwhile.
        viewer.send(self._options.rules(self._store.get(key) or domain))
        task = self._showing.spawn(self._show(domain.name, viewer, held))
        self._open[task] = (key, viewer)
        if held:
            self._lines[key.uuid] = task
        task.add_done_callback(lambda done: self._open.pop(done, None))
        return task

    async def release(self, uuid: str) -> None:
        """Close the serial console of a domain, for the service that asks for it."""
        if task := self._lines.get(uuid):
            task.cancel()
            await asyncio.wait({task})

    async def _hold_line(self, domain: Domain, *, take_over: bool) -> HeldPort:
        key = domain.key
        hold = take_over_port if take_over else hold_port
        try:
            return await hold(key.connection, key.uuid, Port.SERIAL)
        except PortTaken as taken:
            how = f"“qvm-console --serial --take-over {domain.name}” gets it"
            raise Refused(f"the serial console of “{domain.name}” is taken: {taken}; {how}") from taken

    async def _start(self, key: DomainKey, kind: ConsoleKind) -> ViewerProcess:
        opener = open_serial_line if kind is ConsoleKind.SERIAL else open_screen
        end = await opener(self._hosts.connection(key.connection), key.uuid)
        return await ViewerProcess.start(CONSOLE, [kind.value, str(end.fileno())], self._logs.gui(key.uuid), [end])

    def set_options(self, options: GuiOptions) -> None:
        """Hold all consoles to other options."""
        self._options = options
        for key, viewer in self._open.values():
            self._send_rules(self._store.get(key), viewer)

    async def close(self) -> None:
        """Close all consoles, and wait until they are."""
        await self._showing.close()

    def _on_batch(self, batch: Batch) -> None:
        changed = {domain.key: domain for domain in batch.changed}
        for key, viewer in self._open.values():
            self._send_rules(changed.get(key), viewer)

    def _send_rules(self, domain: Domain | None, viewer: ViewerProcess) -> None:
        if domain:
            viewer.send(self._options.rules(domain))

    async def _show(self, name: str, viewer: ViewerProcess, held: HeldPort | None) -> None:
        code = None
        try:
            async for _event in viewer.events():
                pass
            code = await viewer.end()
        finally:
            if code is None:
                await asyncio.shield(viewer.end())
            if held:
                held.close()
        if code:
            self._complain(f"the console of “{name}” closed: {viewer.last_line or 'it ended'} (exit code {code})")
