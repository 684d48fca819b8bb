"""What happens when a domain's action is chosen: ask, do, and say how it went."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence

from PySide6.QtWidgets import QDialog, QWidget

from qubes_manager.core.disposables import what_ends
from qubes_manager.core.domain import Domain, DomainKey, DomainState
from qubes_manager.core.errors import Overtaken, QubesManagerError, StateIsSaved
from qubes_manager.core.firewall.firewall import Firewall
from qubes_manager.core.gui_messages import ConsoleKind
from qubes_manager.core.operations import OPERATIONS, Risk
from qubes_manager.services.assembly import Services
from qubes_manager.services.domains.lifecycle import PassphraseNeeded, ShutdownTimedOut
from qubes_manager.services.domains.removal import in_removal_order
from qubes_manager.services.network.choices import network_choices
from qubes_manager.services.network.providers import who_loses_network
from qubes_manager.ui.actions import is_on
from qubes_manager.ui.applications.app_commands import AppCommands
from qubes_manager.ui.commands.clipboard_commands import ClipboardCommands
from qubes_manager.ui.commands.file_commands import FileCommands
from qubes_manager.ui.commands.policy_commands import PolicyCommands
from qubes_manager.ui.dialogs.firewall.firewall_dialog import FirewallDialog
from qubes_manager.ui.dialogs.log_viewer import LogViewer
from qubes_manager.ui.dialogs.name_dialog import NameDialog, PassphraseDialog
from qubes_manager.ui.dialogs.run_dialog import RunDialog
from qubes_manager.ui.dialogs.settings_dialog import FULLSCREEN, SettingsDialog
from qubes_manager.ui.dialogs.volumes_dialog import VolumesDialog
from qubes_manager.ui.feedback.confirm import Confirmation, finished
from qubes_manager.ui.feedback.domain_messages import DomainMessages
from qubes_manager.ui.feedback.jobs import Jobs
from qubes_manager.ui.feedback.message_bar import Level, MessageBar
from qubes_manager.ui.feedback.tasks import Tasks

_ENDINGS = ("shutdown", "kill")
# Seconds after which a shutdown that is not done offers to wait or to kill.
SHUTDOWN_PATIENCE = 60.0


class DomainCommands:
    """Carries out the domain actions; *work* has what each does, by its id.

    *edit_name* starts typing in the row; *show_devices* opens the page of devices for a domain, or for any.
    """

    def __init__(
        self,
        window: QWidget,
        services: Services,
        tasks: Tasks,
        messages: MessageBar,
        confirmation: Confirmation,
        jobs: Jobs,
        edit_name: Callable[[], None],
        show_devices: Callable[[Domain | None], object] = lambda _domain: None,
    ) -> None:
        self._window = window
        self._services = services
        self._tasks = tasks
        self._messages = messages
        self._state_messages = DomainMessages(services.store, messages)
        self._confirmation = confirmation
        self._jobs = jobs
        self._edit_name = edit_name
        self.show_devices = show_devices
        self.apps = AppCommands(window, services, tasks, messages, self._start)
        self.clipboard = ClipboardCommands(window, services.store, services.clipboards, messages)
        self.policy = PolicyCommands(services, tasks.spawn)
        self.files = FileCommands(
            window, services.store, services.file_copies, messages, jobs, confirmation, tasks.spawn
        )
        self.work: dict[str, Callable[[Sequence[Domain]], Awaitable[object]]] = {
            "start": lambda domains: self._each(domains, self._start),
            "pause": lambda domains: self._each(domains, services.lifecycle.pause),
            "shutdown": lambda domains: self._each(domains, self._shutdown),
            "restart": lambda domains: self._each(domains, self._restart),
            "kill": lambda domains: self._each(domains, services.lifecycle.kill),
            "discard-saved": lambda domains: self._each(domains, services.lifecycle.discard_saved),
            "delete": self._delete,
            "clone": lambda domains: self._clone(domains[0]),
            "volumes": lambda domains: self._show_volumes(domains[0]),
            "to-template": lambda domains: self._each(domains, services.promotion.to_template),
            "update-tools": lambda domains: self._each(domains, self._update_tools),
            "autostart": self._toggle_autostart,
            "mute": self._toggle_mute,
            "rename": self._rename,
            "logs": lambda domains: self._show_logs(domains[0]),
            "devices": lambda domains: self._show_devices(domains[0]),
            "clipboard-copy": lambda domains: self.clipboard.copy(domains[0]),
            "clipboard-paste": lambda domains: self.clipboard.paste(domains[0]),
            "clipboard-give": lambda domains: self.clipboard.give(domains[0]),
            "send-files": lambda domains: self.files.send(domains[0]),
            "copy-files": lambda domains: self.files.fetch(domains[0]),
            "run": self._show_run,
            "console": lambda domains: self.apps.show_console(domains[0], ConsoleKind.SCREEN),
            "serial": lambda domains: self.apps.show_console(domains[0], ConsoleKind.SERIAL),
            "shortcuts": lambda domains: self.apps.show_shortcuts(domains[0]),
            "refresh-apps": self.apps.refresh,
            "firewall": lambda domains: self._show_firewall(domains[0]),
            "settings": lambda domains: self._show_settings(domains[0]),
        }

    def trigger(self, operation_id: str, domains: Sequence[Domain]) -> None:
        """Do an operation to those of *domains* to which it applies, after asking."""
        operation = OPERATIONS[operation_id]
        fitting = [domain for domain in domains if operation.applies(domain)]
        if fitting:
            self._tasks.spawn(self._run(operation_id, fitting))

    def show_error(self, error: QubesManagerError) -> None:
        """Show an error's line, with a way out where there is one."""
        domain = self._services.store.get(error.key) if isinstance(error, StateIsSaved) else None
        if domain is None:
            self._messages.show_error(error)
            return
        button = ("Discard saved state…", lambda: self.trigger("discard-saved", [domain]))
        self._state_messages.show(
            domain.key, lambda now: now.state is DomainState.SAVED, Level.ERROR, str(error), [button]
        )

    def start_all(self, keys: Sequence[DomainKey]) -> None:
        """Start domains that were just made, without asking."""
        domains = [domain for key in keys if (domain := self._services.store.get(key))]
        self._tasks.spawn(self._each(domains, self._start))

    def set_label(self, label: str, domains: Sequence[Domain]) -> None:
        """Give a label to domains, after asking."""
        fitting = [domain for domain in domains if OPERATIONS["label"].applies(domain)]

        async def work() -> None:
            if fitting and await self._confirmation.ask(OPERATIONS["label"], fitting, f"New label: {label}."):
                await self._each(fitting, lambda key: self._services.properties.set_label(key, label))

        self._tasks.spawn(work())

    def rename(self, key: DomainKey, name: str) -> None:
        """Rename a domain to what was typed in its row, after asking."""

        async def work() -> None:
            properties, domain = self._services.properties, self._services.store.get(key)
            if domain and domain.is_disposable:
                await properties.set_title(key, name.strip())
                shown = self._services.store.require(key).shown_name
                why = "its name stays, since libvirt renames no domain that runs"
                self._messages.show_message(Level.INFO, f"“{domain.name}” is shown as “{shown}” now; {why}.")
            elif domain and await self._confirmation.ask(OPERATIONS["rename"], [domain], f"New name: “{name[:60]}”."):
                await properties.rename(key, name)

        self._tasks.spawn(work())

    async def _run(self, operation_id: str, domains: Sequence[Domain]) -> None:
        # A rename is asked about once the new name has been typed.
        if operation_id != "rename":
            extra = await self._what_is_lost(operation_id, domains)
            ends = self._what_ends(domains) if operation_id in _ENDINGS else ""
            if operation_id in (*_ENDINGS, "pause"):
                others = self._services.store.of_host(domains[0].key.connection)
                ends = f"{ends} {who_loses_network(domains, others)}".strip()
            risk = Risk.DATA if ends else None
            takes = await self._services.guest_tools.notice(domains) if operation_id == "update-tools" else ""
            if not await self._confirmation.ask(
                OPERATIONS[operation_id], domains, extra or ends or takes, risk=risk, anyway=bool(takes)
            ):
                return
        await self.work[operation_id](domains)

    async def _what_is_lost(self, operation_id: str, domains: Sequence[Domain]) -> str:
        if operation_id == "delete" and len(domains) == 1:
            return await self._services.removal.describe_loss(domains[0])
        if operation_id == "discard-saved" and (writing := [d.name for d in domains if d.config.trial]):
            return f"What was changed in {', '.join(writing)} since the start is lost too."
        if operation_id == "delete":
            saved = [d.name for d in domains if d.state is DomainState.SAVED]
            memory = f" The saved state of {', '.join(saved)} is lost, with the unsaved work in it." if saved else ""
            return f"Disks that were made for them go with them.{memory}"
        return ""

    def _what_ends(self, domains: Sequence[Domain]) -> str:
        """What is lost when disposables among *domains* end that have windows open; nothing without any."""
        links, windows = self._services.links, {}
        for domain in filter(lambda d: d.is_disposable, domains):
            status = links.link(domain.key.connection).status(domain.key.uuid)
            if status and status.windows:
                windows[domain.name] = status.windows
        return what_ends(windows)

    async def _each(self, domains: Sequence[Domain], act: Callable[[DomainKey], Awaitable[object]]) -> None:
        """Do *act* to all at once; each failure is shown by itself."""
        await asyncio.gather(*(self._guarded(act(domain.key)) for domain in domains))

    async def _guarded(self, work: Awaitable[object]) -> None:
        """Do *work*; its failure is shown."""
        try:
            await work
        except ShutdownTimedOut as error:
            self._offer_kill(error)
        except QubesManagerError as error:
            self.show_error(error)

    async def _start(self, key: DomainKey) -> None:
        """Start a domain; ask for its passphrase as often as it takes."""
        passphrase = ""
        while True:
            try:
                await self._services.lifecycle.start(key, passphrase)
                return
            except PassphraseNeeded as error:
                dialog = PassphraseDialog(self._window, self._services.store.require(key).name, str(error))
                if await finished(dialog) != QDialog.DialogCode.Accepted:
                    return
                passphrase = dialog.passphrase.text()

    async def _clone(self, domain: Domain) -> None:
        services, uri = self._services, domain.key.connection
        taken = {other.name for other in services.store.of_host(uri)}
        dialog = NameDialog(self._window, f"Clone {domain.name}", "Clone", f"{domain.name}-copy", taken.__contains__)
        if await finished(dialog) != QDialog.DialogCode.Accepted:
            return
        name = dialog.name.text()
        await self._jobs.run(
            f"Cloning “{domain.name}”",
            lambda progress: services.cloning.clone(domain.key, name, progress=progress),
            cancellable=False,
        )

    async def _update_tools(self, key: DomainKey) -> None:
        name = self._services.store.require(key).name
        await self._jobs.run(
            f"Updating the guest tools of “{name}”", lambda progress: self._services.guest_tools.update(key, progress)
        )

    async def _show_volumes(self, domain: Domain) -> None:
        services = self._services
        dialog = VolumesDialog(
            self._window,
            domain,
            lambda: services.store.get(domain.key),
            services.volumes,
            services.roots,
            self._jobs,
            self._tasks.spawn,
        )
        await finished(dialog)

    async def _delete(self, domains: Sequence[Domain]) -> None:
        for domain in in_removal_order(domains):
            await self._each([domain], self._services.removal.remove)

    async def _shutdown(self, key: DomainKey) -> None:
        if self._services.store.require(key).is_disposable:
            # There is nothing that its programs could keep.
            await self._services.disposables.end(key)
            return
        await self._services.lifecycle.shutdown(key, SHUTDOWN_PATIENCE)

    async def _restart(self, key: DomainKey) -> None:
        await self._services.lifecycle.restart(key, SHUTDOWN_PATIENCE)

    def _offer_kill(self, error: ShutdownTimedOut) -> None:
        """Offer to wait on, or to kill."""
        domain = self._services.store.get(error.key)
        if domain is None:
            return

        async def wait(key: DomainKey) -> None:
            await self._services.lifecycle.wait_halted(key, SHUTDOWN_PATIENCE)

        self._state_messages.show(
            error.key,
            lambda now: now.state.is_active,
            Level.WARNING,
            f"“{domain.name}” has not shut down yet. Its programs may be asking something, or hang.",
            [
                ("Wait", lambda: self._tasks.spawn(self._each([domain], wait))),
                ("Kill…", lambda: self.trigger("kill", [domain])),
            ],
        )

    async def _toggle_autostart(self, domains: Sequence[Domain]) -> None:
        wanted = not is_on("autostart", domains)
        await self._each(domains, lambda key: self._services.properties.set_autostart(key, wanted))

    async def _toggle_mute(self, domains: Sequence[Domain]) -> None:
        wanted = not is_on("mute", domains)
        await self._each(domains, lambda key: self._services.properties.set_muted(key, wanted))

    async def _rename(self, _domains: Sequence[Domain]) -> None:
        self._edit_name()

    async def _show_logs(self, domain: Domain) -> None:
        viewer = LogViewer(
            self._window,
            self._services.logs,
            self._services.clipboards,
            self._tasks.spawn,
            None if domain.is_host else domain,
            domain.key.connection,
        )
        await finished(viewer)

    async def _show_devices(self, domain: Domain) -> None:
        self.show_devices(domain)

    async def _show_run(self, domains: Sequence[Domain]) -> None:
        await finished(RunDialog(self._window, self._services.commands, domains, self._tasks.spawn))

    async def _show_firewall(self, domain: Domain) -> None:
        firewalls, key = self._services.firewalls, domain.key
        shown = firewalls.of(key)
        dialog = FirewallDialog(
            self._window, domain.name, shown, firewalls.look_up, lambda: firewalls.state(key), self._tasks.spawn
        )
        if await finished(dialog) != QDialog.DialogCode.Accepted or (wanted := dialog.firewall) == shown:
            return

        def change(now: Firewall) -> Firewall:
            if now != shown:
                raise Overtaken(f"the rules of “{domain.name}” have been changed since you looked; look again")
            return wanted

        if note := await firewalls.change(key, change):
            self._messages.show_message(Level.WARNING, note[:1].upper() + note[1:])

    async def _show_settings(self, domain: Domain) -> None:
        services, uri = self._services, domain.key.connection
        # What the next start uses: while it runs, the row shows what this one was started with.
        domain, networks, options, most_vcpus, dispvm = await asyncio.gather(
            services.properties.stored(domain.key),
            network_choices(services.hosts, services.store, uri, domain),
            services.gui_settings.load(),
            services.properties.most_vcpus(domain.key),
            asyncio.to_thread(services.defaults.get, "default_dispvm"),
        )
        others = services.store.of_host(uri)
        dialog = SettingsDialog(self._window, domain, others, networks, options, most_vcpus, dispvm)
        dialog.policy.clicked.connect(lambda: self.policy.start(dialog, lambda: uri))
        if await finished(dialog) != QDialog.DialogCode.Accepted:
            return
        if dialog.changes_fullscreen:
            await services.gui_settings.put({FULLSCREEN: dialog.fullscreen.currentData()}, domain)
        for change in dialog.changes(services.properties):
            # One that fails keeps none of the others from being made.
            await self._guarded(change())
