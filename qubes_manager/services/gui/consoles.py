"""Windows onto domains' screens and serial consoles."""

import asyncio
from collections.abc import Callable

from qubes_manager.backend.guests.consoles import open_console
from qubes_manager.backend.viewers.viewer_process import ViewerProcess
from qubes_manager.core.background import Background
from qubes_manager.core.domain import Domain, DomainKey
from qubes_manager.core.errors import Refused
from qubes_manager.core.gui_messages import ConsoleKind
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
        self._open: dict[asyncio.Task[None], tuple[DomainKey, ViewerProcess]] = {}
        store.on_batch(self._on_batch)

    @property
    def is_idle(self) -> bool:
        """Whether no console is open."""
        return not self._open

    async def open(self, key: DomainKey, kind: ConsoleKind) -> "asyncio.Task[None]":
        """Open a console; what goes wrong later is complained of. Returns a task that lasts as long as the console.

        Raises NotFound, Refused, HostCallFailed.
        """
        domain = self._store.require(key)
        if domain.is_host or not domain.state.is_active:
            raise Refused(f"“{domain.name}” is not running: it has no console now")
        end = await open_console(self._hosts.connection(key.connection), key.uuid, kind)
        log = self._logs.gui(key.uuid)
        viewer = await ViewerProcess.start("console", [kind.value, str(end.fileno())], log, [end])
        # Its label may have changed meanwhile.
        viewer.send(self._options.rules(self._store.get(key) or domain))
        task = self._showing.spawn(self._show(domain.name, viewer))
        self._open[task] = (key, viewer)
        task.add_done_callback(lambda done: self._open.pop(done, None))
        return task

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

    async def _show(self, name: str, viewer: ViewerProcess) -> None:
        code = None
        try:
            async for _event in viewer.events():
                pass
            code = await viewer.end()
        finally:
            if code is None:
                await asyncio.shield(viewer.end())
        if code:
            self._complain(f"the console of “{name}” closed: {viewer.last_line} (exit code {code})")
