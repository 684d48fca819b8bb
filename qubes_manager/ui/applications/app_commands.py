"""What happens when an application is started, a console opened, or a menu changed from the window."""

from collections.abc import Awaitable, Callable, Sequence

from PySide6.QtWidgets import QDialog, QWidget

from qubes_manager.core.domain import Domain, DomainKey
from qubes_manager.core.errors import QubesManagerError
from qubes_manager.core.gui_messages import ConsoleKind, OpenConsole, Show
from qubes_manager.core.gui_status import GuiPhase, GuiStatus
from qubes_manager.models.applications_model import Entry
from qubes_manager.services.assembly import Services
from qubes_manager.services.gui.link import GuiLink
from qubes_manager.ui.dialogs.app_shortcuts_dialog import AppShortcutsDialog
from qubes_manager.ui.feedback.confirm import finished
from qubes_manager.ui.feedback.message_bar import Button, Level, MessageBar
from qubes_manager.ui.feedback.progress import LoopProgress
from qubes_manager.ui.feedback.tasks import Tasks


class AppCommands:
    """*start_domain* starts one that is halted, and asks for its passphrase if need be."""

    def __init__(
        self,
        window: QWidget,
        services: Services,
        tasks: Tasks,
        messages: MessageBar,
        start_domain: Callable[[DomainKey], Awaitable[object]],
    ) -> None:
        self._window = window
        self._services = services
        self._tasks = tasks
        self._messages = messages
        self._start_domain = start_domain
        services.links.added.connect(self._watch)

    def launch(self, entry: Entry) -> None:
        """Start an application, and show what is being waited for until its window is there."""
        self._tasks.spawn(self._launch_in_disposable(entry) if entry.in_disposable else self._launch(entry))

    def toggle_favourite(self, entry: Entry) -> None:
        """Put an application among the favourites, or take it out."""
        self._tasks.spawn(self._toggle_favourite(entry))

    async def show_console(self, domain: Domain, kind: ConsoleKind) -> None:
        """Open a domain's screen or its serial console."""
        uri = domain.key.connection
        link = self._services.links.link(uri)
        self._services.links.want(uri)
        await link.ensure()
        await link.ask(OpenConsole(domain.key.uuid, kind, take_over=False))

    async def _take_over(self, domain: Domain) -> None:
        """Bring a domain's windows to this screen."""
        await self._services.links.link(domain.key.connection).ask(Show(domain.key.uuid, take_over=True))

    async def show_shortcuts(self, domain: Domain) -> None:
        """Let the user choose which applications a domain's menu has."""
        services = self._services
        dialog = AppShortcutsDialog(self._window, domain, services.lists.of(domain), self._tasks.spawn)
        dialog.refresh.connect(lambda: dialog.start(self._refresh_into(dialog, domain)))
        if await finished(dialog) == QDialog.DialogCode.Accepted and domain.is_read:
            await services.properties.change_menu(domain.key, domain.config.menu, dialog.chosen())

    async def refresh(self, domains: Sequence[Domain]) -> None:
        """Ask running domains for their applications."""
        for domain in domains:
            found = await self._services.lists.refresh(domain.key)
            plural = "" if len(found) == 1 else "s"
            self._messages.show_message(Level.INFO, f"“{domain.name}” has {len(found)} application{plural}.")

    async def _refresh_into(self, dialog: AppShortcutsDialog, domain: Domain) -> None:
        dialog.show_applications(await self._services.lists.refresh(domain.key))

    async def _launch(self, entry: Entry) -> None:
        services, key, app = self._services, entry.domain.key, entry.application
        title = f"{app.name} in “{entry.domain.name}”"
        shown = self._messages.show_progress(f"{title}…")
        try:
            domain = services.store.require(key)
            if not domain.state.is_active:
                await self._start_domain(key)
                if not services.store.require(key).state.is_active:
                    return
            services.links.want(key.connection)
            before = services.launching.mapped(key)
            progress = LoopProgress(title, shown)
            await services.launching.application(key, app.id, progress=progress)
            progress.step("waiting for its window")
            if not await services.launching.window(key, before):
                text = f"{title} was started, but no window of it has come."
                self._messages.show_message(Level.WARNING, text, buttons=[self._console_button(domain)])
        finally:
            shown.close()

    async def _launch_in_disposable(self, entry: Entry) -> None:
        services, template, app = self._services, entry.domain, entry.application
        title = f"{app.name} in a disposable of “{template.name}”"
        shown = self._messages.show_progress(f"{title}…")
        try:
            services.links.want(template.key.connection)
            key, has_window = await services.launching.in_disposable(
                template.key, app.id, progress=LoopProgress(title, shown)
            )
            if not has_window and (domain := services.store.get(key)):
                text = f"{title} was started, but no window of it has come; “{domain.name}” runs until you end it."
                self._messages.show_message(Level.WARNING, text, buttons=[self._console_button(domain)])
        finally:
            shown.close()

    async def _toggle_favourite(self, entry: Entry) -> None:
        domain = self._services.store.require(entry.domain.key)
        if not domain.is_read:
            return
        app = entry.application.id
        await self._services.properties.set_favourite(domain.key, app, app not in domain.config.favourites)

    def _console_button(self, domain: Domain) -> Button:
        return "Open console", lambda: self._tasks.spawn(self.show_console(domain, ConsoleKind.SCREEN))

    def _watch(self, link: GuiLink) -> None:
        link.changed.connect(lambda uuid, status: self._windows_changed(link.uri, uuid, status))
        link.list_read.connect(lambda: self._tasks.spawn(self._services.lists.load()))
        link.noticed.connect(lambda text: self._messages.show_error(QubesManagerError(text)))

    def _windows_changed(self, uri: str, uuid: str, status: GuiStatus | None) -> None:
        """Say what is wrong with a domain's windows, and take it back when it is well again."""
        key = f"windows-{uuid}"
        domain = self._services.store.get(DomainKey(uri, uuid))
        if status is None or domain is None or status.phase is GuiPhase.CONNECTING:
            self._messages.dismiss(key)
            return
        text = status.message[:1].upper() + status.message[1:]
        if status.phase in (GuiPhase.SILENT, GuiPhase.FAILED):
            self._messages.show_message(Level.WARNING, f"{text}.", buttons=[self._console_button(domain)], key=key)
        elif status.phase is GuiPhase.ELSEWHERE:
            take_over = "Show them here", lambda: self._tasks.spawn(self._take_over(domain))
            self._messages.show_message(Level.INFO, f"{text}.", buttons=[take_over], key=key)
        elif text:
            self._messages.show_message(Level.WARNING, f"{text}.", key=key)
