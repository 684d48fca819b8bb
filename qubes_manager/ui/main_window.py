"""The manager's window."""

from collections.abc import Sequence

from PySide6.QtCore import QEvent, QPoint, Qt, QTimer, Signal
from PySide6.QtGui import QCloseEvent
from PySide6.QtWidgets import QDockWidget, QMainWindow, QMenu, QToolBar, QVBoxLayout, QWidget

from qubes_manager.core.crossing.transfer_words import how_far, title
from qubes_manager.core.domain import Domain, DomainKey
from qubes_manager.core.settings import APPEARANCES, Settings
from qubes_manager.models.domain_columns import COLUMN_INDEX
from qubes_manager.models.domain_filter import TableFilter
from qubes_manager.models.domain_table import DomainTableModel
from qubes_manager.services.assembly import Services
from qubes_manager.services.crossing.clipboard import Held
from qubes_manager.services.hosts.store import Batch, HostPhase, HostStatus
from qubes_manager.ui.actions import DOMAIN_ACTIONS, WINDOW_ACTIONS, ActionSet, Menu
from qubes_manager.ui.applications.applications_dock import ApplicationsDock
from qubes_manager.ui.commands.domain_commands import DomainCommands
from qubes_manager.ui.commands.window_commands import WindowCommands
from qubes_manager.ui.devices.devices_dock import DevicesDock
from qubes_manager.ui.feedback.confirm import Confirmation
from qubes_manager.ui.feedback.jobs import Jobs
from qubes_manager.ui.feedback.message_bar import Level, MessageBar
from qubes_manager.ui.feedback.tasks import Tasks
from qubes_manager.ui.feedback.transfer_bars import TransferBars
from qubes_manager.ui.look.dragged_files import DraggedFiles
from qubes_manager.ui.look.icons import decoration, program_icon
from qubes_manager.ui.look.plain import PlainLabel
from qubes_manager.ui.look.theme import set_appearance
from qubes_manager.ui.menus import ChoiceMenu, add_at_end, fill_menu, fill_menu_bar, fill_tool_bar, label_menu
from qubes_manager.ui.table.details_pane import DetailsPane
from qubes_manager.ui.table.domain_view import DomainView
from qubes_manager.ui.table.filter_controls import FilterControls
from qubes_manager.ui.table.table_pages import TablePages
from qubes_manager.ui.window_state import WindowState

# Milliseconds after which the age of what is on the clipboard is said anew.
_AGE_MS = 5000


