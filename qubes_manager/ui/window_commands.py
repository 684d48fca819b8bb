"""What happens when an action of the window (not of a domain) is chosen."""

import threading
from collections.abc import Callable
from typing import TYPE_CHECKING

from PySide6.QtWidgets import QDialog

from qubes_manager.core.errors import QubesManagerError
from qubes_manager.services.store import HostPhase
from qubes_manager.ui.confirm import finished
from qubes_manager.ui.domain_commands import DomainCommands
from qubes_manager.ui.log_viewer import LogViewer
from qubes_manager.ui.message_bar import Level, MessageBar
from qubes_manager.ui.new_domain_dialog import NewDomainDialog
from qubes_manager.ui.progress import LoopProgress
from qubes_manager.ui.services import Services
from qubes_manager.ui.tasks import Tasks

if TYPE_CHECKING:
    from qubes_manager.ui.main_window import MainWindow


class WindowCommands:
    """Carries out the window's actions."""

    def __init__(
        self,
        window: "MainWindow",
        services: Services,
        tasks: Tasks,
        messages: MessageBar,
        domain_commands: DomainCommands,
    ) -> None:
        self._window = window
        self._services = services
        self._tasks = tasks
        self._messages = messages
        self._domain_commands = domain_commands
        self._jobs = 0
        self._work: dict[str, Callable[[], object]] = {
            "new": lambda: tasks.spawn(self._new_domain()),
            "demo": lambda: tasks.spawn(self.make_demo()),
            "all-devices": lambda: tasks.spawn(domain_commands.show_all_devices(self._uri())),
            "all-logs": lambda: tasks.spawn(self._show_logs()),
            "wipe-clipboard": services.clipboard.wipe,
            "search": self._search,
            "refresh": services.hosts.refresh_all,
            "about": lambda: window.show_about(),
            "quit": window.quit_requested.emit,
        }

    def trigger(self, action_id: str) -> None:
        """Do what an action says; check boxes do their work by themselves."""
        if work := self._work.get(action_id):
            work()

    def _uri(self) -> str:
        """The connection to work on: that of the chosen domain, else the first that is connected."""
        for domain in self._window.view.selected_domains():
            return domain.key.connection
        for uri, status in self._services.store.hosts.items():
            if status.phase is HostPhase.CONNECTED:
                return uri
        raise QubesManagerError("no libvirt is connected")

    def _search(self) -> None:
        self._window.search.setFocus()
        self._window.search.selectAll()

    async def _show_logs(self) -> None:
        services = self._services
        uri = services.hosts.uris[0]
        await finished(LogViewer(self._window, services.logs, services.clipboard, self._tasks.spawn, None, uri))

    def _is_taken(self, uri: str, name: str) -> bool:
        return any(domain.name == name for domain in self._services.store.of_host(uri))

    async def _new_domain(self) -> None:
        connected = [u for u, s in self._services.store.hosts.items() if s.phase is HostPhase.CONNECTED]
        if not connected:
            raise QubesManagerError("no libvirt is connected: nothing can be made now")
        dialog = NewDomainDialog(self._window, connected, self._is_taken)
        if await finished(dialog) != QDialog.DialogCode.Accepted:
            return
        uri, request = dialog.request()
        stop = threading.Event()
        self._jobs += 1
        shown = self._messages.show_progress(f"Making “{request.name}”…", stop.set, f"job-{self._jobs}")
        progress = LoopProgress(f"“{request.name}”: ", shown)
        try:
            key = await self._services.creation.create(uri, request, progress=progress, cancelled=stop.is_set)
        finally:
            shown.close()
        self._messages.show_message(Level.INFO, f"“{request.name}” is made; start it when you like.")
        self._services.store.flush()
        self._window.view.select([key])

    async def make_demo(self) -> None:
        """Make the demo domains."""
        uri = self._uri()
        task: list[object] = []
        self._jobs += 1
        shown = self._messages.show_progress("Making the demo domains…", lambda: task[0].cancel(), f"job-{self._jobs}")  # type: ignore[attr-defined]
        progress = LoopProgress("", shown)
        work = self._tasks.spawn(self._services.demo.create(uri, lambda step: progress(step.capitalize(), 0, 0)))
        task.append(work)
        try:
            made = await work
        except QubesManagerError:
            return  # shown by the task itself
        finally:
            shown.close()
        self._services.store.flush()
        self._window.view.select(made)
