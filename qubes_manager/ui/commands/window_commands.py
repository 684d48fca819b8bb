"""What happens when an action of the window (not of a domain) is chosen."""

import asyncio
from collections.abc import Callable, Sequence
from pathlib import Path

from PySide6.QtWidgets import QDialog, QWidget

from qubes_manager.core.creation_request import CreationRequest
from qubes_manager.core.domain import DomainKey
from qubes_manager.core.errors import QubesManagerError
from qubes_manager.core.progress import Progress
from qubes_manager.services.assembly import Services
from qubes_manager.services.files.logs import BUILD_LOG
from qubes_manager.services.files.tunnel_file import read_tunnel
from qubes_manager.services.hosts.store import HostPhase
from qubes_manager.services.network.choices import network_choices
from qubes_manager.ui.commands.domain_commands import DomainCommands
from qubes_manager.ui.dialogs.about import show_about
from qubes_manager.ui.dialogs.disposable_dialog import DisposableDialog
from qubes_manager.ui.dialogs.gui_options_dialog import GuiOptionsDialog
from qubes_manager.ui.dialogs.log_viewer import LogViewer
from qubes_manager.ui.dialogs.new_domain_dialog import NewDomainDialog, Offer
from qubes_manager.ui.dialogs.setup_assistant import SetupAssistant
from qubes_manager.ui.dialogs.template_dialog import TemplateDialog
from qubes_manager.ui.dialogs.transfers_dialog import TransfersDialog
from qubes_manager.ui.feedback.confirm import finished
from qubes_manager.ui.feedback.jobs import Jobs
from qubes_manager.ui.feedback.message_bar import Button, Level, MessageBar
from qubes_manager.ui.feedback.tasks import Tasks
from qubes_manager.ui.feedback.transfer_watch import TransferWatch
from qubes_manager.ui.table.domain_view import DomainView


class WindowCommands:
    """Carries out the window's actions; *work* has what each does, by its id.

    *window* is what dialogs stand above, *view* the table in which domains are chosen; *focus_search* goes to the
    search field, *quit_program* ends the program and *add_image* asks for an image file to offer among the devices.
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
        add_image: Callable[[], object] = lambda: None,
    ) -> None:
        self._window = window
        self._services = services
        self._tasks = tasks
        self._messages = messages
        self._jobs = jobs
        self._domain_commands = domain_commands
        self._view = view
        self.transfers = TransferWatch(services.broker_links, window)
        self.work: dict[str, Callable[[], object]] = {
            "new": lambda: tasks.spawn(self._new_domain()),
            "new-disposable": lambda: tasks.spawn(self._new_disposable()),
            "assistant": lambda: tasks.spawn(self._assist()),
            "new-template": lambda: tasks.spawn(self._new_template()),
            "demo": lambda: tasks.spawn(self._make_demo()),
            "quit": quit_program,
            "all-devices": lambda: domain_commands.show_devices(None),
            "add-image": add_image,
            "search": focus_search,
            "refresh": services.hosts.refresh_all,
            "gui-options": lambda: tasks.spawn(self._show_gui_options()),
            "policy": lambda: domain_commands.policy.start(window, self._uri),
            "all-logs": lambda: tasks.spawn(self._show_logs()),
            "paste-to": lambda: tasks.spawn(domain_commands.clipboard.paste_to()),
            "take-clipboard": lambda: tasks.spawn(domain_commands.clipboard.take()),
            "wipe-clipboard": lambda: tasks.spawn(domain_commands.clipboard.wipe()),
            "view-in-disposable": lambda: tasks.spawn(self._open_files(view_only=True)),
            "edit-in-disposable": lambda: tasks.spawn(self._open_files(view_only=False)),
            "convert-in-disposable": lambda: tasks.spawn(self._convert_files()),
            "transfers": lambda: tasks.spawn(self._show_transfers()),
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

    async def _open_files(self, *, view_only: bool) -> None:
        uri = self._uri()
        # Nobody is to choose files for what cannot be made.
        base = await self._services.disposables.default_for(uri)
        await self._domain_commands.files.open(uri, base, view_only=view_only)

    async def _convert_files(self) -> None:
        uri = self._uri()
        await self._domain_commands.files.convert(uri, await self._services.disposables.default_for(uri))

    async def _show_transfers(self) -> None:
        await finished(TransfersDialog(self._window, self.transfers, self._tasks.spawn))

    async def _show_gui_options(self) -> None:
        settings = self._services.gui_settings
        dialog = GuiOptionsDialog(self._window, await settings.load())
        dialog.policy.clicked.connect(lambda: self._domain_commands.policy.start(dialog, self._uri))
        if await finished(dialog) == QDialog.DialogCode.Accepted and (values := dialog.values()):
            await settings.put(values)

    async def _show_logs(self, first: str = "") -> None:
        services = self._services
        uri = services.hosts.uris[0]
        viewer = LogViewer(self._window, services.logs, services.clipboards, self._tasks.spawn, None, uri, first)
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
        if file := dialog.tunnel_file:
            await self._new_vpn(uri, request, file)
            return
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

    async def _new_vpn(self, uri: str, request: CreationRequest, file: Path) -> None:
        vpn = self._services.vpn
        tunnel = await asyncio.to_thread(read_tunnel, file)
        key, note = await self._jobs.run(
            f"Making “{request.name}”", lambda progress: vpn.create(uri, request, tunnel, progress=progress)
        )
        self._select([key])
        how = "choose it as the network of others in their settings."
        text = f"“{request.name}” runs: {how}{f' {note[:1].upper()}{note[1:]}.' if note else ''}"
        self._messages.show_message(Level.WARNING if note else Level.INFO, text)

    async def _new_disposable(self) -> None:
        """Make a disposable: one that runs until it is shut down, or one that has a name and stays in the list."""
        services, uri = self._services, self._uri()
        templates = services.disposables.templates(uri)
        if not templates:
            raise QubesManagerError(
                "no AppVM is meant for disposables yet: allow it in an AppVM’s settings, or run the set-up assistant"
            )
        chosen = {domain.name for domain in self._view.selected_domains()}
        default = await asyncio.to_thread(services.defaults.get, "default_dispvm")
        dialog = DisposableDialog(
            self._window,
            [t.name for t in templates],
            next((t.name for t in templates if t.name in chosen), default),
            lambda name: self._is_taken(uri, name),
        )
        if await finished(dialog) != QDialog.DialogCode.Accepted:
            return
        template = next(t for t in templates if t.name == dialog.template.currentData())
        name, stays = dialog.name.text(), dialog.stays.isChecked()

        async def make(progress: Progress) -> DomainKey:
            if stays:
                return await services.disposables.define(template.key, name, progress)
            return await services.disposables.make(template.key, name=name, progress=progress)

        key = await self._jobs.run("A new disposable", make)
        self._select([key])
        made, base = services.store.require(key).name, template.name
        text = "start it when you like" if stays else "it runs until you shut it down, and nothing of it is kept then"
        self._messages.show_message(Level.INFO, f"The disposable “{made}” is made of “{base}”: {text}.")

    async def _offer(self, uri: str) -> Offer:
        services = self._services
        return Offer(
            uri,
            services.setup.templates(uri),
            await asyncio.to_thread(services.defaults.get, "default_template"),
            await network_choices(services.hosts, services.store, uri),
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
