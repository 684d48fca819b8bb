"""The panel of applications: a tree grouped by domain, with a search field."""

from collections.abc import Callable
from functools import partial

from PySide6.QtCore import QModelIndex, QPoint, QSize, Qt, Signal
from PySide6.QtGui import QAction, QDropEvent
from PySide6.QtWidgets import (
    QAbstractItemView,
    QLineEdit,
    QMenu,
    QStackedWidget,
    QTreeView,
    QVBoxLayout,
    QWidget,
)

from qubes_manager.core.domain import Domain, DomainKey
from qubes_manager.models.applications_model import ApplicationsModel, Entry
from qubes_manager.ui.look.dragged_files import DraggedFiles
from qubes_manager.ui.look.file_drops import FileDrops
from qubes_manager.ui.look.icons import icon
from qubes_manager.ui.look.plain import PlainLabel, menu_text

_EMPTY = (
    "No applications yet.\n\nStart a domain that was made from a template with windows: what it has to offer appears "
    "here, and in the menu of your desktop."
)
_NOTHING = "No application fits."
# Above this many groups nobody wants all of them open.
_FEW = 12
# Pixels; the table needs the room.
_WIDTH = 230


class _Tree(FileDrops, QTreeView):
    """Takes files where disposables are offered."""

    files_dropped = Signal(DraggedFiles, object, QPoint)

    def __init__(self, model: ApplicationsModel) -> None:
        super().__init__()
        self._applications = model
        self.setModel(model)
        self.setAcceptDrops(True)

    def file_target(self, event: QDropEvent) -> Domain | None:
        return self._applications.disposables_of(self.indexAt(event.position().toPoint()))

    def take_files(self, dragged: DraggedFiles, target: Domain, event: QDropEvent) -> None:
        self.files_dropped.emit(dragged, target, self.viewport().mapToGlobal(event.position().toPoint()))


class ApplicationsPanel(QWidget):
    """Says what the user chose by its signals; *menu_for* gives further actions for a domain's context menu."""

    launch = Signal(object)
    favourite = Signal(object)
    # Files as they were dragged, what the disposable is to be made of, and whether nothing is to come back.
    open_files = Signal(object, object, bool)

    def __init__(self, model: ApplicationsModel, menu_for: Callable[[Domain], list[QAction]]) -> None:
        super().__init__()
        self._model = model
        self._menu_for = menu_for
        self._closed: set[DomainKey] = set()
        self.search = QLineEdit()
        self.search.setPlaceholderText("Search applications")
        self.search.setAccessibleName("Search applications")
        self.search.setClearButtonEnabled(True)
        self.search.textChanged.connect(model.set_search)
        self.search.returnPressed.connect(self._launch_first)
        self.tree = _Tree(model)
        self.tree.files_dropped.connect(self._ask_how_to_open)
        self.tree.setHeaderHidden(True)
        self.tree.setUniformRowHeights(True)
        self.tree.setEditTriggers(QAbstractItemView.EditTrigger.NoEditTriggers)
        self.tree.setContextMenuPolicy(Qt.ContextMenuPolicy.CustomContextMenu)
        self.tree.setAccessibleName("Applications by domain")
        self.tree.activated.connect(self._activated)
        self.tree.customContextMenuRequested.connect(self._show_menu)
        self.tree.collapsed.connect(lambda index: self._remember(index, closed=True))
        self.tree.expanded.connect(lambda index: self._remember(index, closed=False))
        self._empty = _EMPTY
        self._hint = PlainLabel(_EMPTY)
        self._hint.setWordWrap(True)
        self._hint.setAlignment(Qt.AlignmentFlag.AlignCenter)
        self._hint.setMargin(16)
        self._pages = QStackedWidget()
        self._pages.addWidget(self.tree)
        self._pages.addWidget(self._hint)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(4, 4, 4, 4)
        layout.addWidget(self.search)
        layout.addWidget(self._pages, 1)
        self.setMinimumWidth(120)
        model.modelReset.connect(self._after_reset)
        self._after_reset()

    def tell_trouble(self, trouble: str) -> None:
        """Promise no windows where they cannot be shown; *trouble* says why."""
        self._empty = f"Windows of applications cannot be shown here.\n\n{trouble}"
        self._after_reset()

    def sizeHint(self) -> QSize:
        return QSize(_WIDTH, super().sizeHint().height())

    def _after_reset(self) -> None:
        """Open the groups that the user had not closed; all of them while something is searched."""
        searching = bool(self.search.text().strip())
        self._hint.setText(_NOTHING if searching else self._empty)
        self._pages.setCurrentWidget(self.tree if self._model.groups else self._hint)
        self.tree.blockSignals(True)
        for row, group in enumerate(self._model.groups):
            few = len(self._model.groups) <= _FEW
            closed = group.domain is not None and (group.domain.key in self._closed or not few)
            self.tree.setExpanded(self._model.index(row, 0), searching or not closed)
        self.tree.blockSignals(False)

    def _remember(self, index: QModelIndex, *, closed: bool) -> None:
        domain = self._model.domain(index)
        if domain and not self.search.text().strip():
            (self._closed.add if closed else self._closed.discard)(domain.key)

    def _activated(self, index: QModelIndex) -> None:
        if entry := self._model.entry(index):
            self.launch.emit(entry)

    def _launch_first(self) -> None:
        """Return in the search field starts what is found first."""
        if self._model.groups and len(self._model.groups[0]):
            self.launch.emit(self._model.groups[0].entry(0))
            self.search.clear()

    def _show_menu(self, place: QPoint) -> None:
        index = self.tree.indexAt(place)
        domain = self._model.domain(index)
        if domain is None:
            return
        menu = QMenu(self)
        menu.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        if entry := self._model.entry(index):
            self._add_entry_actions(menu, entry)
        menu.addActions(self._menu_for(domain))
        menu.popup(self.tree.viewport().mapToGlobal(place))

    def _ask_how_to_open(self, dragged: DraggedFiles, template: Domain, place: QPoint) -> None:
        menu = QMenu(self)
        menu.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        where = menu_text(f"in a new disposable of {template.name}")
        menu.addAction(f"View {where}: nothing comes back", partial(self.open_files.emit, dragged, template, True))
        if dragged.source is None:
            # A domain takes its own files back, by “Edit in disposable” there.
            menu.addAction(f"Edit {where}: changes come back", partial(self.open_files.emit, dragged, template, False))
        menu.addSeparator()
        menu.addAction("Cancel")
        menu.popup(place)

    def _add_entry_actions(self, menu: QMenu, entry: Entry) -> None:
        menu.addAction(icon("start"), "Start", lambda: self.launch.emit(entry))
        if entry.in_disposable:
            menu.addSeparator()
            return
        text = "Take out of the favourites" if entry.is_favourite else "Put among the favourites"
        menu.addAction(icon("favourite"), text, lambda: self.favourite.emit(entry))
        menu.addSeparator()
