"""The manager's window."""

from collections.abc import Sequence

from PySide6.QtCore import QEvent, QPoint, Qt, Signal
from PySide6.QtGui import QAction, QCloseEvent
from PySide6.QtWidgets import (
    QComboBox,
    QDockWidget,
    QLabel,
    QLineEdit,
    QMainWindow,
    QMenu,
    QStackedWidget,
    QToolBar,
    QVBoxLayout,
    QWidget,
)

from qubes_manager.core.domain import DomainKey
from qubes_manager.core.settings import APPEARANCES, Settings
from qubes_manager.models.domain_columns import COLUMN_INDEX, COLUMNS
from qubes_manager.models.domain_filter import FILTERS, TableFilter
from qubes_manager.models.domain_table import DomainTableModel
from qubes_manager.services.assembly import Services
from qubes_manager.services.crossing.clipboard import ClipboardContent
from qubes_manager.services.hosts.store import Batch, HostPhase, HostStatus
from qubes_manager.ui.actions import DOMAIN_ACTIONS, WINDOW_ACTIONS, ActionSet, Menu
from qubes_manager.ui.applications.applications_dock import ApplicationsDock
from qubes_manager.ui.commands.domain_commands import DomainCommands
from qubes_manager.ui.commands.window_commands import WindowCommands
from qubes_manager.ui.feedback.confirm import Confirmation
from qubes_manager.ui.feedback.empty_state import EmptyState
from qubes_manager.ui.feedback.jobs import Jobs
from qubes_manager.ui.feedback.message_bar import Level, MessageBar
from qubes_manager.ui.feedback.tasks import Tasks
from qubes_manager.ui.look.icons import decoration, icon, program_icon
from qubes_manager.ui.look.theme import set_appearance
from qubes_manager.ui.menus import ChoiceMenu, add_at_end, fill_menu, fill_menu_bar, fill_tool_bar, label_menu
from qubes_manager.ui.table.details_pane import DetailsPane
from qubes_manager.ui.table.domain_view import DomainView