class MainWindow(QMainWindow):
    """Table, tool bar, menus, messages and details, over the services that it is given.

    ``quit_requested`` says that the user has had enough; the program then ends in its own order.
    """

    quit_requested = Signal()

    def __init__(self, services: Services, settings: Settings) -> None:
        super().__init__()
        self.setWindowTitle("Qubes Manager")
        self.setWindowIcon(program_icon())
        self.resize(settings.window_width, settings.window_height)
        self._services = services
        self._settings = settings
        self.messages = MessageBar()
        self.crossing = MessageBar()
        self.tasks = Tasks(lambda error: self.commands.show_error(error))
        self.model = DomainTableModel(decoration)
        self.view = DomainView(self.model)
        self.filter = FilterControls(self)
        self.appearances = ChoiceMenu({name: name.capitalize() for name in APPEARANCES}, self)
        confirmation = Confirmation(self, set(settings.unasked))
        self._make_commands(confirmation)
        self.pages = TablePages(self.view, self.model, services.store, self.window_actions, settings)
        self._build_toolbar()
        self._build_centre()
        self._build_docks()
        self._build_menus()
        self._build_status()
        self._connect()
        self._state = WindowState(
            self,
            self.view,
            self.filter,
            self.appearances,
            confirmation,
            self.window_actions,
            {
                "toolbar": self.toolbar,
                "details": self.dock,
                "applications": self.applications,
                "devices-page": self.devices,
            },
        )
        self._state.restore(settings)
        self._selection_changed()
        self.view.setFocus()

    # Building.

    def _make_commands(self, confirmation: Confirmation) -> None:
        services, tasks, messages = self._services, self.tasks, self.messages
        self._jobs = jobs = Jobs(messages)
        self.commands = DomainCommands(
            self,
            services,
            tasks,
            messages,
            confirmation,
            jobs,
            self.view.edit_name,
            show_devices=lambda domain: self.devices.open_for(domain),
        )
        self.window_commands = WindowCommands(
            self,
            services,
            tasks,
            messages,
            jobs,
            self.commands,
            self.view,
            focus_search=self.filter.focus_search,
            quit_program=self.quit_requested.emit,
            add_image=lambda: self.devices.add_image(),
        )
        self.domain_actions = ActionSet(self, DOMAIN_ACTIONS, self._trigger_for_selected)
        self.window_actions = ActionSet(self, WINDOW_ACTIONS, self.window_commands.trigger)
        self._transfer_bars = TransferBars(
            self.crossing,
            self.window_commands.transfers,
            services.file_copies.is_own,
            tasks.spawn,
            self.window_actions["transfers"].trigger,
        )

    def _build_toolbar(self) -> None:
        self.toolbar = QToolBar("Tool bar")
        self.toolbar.setObjectName("toolbar")
        self.toolbar.setMovable(False)
        fill_tool_bar(self.toolbar, self.window_actions, self.domain_actions)
        add_at_end(self.toolbar, self.filter.box, self.filter.search)
        self.addToolBar(self.toolbar)

    def _build_centre(self) -> None:
        centre = QWidget()
        layout = QVBoxLayout(centre)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(0)
        layout.addWidget(self.messages)
        layout.addWidget(self.crossing)
        layout.addWidget(self.pages, 1)
        self.setCentralWidget(centre)

    def _build_docks(self) -> None:
        self.details = DetailsPane()
        self.dock = QDockWidget("Details")
        self.dock.setObjectName("details")
        self.dock.setWidget(self.details)
        self.dock.setFeatures(QDockWidget.DockWidgetFeature.DockWidgetClosable)
        self.addDockWidget(Qt.DockWidgetArea.RightDockWidgetArea, self.dock)
        self.applications = ApplicationsDock(self, self._services, self.commands.apps, self.commands.trigger)
        page, image = (self.window_actions[name] for name in ("all-devices", "add-image"))
        self.devices = DevicesDock(self, self._services, self.tasks, self.messages, self._jobs, page, image)
        # The applications stay beside the table and the devices.
        self.setCorner(Qt.Corner.BottomLeftCorner, Qt.DockWidgetArea.LeftDockWidgetArea)
        self.resizeDocks([self.applications], [self.applications.sizeHint().width()], Qt.Orientation.Horizontal)

    def _build_menus(self) -> None:
        labels = label_menu(self, lambda label: self.commands.set_label(label, self.view.selected_domains()))
        self.domain_actions["label"].setMenu(labels)
        self.window_actions["filter"].setMenu(self.filter.menu)
        self.window_actions["columns"].setMenu(self.view.columns_menu(self))
        self.window_actions["appearance"].setMenu(self.appearances)
        self.window_actions["device-list"].setMenu(self.devices.menu())
        fill_menu_bar(self.menuBar(), self.window_actions, self.domain_actions)
        self._context_menu = QMenu("Domain", self)
        fill_menu(self._context_menu, self.domain_actions, Menu.DOMAIN)
        self.devices.add_domain_menu(self._context_menu, self.domain_actions["devices"], self.view.selected_domains)

    def _build_status(self) -> None:
        self.counts = PlainLabel()
        self.transfer_note = PlainLabel()
        self.clipboard_note = PlainLabel()
        self.statusBar().addPermanentWidget(self.transfer_note)
        self.statusBar().addWidget(self.counts)
        self.statusBar().addPermanentWidget(self.clipboard_note)
        self._clipboard_timer = QTimer(self, interval=_AGE_MS)
        self._clipboard_timer.timeout.connect(lambda: self._clipboard_changed(self._services.clipboards.held))

    def _connect(self) -> None:
        services = self._services
        services.store.on_batch(self._apply)
        services.store.on_host(self._host_changed)
        services.clipboards.changed.connect(self._clipboard_changed)
        self._clipboard_changed(None)
        self.window_commands.transfers.changed.connect(self._transfers_changed)
        self.view.files_dropped.connect(self._files_dropped)
        self.view.device_dropped.connect(lambda device, target: self.devices.drop(device, target.key))
        self.applications.panel.open_files.connect(self._open_in_disposable)
        self.view.visible_changed.connect(self._visible_changed)
        self.view.selection_changed.connect(self._selection_changed)
        self.view.customContextMenuRequested.connect(self._show_context_menu)
        self.view.doubleClicked.connect(lambda _index: self._trigger_for_selected("settings"))
        self.model.rename_requested.connect(self.commands.rename)
        self.model.rowsInserted.connect(lambda *_: self._rows_changed())
        self.model.rowsRemoved.connect(lambda *_: self._rows_changed())
        self.model.modelReset.connect(self._rows_changed)
        self.filter.changed.connect(self._set_filter)
        self.filter.search.returnPressed.connect(self.view.setFocus)
        self.pages.show_all_wanted.connect(self.filter.show_all)
        self.appearances.picked.connect(set_appearance)
        self.window_actions["waiting"].toggled.connect(self.filter.show_waiting)
        self.window_actions["toolbar"].toggled.connect(self.toolbar.setVisible)
        docks = (("details", self.dock), ("applications", self.applications), ("devices-page", self.devices))
        for name, dock in docks:
            self.window_actions[name].toggled.connect(dock.setVisible)
            dock.visibilityChanged.connect(lambda shown, name=name: self._dock_shown(name, shown))

    # What the services say.

    def _apply(self, batch: Batch) -> None:
        self.model.apply(batch)
        chosen = {domain.key for domain in self.view.selected_domains()}
        if chosen and any(domain.key in chosen for domain in batch.changed):
            self._selection_changed()
        self._rows_changed()

    def _host_changed(self, status: HostStatus) -> None:
        key = f"host-{status.uri}"
        if status.phase is HostPhase.DISCONNECTED:
            text = status.message[:1].upper() + status.message[1:]
            retry = ("Retry", lambda: self._services.hosts.retry(status.uri))
            self.messages.show_message(Level.WARNING, text, details=status.details, buttons=[retry], key=key)
        elif status.phase is HostPhase.CONNECTED:
            self.messages.dismiss(key)
        many = len(self._services.store.hosts) > 1
        if many:
            self.view.setColumnHidden(COLUMN_INDEX["host"], False)
        self._rows_changed()

    def _clipboard_changed(self, held: Held | None) -> None:
        self.clipboard_note.setText(f"Inter-domain clipboard: {held.sentence}" if held else "")
        for action in ("paste-to", "take-clipboard", "wipe-clipboard"):
            self.window_actions[action].setEnabled(held is not None)
        # Its age is said too.
        if held:
            self._clipboard_timer.start()
        else:
            self._clipboard_timer.stop()

    def _transfers_changed(self) -> None:
        running = [status for _link, status in self.window_commands.transfers.running]
        first = f"{title(running[0])}, {how_far(running[0])}" if running else ""
        more = f" (and {len(running) - 1} more)" if len(running) > 1 else ""
        self.transfer_note.setText(f"{first}{more}")

    def _open_in_disposable(self, dragged: DraggedFiles, template: Domain, view_only: bool) -> None:
        self.tasks.spawn(self.commands.files.open_dropped(dragged, template.key, view_only=view_only))

    def _files_dropped(self, dragged: DraggedFiles, target: Domain) -> None:
        self.tasks.spawn(self.commands.files.drop(dragged, target))

    def _rows_changed(self) -> None:
        waiting = self.model.waiting
        guests = self._services.store.guest_count - waiting
        ready = f", {waiting} disposable{'' if waiting == 1 else 's'} kept ready" if waiting else ""
        shown = f"{self.model.rowCount():,} rows shown"
        self.counts.setText(f"{guests:,} domain{'' if guests == 1 else 's'}, {shown}{ready}")
        self.pages.choose()

    # What the user does.

    def _trigger_for_selected(self, action_id: str) -> None:
        self.commands.trigger(action_id, self.view.selected_domains())

    def _set_filter(self, wanted: TableFilter) -> None:
        self.model.set_filter(wanted)
        self._rows_changed()

    def _dock_shown(self, name: str, shown: bool) -> None:
        # A window that is hidden hides its docks too, which says nothing about what the user wants.
        if self.isVisible():
            self.window_actions[name].setChecked(shown)

    def _visible_changed(self, keys: Sequence[DomainKey]) -> None:
        self._services.hosts.set_visible(keys)
        shown = self.isVisible() and not self.isMinimized()
        self._services.poller.show(keys if shown else [])

    def _selection_changed(self) -> None:
        domains = self.view.selected_domains()
        self.domain_actions.enable_for(domains)
        self.details.show_domains(domains)

    def _show_context_menu(self, place: QPoint) -> None:
        if self.view.selected_domains():
            self._context_menu.popup(self.view.viewport().mapToGlobal(place))

    def raise_window(self) -> None:
        """Come to the front."""
        if self.isMinimized():
            self.showNormal()
        self.show()
        self.raise_()
        self.activateWindow()

    def current_settings(self) -> Settings:
        """The settings as the user has them now."""
        return self._state.collect(self._settings)

    # Qt's own events.

    def changeEvent(self, event: QEvent) -> None:
        super().changeEvent(event)
        if event.type() == QEvent.Type.WindowStateChange:
            self._visible_changed(self.view.visible_keys())
        elif event.type() == QEvent.Type.PaletteChange and hasattr(self, "window_actions"):
            self.filter.recolour()
            self.devices.recolour()
            self.pages.recolour()
            self.domain_actions.recolour()
            self.window_actions.recolour()

    def closeEvent(self, event: QCloseEvent) -> None:
        event.accept()
        self.quit_requested.emit()
