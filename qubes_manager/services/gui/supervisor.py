"""Shows the windows of all running domains of a connection."""

import asyncio
from collections.abc import Callable

from qubes_manager.core.background import Background
from qubes_manager.core.domain import Domain, DomainKey
from qubes_manager.core.gui_options import GuiOptions
from qubes_manager.core.gui_status import GuiStatus
from qubes_manager.core.signal import Signal
from qubes_manager.core.viewer_messages import Launch, Pressed, Wished
from qubes_manager.services.files.log_paths import LogPaths
from qubes_manager.services.gui.domain_gui import DomainGui
from qubes_manager.services.gui.early_launches import EarlyLaunches
from qubes_manager.services.hosts.hosts import Hosts
from qubes_manager.services.hosts.store import Batch, DomainStore


class GuiSupervisor:
    """Starts and ends a ``DomainGui`` for each domain as the store tells of them."""

    def __init__(self, hosts: Hosts, store: DomainStore, options: GuiOptions, logs: LogPaths) -> None:
        self._hosts = hosts
        self._store = store
        self._options = options
        self._logs = logs
        self._early = EarlyLaunches()
        self._running: dict[DomainKey, tuple[DomainGui, asyncio.Task[None]]] = {}
        self._showing = Background()
        self._statuses: dict[str, GuiStatus] = {}
        self._changed = Signal[str, GuiStatus | None]()
        # Keys of the inter-domain clipboard were pressed over a domain's window.
        self.pressed = Signal[DomainKey, Pressed]()
        # Something was chosen from a window's menu.
        self.wished = Signal[DomainKey, Wished]()
        store.on_batch(self._on_batch)

    @property
    def is_idle(self) -> bool:
        """Whether there is no domain to look after."""
        return not self._running

    def on_change(self, listener: Callable[[str, GuiStatus | None], object]) -> Callable[[], None]:
        """Tell *listener* all there is, and every change from now on; returns what ends it.

        It is told a domain's UUID and status, None for one whose windows are not looked after any more.
        """
        disconnect = self._changed.connect(listener)
        for status in list(self._statuses.values()):
            listener(status.uuid, status)
        return disconnect

    def set_options(self, options: GuiOptions) -> None:
        """Hold all windows to other options."""
        self._options = options
        for windows, _task in self._running.values():
            windows.change_rules(options.rules(windows.domain))

    def find(self, uuid: str) -> DomainGui | None:
        """Who shows a domain's windows, when it runs and was made for some."""
        return next((windows for key, (windows, _task) in self._running.items() if key.uuid == uuid), None)

    def announce_launch(self, uuid: str, launch: Launch) -> None:
        """Tell a domain's viewer that an application is being launched, as soon as there is one."""
        if windows := self.find(uuid):
            windows.announce_launch(launch)
        else:
            # Its start, or the use that a disposable was kept ready for, has not been heard of yet.
            self._early.put(uuid, launch)

    async def close(self) -> None:
        """Close all windows, and wait until they are; the applications go on in their domains."""
        for key in list(self._running):
            self._stop(key)
        await self._showing.close()

    def _on_batch(self, batch: Batch) -> None:
        for domain in (*batch.added, *batch.changed):
            found = self._running.get(domain.key)
            if found and (not domain.has_gui or found[0].domain.id != domain.id):
                self._stop(domain.key)
                found = None
            if found:
                found[0].domain = domain
                found[0].change_rules(self._options.rules(domain))
            elif domain.has_gui:
                self._start(domain)
        for key in batch.removed:
            self._stop(key)

    def _start(self, domain: Domain) -> None:
        windows = DomainGui(
            self._hosts.connection(domain.key.connection),
            domain,
            self._options.rules(domain),
            float(self._options.value("startup_timeout", self._options.source(domain))),
            self._logs.gui(domain.key.uuid),
            self._early,
            self._on_status,
            self._on_user,
        )
        self._running[domain.key] = (windows, self._showing.spawn(windows.run()))

    def _stop(self, key: DomainKey) -> None:
        if found := self._running.pop(key, None):
            found[1].cancel()
            self._statuses.pop(key.uuid, None)
            self._changed.emit(key.uuid, None)

    def _on_user(self, key: DomainKey, event: Pressed | Wished) -> None:
        match event:
            case Pressed():
                self.pressed.emit(key, event)
            case Wished():
                self.wished.emit(key, event)

    def _on_status(self, status: GuiStatus) -> None:
        self._statuses[status.uuid] = status
        self._changed.emit(status.uuid, status)