_NO_DOMAINS = (
    "A domain is a virtual machine for one of your activities: work, personal, things you do not trust. "
    "The assistant makes a template and the first three from it; or make one from a disk image or an ISO, "
    "or try three small demo domains first."
)


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
        # Whether the assistant opens by itself, the first time that there is no domain.
        self.offer_setup = True
        self.messages = MessageBar()
        self.tasks = Tasks(self.messages.show_error)
        self.model = DomainTableModel(decoration)
        self.view = DomainView(self.model)
        self.details = DetailsPane()
        confirmation = Confirmation(self, set(settings.unasked))
        self._confirmation = confirmation
        jobs = Jobs(self.messages)
        self.commands = DomainCommands(
            self, services, self.tasks, self.messages, confirmation, jobs, lambda: self.view.edit_name()
        )
        self.window_commands = WindowCommands(
            self,
            services,
            self.tasks,
            self.messages,
            jobs,
            self.commands,
            self.view,
            focus_search=self._focus_search,
            quit_program=self.quit_requested.emit,
        )
        self.domain_actions = ActionSet(
            self, DOMAIN_ACTIONS, lambda action: self.commands.trigger(action, self.view.selected_domains())
        )
        self.window_actions = ActionSet(self, WINDOW_ACTIONS, self.window_commands.trigger)
        self.search = self._make_search()
        self.filter_box = self._make_filter_box()
        self._build_toolbar()
        self._build_centre()
        self._build_details()
        self.applications = ApplicationsDock(self, services, self.commands.apps, self.commands.trigger)
        self.resizeDocks([self.applications], [self.applications.sizeHint().width()], Qt.Orientation.Horizontal)
        self._build_menus()
        self._build_status()
        self._connect()
        self._restore()

    # Building.

    def _make_search(self) -> QLineEdit:
        search = QLineEdit()
        search.setPlaceholderText("Search (Ctrl+F)")
        search.setAccessibleName("Search domains")
        search.setClearButtonEnabled(True)
        self._search_picture = QAction(icon("search"), "Search", search)
        search.addAction(self._search_picture, QLineEdit.ActionPosition.LeadingPosition)
        search.setMaximumWidth(260)
        return search

    def _make_filter_box(self) -> QComboBox:
        box = QComboBox()
        box.setAccessibleName("Filter")
        box.setToolTip("Which domains the table shows")
        for named in FILTERS.values():
            box.addItem(named.text, named.id)
        return box

    def _build_toolbar(self) -> None:
        self.toolbar = QToolBar("Tool bar")
        self.toolbar.setObjectName("toolbar")
        self.toolbar.setMovable(False)
        fill_tool_bar(self.toolbar, self.window_actions, self.domain_actions)
        add_at_end(self.toolbar, self.filter_box, self.search)
        self.addToolBar(self.toolbar)

    def _build_centre(self) -> None:
        actions = self.window_actions
        self._empty = EmptyState("No domains yet", _NO_DOMAINS, [actions["assistant"], actions["new"], actions["demo"]])
        reset = QAction(icon("close"), "Show all domains", self)
        reset.triggered.connect(self._show_all)
        self._nothing = EmptyState(
            "No domain fits", "Change the search text or the filter to see more.", [reset], picture=False
        )
        self._connecting = EmptyState("Connecting…", "Waiting for libvirt.", [])
        self.pages = QStackedWidget()
        for page in (self._connecting, self.view, self._empty, self._nothing):
            self.pages.addWidget(page)
        centre = QWidget()
        layout = QVBoxLayout(centre)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(0)
        layout.addWidget(self.messages)
        layout.addWidget(self.pages, 1)
        self.setCentralWidget(centre)

    def _build_details(self) -> None:
        self.dock = QDockWidget("Details")
        self.dock.setObjectName("details")
        self.dock.setWidget(self.details)
        self.dock.setFeatures(QDockWidget.DockWidgetFeature.DockWidgetClosable)
        self.addDockWidget(Qt.DockWidgetArea.RightDockWidgetArea, self.dock)

    def _build_menus(self) -> None:
        labels = label_menu(self, lambda label: self.commands.set_label(label, self.view.selected_domains()))
        self.domain_actions["label"].setMenu(labels)
        self._filters = ChoiceMenu({f.id: f.text for f in FILTERS.values()}, self)
        self._appearances = ChoiceMenu({name: name.capitalize() for name in APPEARANCES}, self)
        self.window_actions["filter"].setMenu(self._filters)
        self.window_actions["columns"].setMenu(self.view.columns_menu(self))
        self.window_actions["appearance"].setMenu(self._appearances)
        fill_menu_bar(self.menuBar(), self.window_actions, self.domain_actions)
        self._context_menu = QMenu("Domain", self)
        fill_menu(self._context_menu, self.domain_actions, Menu.DOMAIN)

    def _build_status(self) -> None:
        self.counts = QLabel()
        self.clipboard_note = QLabel()
        self.statusBar().addWidget(self.counts)
        self.statusBar().addPermanentWidget(self.clipboard_note)

    def _connect(self) -> None:
        services = self._services
        services.store.on_batch(self._apply)
        services.store.on_host(self._host_changed)
        services.clipboard.on_change(self._clipboard_changed)
        self.view.visible_changed.connect(self._visible_changed)
        self.view.selection_changed.connect(self._selection_changed)
        self.view.customContextMenuRequested.connect(self._show_context_menu)
        self.view.doubleClicked.connect(lambda _index: self.commands.trigger("settings", self.view.selected_domains()))
        self.model.rename_requested.connect(self.commands.rename)
        self.model.rowsInserted.connect(lambda *_: self._choose_page())
        self.model.rowsRemoved.connect(lambda *_: self._choose_page())
        self.model.modelReset.connect(self._choose_page)
        self.search.textChanged.connect(lambda _text: self._filter())
        self.search.returnPressed.connect(self.view.setFocus)
        self._filters.picked.connect(self._set_filter)
        self.filter_box.activated.connect(lambda index: self._set_filter(self.filter_box.itemData(index)))
        self._appearances.picked.connect(set_appearance)
        self.window_actions["toolbar"].toggled.connect(self.toolbar.setVisible)
        for name, dock in (("details", self.dock), ("applications", self.applications)):
            self.window_actions[name].toggled.connect(dock.setVisible)
            dock.visibilityChanged.connect(lambda shown, name=name: self._dock_shown(name, shown))

    def _restore(self) -> None:
        settings = self._settings
        if settings.columns:
            self.view.apply_columns(settings.columns)
        column = COLUMN_INDEX.get(settings.sort_column, COLUMN_INDEX["name"])
        order = Qt.SortOrder.DescendingOrder if settings.sort_descending else Qt.SortOrder.AscendingOrder
        self.view.horizontalHeader().setSortIndicator(column, order)
        self.view.setSortingEnabled(True)
        self._appearances.choose(settings.appearance)
        self.window_actions["toolbar"].setChecked(settings.show_toolbar)
        self.toolbar.setVisible(settings.show_toolbar)
        self.window_actions["details"].setChecked(settings.show_details)
        self.dock.setVisible(settings.show_details)
        self.window_actions["applications"].setChecked(settings.show_applications)
        self.applications.setVisible(settings.show_applications)
        set_appearance(settings.appearance)
        self._set_filter(settings.filter)
        self._selection_changed()
        self.view.setFocus()

    # What the services say.

    def _apply(self, batch: Batch) -> None:
        self.model.apply(batch)
        chosen = {domain.key for domain in self.view.selected_domains()}
        if chosen and any(domain.key in chosen for domain in batch.changed):
            self._selection_changed()
        self._choose_page()

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
        self._choose_page()

    def _clipboard_changed(self, content: ClipboardContent | None) -> None:
        self.clipboard_note.setText(
            f"Inter-domain clipboard: {content.size:,} bytes from {content.source}" if content else ""
        )
        self.window_actions["wipe-clipboard"].setEnabled(content is not None)

    def _choose_page(self) -> None:
        domains = sum(not key.uuid.startswith("00000000-0000-0000-0000-000000000000") for key in self._keys())
        self.counts.setText(f"{domains:,} domain{'' if domains == 1 else 's'}, {self.model.rowCount():,} rows shown")
        phases = {status.phase for status in self._services.store.hosts.values()}
        if not domains and HostPhase.CONNECTED in phases and not self._settings.setup_offered and self.offer_setup:
            self._settings.setup_offered = True
            self.window_actions["assistant"].trigger()
        if not self.model.total and phases <= {HostPhase.CONNECTING}:
            page: QWidget = self._connecting
        elif not domains and HostPhase.CONNECTED in phases:
            page = self._empty
        elif not self.model.rowCount() and self.model.total:
            page = self._nothing
        else:
            page = self.view
        self.pages.setCurrentWidget(page)

    def _keys(self) -> Sequence[DomainKey]:
        return list(self._services.store.domains)

    # What the user does.

    def _focus_search(self) -> None:
        self.search.setFocus()
        self.search.selectAll()

    def _set_filter(self, filter_id: str) -> None:
        """Choose a named filter; menu and tool bar show the same one."""
        self._filters.choose(filter_id)
        self.filter_box.setCurrentIndex(self.filter_box.findData(filter_id))
        self._filter()

    def _filter(self) -> None:
        self.model.set_filter(TableFilter.of(self._filters.chosen, self.search.text()))
        self._choose_page()

    def _dock_shown(self, name: str, shown: bool) -> None:
        # A window that is hidden hides its docks too, which says nothing about what the user wants.
        if self.isVisible():
            self.window_actions[name].setChecked(shown)

    def _show_all(self) -> None:
        self.search.clear()
        self._set_filter("all")

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
        header = self.view.horizontalHeader()
        return Settings(
            connections=self._settings.connections,
            appearance=self._appearances.chosen or "system",
            columns=self.view.column_settings(),
            sort_column=COLUMNS[header.sortIndicatorSection()].id,
            sort_descending=header.sortIndicatorOrder() is Qt.SortOrder.DescendingOrder,
            filter=self._filters.chosen or "all",
            unasked=sorted(self._confirmation.unasked),
            window_width=self.width(),
            window_height=self.height(),
            show_details=self.window_actions["details"].isChecked(),
            show_applications=self.window_actions["applications"].isChecked(),
            show_toolbar=self.window_actions["toolbar"].isChecked(),
            setup_offered=self._settings.setup_offered,
        )

    # Qt's own events.

    def changeEvent(self, event: QEvent) -> None:
        super().changeEvent(event)
        if event.type() == QEvent.Type.WindowStateChange:
            self._visible_changed(self.view.visible_keys())
        elif event.type() == QEvent.Type.PaletteChange and hasattr(self, "window_actions"):
            self._search_picture.setIcon(icon("search"))
            self.domain_actions.recolour()
            self.window_actions.recolour()

    def closeEvent(self, event: QCloseEvent) -> None:
        event.accept()
        self.quit_requested.emit()
