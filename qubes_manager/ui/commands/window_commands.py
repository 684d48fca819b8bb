"""What happens when an action of the window (not of a domain) is chosen."""

import asyncio
from collections.abc import Callable, Sequence

from PySide6.QtWidgets import QDialog, QWidget

from qubes_manager.core.domain import DomainKey
from qubes_manager.core.errors import QubesManagerError
from qubes_manager.services.assembly import Services
from qubes_manager.services.files.logs import BUILD_LOG
from qubes_manager.services.hosts.networks import network_choices
from qubes_manager.services.hosts.store import HostPhase
from qubes_manager.ui.commands.domain_commands import DomainCommands
from qubes_manager.ui.dialogs.about import show_about
from qubes_manager.ui.dialogs.gui_options_dialog import GuiOptionsDialog
from qubes_manager.ui.dialogs.log_viewer import LogViewer
from qubes_manager.ui.dialogs.new_domain_dialog import NewDomainDialog, Offer
from qubes_manager.ui.dialogs.setup_assistant import SetupAssistant
from qubes_manager.ui.dialogs.template_dialog import TemplateDialog
from qubes_manager.ui.feedback.confirm import finished
from qubes_manager.ui.feedback.jobs import Jobs
from qubes_manager.ui.feedback.message_bar import Button, Level, MessageBar
from qubes_manager.ui.feedback.tasks import Tasks
from qubes_manager.ui.table.domain_view import DomainView


class WindowCommands:
    """Carries out the window's actions; *work* has what each does, by its id.

    *window* is what dialogs stand above, *view* the table in which domains are chosen; *focus_search* goes to the
    search field and *quit_program* ends the program.
    """

    def __init__(
        self,
        window: QWidget,
        services: Services,
        tasks: Tasks,
        messages: MessageBar,
        jobs: Jobs,
        domain_commands: DomainCommands,
        view: DomainView,
        *,
        focus_search: Callable[[], None],
        quit_program: Callable[[], None],
    ) -> None:
        self._window = window
        self._services = services
        self._tasks = tasks
        self._messages = messages
        self._jobs = jobs
        self._domain_commands = domain_commands
        self._view = view
        self.work: dict[str, Callable[[], object]] = {
            "new": lambda: tasks.spawn(self._new_domain()),
            "assistant": lambda: tasks.spawn(self._assist()),
            "new-template": lambda: tasks.spawn(self._new_template()),
            "demo": lambda: tasks.spawn(self._make_demo()),
            "quit": quit_program,
            "all-devices": lambda: tasks.spawn(self._show_all_devices()),
            "search": focus_search,
            "refresh": services.hosts.refresh_all,
            "gui-options": lambda: tasks.spawn(self._show_gui_options()),
            "all-logs": lambda: tasks.spawn(self._show_logs()),
            "wipe-clipboard": services.clipboard.wipe,
            "about": lambda: show_about(window),
        }

    def trigger(self, action_id: str) -> None:
        """Do what an action says."""
        self.work[action_id]()

    def _uri(self) -> str:
        """The connection to work on: that of the chosen domain, else the first that is connected."""
        for domain in self._view.selected_domains():
            return domain.key.connection
        for uri, status in self._services.store.hosts.items():
            if status.phase is HostPhase.CONNECTED:
                return uri
        raise QubesManagerError("no libvirt is connected")

    async def _show_all_devices(self) -> None:
        await self._domain_commands.show_all_devices(self._uri())

    async def _show_gui_options(self) -> None:
        settings = self._services.gui_settings
        dialog = GuiOptionsDialog(self._window, await settings.load())
        if await finished(dialog) == QDialog.DialogCode.Accepted and (values := dialog.values()):
            await settings.put(values)
            await self.apply_gui_options()

    async def apply_gui_options(self) -> None:
        """Let what is of this program follow the options."""
        options = await self._services.gui_settings.load()
        self._services.clipboard.set_limit(int(options.value("max_clipboard_size")))

    async def _show_logs(self, first: str = "") -> None:
        services = self._services
        uri = services.hosts.uris[0]
        viewer = LogViewer(self._window, services.logs, services.clipboard, self._tasks.spawn, None, uri, first)
        await finished(viewer)

    def _is_taken(self, uri: str, name: str) -> bool:
        return self._services.store.named(uri, name) is not None

    async def _new_domain(self) -> None:
        services = self._services
        connected = [u for u, s in services.store.hosts.items() if s.phase is HostPhase.CONNECTED]
        if not connected:
            raise QubesManagerError("no libvirt is connected: nothing can be made now")
        offers = [await self._offer(uri) for uri in connected]
        dialog = NewDomainDialog(self._window, offers, self._is_taken)
        if await finished(dialog) != QDialog.DialogCode.Accepted:
            return
        uri, request = dialog.request()
        start = dialog.start.isChecked()
        key = await self._jobs.run(
            f"Making “{request.name}”",
            lambda progress: services.creation.create(uri, request, progress=progress),
        )
        self._select([key])
        if start:
            await services.lifecycle.start(key, request.passphrase)
        else:
            self._messages.show_message(Level.INFO, f"“{request.name}” is made; start it when you like.")

    async def _offer(self, uri: str) -> Offer:
        services = self._services
        return Offer(
            uri,
            services.setup.templates(uri),
            await asyncio.to_thread(services.defaults.get, "default_template"),
            await network_choices(services.hosts, uri),
            await asyncio.to_thread(services.defaults.get, "default_netvm"),
            await services.pools.usable(uri),
            await asyncio.to_thread(services.defaults.get, "default_pool"),
        )

    def _select(self, keys: Sequence[DomainKey]) -> None:
        self._services.store.flush()
        self._view.select(keys)

    async def _new_template(self) -> None:
        uri = self._uri()
        dialog = TemplateDialog(self._window, lambda name: self._is_taken(uri, name))
        if await finished(dialog) != QDialog.DialogCode.Accepted:
            return
        name, recipe = dialog.name.text(), dialog.fields.recipe()
        key = await self._jobs.run(
            f"Building “{name}”",
            lambda progress: self._services.templates.build(uri, name, recipe, progress=progress),
            buttons=[self._log_button()],
        )
        self._select([key])
        self._messages.show_message(Level.INFO, f"The template “{name}” is built; domains can be made from it now.")

    def _log_button(self) -> Button:
        return "Show log", lambda: self._tasks.spawn(self._show_logs(BUILD_LOG))

    async def _assist(self) -> None:
        services, uri = self._services, self._uri()
        taken = [domain.name for domain in services.store.of_host(uri)]
        assistant = SetupAssistant(
            self._window, lambda: services.host_check.run(uri), services.setup.templates(uri), taken
        )
        if await finished(assistant) != QDialog.DialogCode.Accepted or (plan := assistant.plan()) is None:
            return
        start = assistant.domains.start.isChecked()
        result = await self._jobs.run(
            "Set-up",
            lambda progress: services.setup.run(uri, plan, progress=progress),
            buttons=[self._log_button()] if plan.recipe else [],
        )
        self._select(result.made)
        if start:
            self._domain_commands.start_all(result.made)
        names = ", ".join(f"“{services.store.domains[key].name}”" for key in result.made) or "no domain"
        self._messages.show_message(Level.INFO, f"The set-up is done: {names} made from “{result.template}”.")

    async def _make_demo(self) -> None:
        uri = self._uri()
        made = await self._jobs.run("Demo", lambda progress: self._services.demo.create(uri, progress))
        self._select(made)
