"""Windows onto domains' screens and serial consoles."""

import asyncio
from collections.abc import Callable

from qubes_manager.backend.guests.consoles import ConsoleKind, open_console
from qubes_manager.backend.viewers.viewer_process import ViewerProcess
from qubes_manager.core.background import Background
from qubes_manager.core.domain import Domain, DomainKey
from qubes_manager.core.errors import QubesManagerError, Refused
from qubes_manager.core.gui_options import GuiOptions
from qubes_manager.services.files.log_paths import LogPaths
from qubes_manager.services.hosts.hosts import Hosts
from qubes_manager.services.hosts.store import Batch, DomainStore

# Told what went wrong.
Complain = Callable[[str], object]


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
        self._open: dict[asyncio.Task[None], tuple[DomainKey, ViewerProcess | None]] = {}
        store.on_batch(self._look)

    @property
    def is_idle(self) -> bool:
        """Whether no console is open."""
        return not self._open

    def open(self, key: DomainKey, kind: ConsoleKind) -> "asyncio.Task[None]":
        """Open a console; what goes wrong is complained of."""
        task = self._showing.spawn(self._show(key, kind))
        self._open[task] = (key, None)
        task.add_done_callback(lambda done: self._open.pop(done, None))
        return task

    def set_options(self, options: GuiOptions) -> None:
        """Hold all consoles to other options."""
        self._options = options
        for key, viewer in self._open.values():
            self._tell_rules(self._store.get(key), viewer)

    async def close(self) -> None:
        """Close all consoles, and wait until they are."""
        await self._showing.close()

    def _look(self, batch: Batch) -> None:
        changed = {domain.key: domain for domain in batch.changed}
        for key, viewer in self._open.values():
            self._tell_rules(changed.get(key), viewer)

    def _tell_rules(self, domain: Domain | None, viewer: ViewerProcess | None) -> None:
        if domain and viewer:
            viewer.tell(self._options.rules(domain).to_json())

    async def _show(self, key: DomainKey, kind: ConsoleKind) -> None:
        try:
            domain = self._store.require(key)
            if domain.is_host or not domain.state.is_active:
                raise Refused(f"“{domain.name}” is not running: it has no console now")
            end = await open_console(self._hosts.connection(key.connection), key.uuid, kind)
            log = self._logs.gui(key.uuid)
            viewer = await ViewerProcess.start("console", [kind.value, str(end.fileno())], log, [end])
        except QubesManagerError as error:
            self._complain(str(error))
            return
        task = asyncio.current_task()
        assert task
        self._open[task] = (key, viewer)
        code = None
        try:
            viewer.tell(self._options.rules(domain).to_json())
            async for _event in viewer.events():
                pass
            code = await viewer.end()
        finally:
            if code is None:
                await asyncio.shield(viewer.end())
        if code:
            self._complain(f"the console of “{domain.name}” closed: {viewer.last_line} (exit code {code})")
