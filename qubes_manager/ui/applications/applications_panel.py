"""The panel of applications: a tree grouped by domain, with a search field."""

from collections.abc import Callable

from PySide6.QtCore import QModelIndex, QPoint, QSize, Qt, Signal
from PySide6.QtGui import QAction
from PySide6.QtWidgets import (
    QAbstractItemView,
    QLabel,
    QLineEdit,
    QMenu,
    QStackedWidget,
    QTreeView,
    QVBoxLayout,
    QWidget,
)

from qubes_manager.core.domain import Domain, DomainKey
from qubes_manager.models.applications_model import ApplicationsModel, Entry
from qubes_manager.ui.look.icons import icon

_EMPTY = (
    "No applications yet.\n\nStart a domain that was made from a template with windows: what it has to offer appears "
    "here, and in the menu of your desktop."
)
_NOTHING = "No application fits."
# Above this many groups nobody wants all of them open.
_FEW = 12
# Pixels; the table needs the room.
_WIDTH = 230


class ApplicationsPanel(QWidget):
    """Says what the user chose by its signals; *menu_for* gives further actions for a domain's context menu."""

    launch = Signal(object)
    favourite = Signal(object)

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
        self.tree = QTreeView()
        self.tree.setModel(model)
        self.tree.setHeaderHidden(True)
        self.tree.setUniformRowHeights(True)
        self.tree.setEditTriggers(QAbstractItemView.EditTrigger.NoEditTriggers)
        self.tree.setContextMenuPolicy(Qt.ContextMenuPolicy.CustomContextMenu)
        self.tree.setAccessibleName("Applications by domain")
        self.tree.activated.connect(self._activated)
        self.tree.customContextMenuRequested.connect(self._show_menu)
        self.tree.collapsed.connect(lambda index: self._remember(index, closed=True))
        self.tree.expanded.connect(lambda index: self._remember(index, closed=False))
        self._hint = QLabel(_EMPTY)
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

    def sizeHint(self) -> QSize:
        return QSize(_WIDTH, super().sizeHint().height())

    def _after_reset(self) -> None:
        """Open the groups that the user had not closed; all of them while something is searched."""
        searching = bool(self.search.text().strip())
        self._hint.setText(_NOTHING if searching else _EMPTY)
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
        if self._model.groups:
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

    def _add_entry_actions(self, menu: QMenu, entry: Entry) -> None:
        menu.addAction(icon("start"), "Start", lambda: self.launch.emit(entry))
        text = "Take out of the favourites" if entry.is_favourite else "Put among the favourites"
        menu.addAction(icon("favourite"), text, lambda: self.favourite.emit(entry))
        menu.addSeparator()
