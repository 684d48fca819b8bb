"""Which applications a domain's menu has."""

from collections.abc import Callable, Iterable, Sequence

from PySide6.QtCore import Qt, Signal
from PySide6.QtWidgets import (
    QAbstractItemView,
    QCheckBox,
    QDialogButtonBox,
    QGridLayout,
    QHBoxLayout,
    QLineEdit,
    QListWidget,
    QListWidgetItem,
    QPushButton,
    QVBoxLayout,
    QWidget,
)

from qubes_manager.core.applications import Application
from qubes_manager.core.domain import Domain
from qubes_manager.core.text import plain_tip
from qubes_manager.ui.dialogs.hint_dialog import HintDialog, Spawn
from qubes_manager.ui.look.icons import app_icon, icon
from qubes_manager.ui.look.plain import PlainLabel, window_title

_ID = Qt.ItemDataRole.UserRole


class AppShortcutsDialog(HintDialog):
    """Two lists: what there is, and what the menu has. ``chosen`` gives the user's choice."""

    refresh = Signal()

    def __init__(self, parent: QWidget, domain: Domain, applications: Sequence[Application], spawn: Spawn) -> None:
        super().__init__(parent, spawn)
        self._domain = domain
        self._menu = domain.config.menu
        self.setWindowTitle(window_title(f"Application shortcuts of {domain.name}"))
        self.resize(640, 460)
        self.all = QCheckBox("All of them, also those that come later")
        self.all.setChecked(self._menu is None)
        self.all.toggled.connect(self._enable)
        self.search = QLineEdit()
        self.search.setPlaceholderText("Search")
        self.search.setAccessibleName("Search applications")
        self.search.setClearButtonEnabled(True)
        self.search.textChanged.connect(self._filter)
        self.available = self._list("Available applications", self._add)
        self.selected = self._list("Applications in the menu", self._remove)
        layout = QVBoxLayout(self)
        layout.addWidget(self.all)
        layout.addWidget(self.search)
        layout.addLayout(self._lists(), 1)
        layout.addWidget(self.hint)
        layout.addLayout(self._bottom(domain))
        self.show_applications(applications)
        self.search.setFocus()

    def chosen(self) -> list[str] | None:
        """The ids of the applications in the menu; None for all."""
        if self.all.isChecked():
            return None
        return [item.data(_ID) for item in _items(self.selected)]

    def show_applications(self, applications: Sequence[Application]) -> None:
        """Show what there is; what the menu has stays in it."""
        kept = set(self.chosen() or self._menu or ()) if self.selected.count() or self._menu is not None else None
        self.available.clear()
        self.selected.clear()
        for app in applications:
            in_menu = kept is None or app.id in kept
            item = QListWidgetItem(app.name, self.selected if in_menu else self.available)
            item.setData(_ID, app.id)
            item.setToolTip(plain_tip(app.comment or app.id))
            if picture := app_icon(app):
                item.setIcon(picture)
        count = len(applications)
        self.hint.setText(
            f"{count} application{'' if count == 1 else 's'}."
            if count
            else "No applications are known yet. Start the domain, then Refresh."
        )
        self._enable()

    def _list(self, name: str, act: Callable[[], None]) -> QListWidget:
        widget = QListWidget()
        widget.setAccessibleName(name)
        widget.setSelectionMode(QAbstractItemView.SelectionMode.ExtendedSelection)
        widget.setSortingEnabled(True)
        widget.itemActivated.connect(lambda _item: act())
        return widget

    def _lists(self) -> QGridLayout:
        grid = QGridLayout()
        grid.addWidget(PlainLabel("Available"), 0, 0)
        grid.addWidget(PlainLabel("In the menu"), 0, 2)
        grid.addWidget(self.available, 1, 0)
        grid.addWidget(self.selected, 1, 2)
        buttons = QVBoxLayout()
        buttons.addStretch(1)
        self._buttons = [
            self._button("Add ▸", self._add, "Put what is chosen into the menu"),
            self._button("Add all", lambda: self._move(self.available, self.selected, everything=True), ""),
            self._button("◂ Remove", self._remove, "Take what is chosen out of the menu"),
            self._button("Remove all", lambda: self._move(self.selected, self.available, everything=True), ""),
        ]
        for button in self._buttons:
            buttons.addWidget(button)
        buttons.addStretch(1)
        grid.addLayout(buttons, 1, 1)
        return grid

    def _button(self, text: str, act: Callable[[], None], tip: str) -> QPushButton:
        button = QPushButton(text)
        button.setToolTip(plain_tip(tip))
        button.setAutoDefault(False)
        button.clicked.connect(lambda: act())
        return button

    def _bottom(self, domain: Domain) -> QHBoxLayout:
        refresh = QPushButton(icon("refresh"), "Refresh")
        refresh.setAutoDefault(False)
        refresh.setEnabled(domain.state.is_active)
        refresh.setToolTip("Ask the domain again" if domain.state.is_active else "The domain must run to be asked")
        refresh.clicked.connect(self.refresh.emit)
        buttons = QDialogButtonBox(QDialogButtonBox.StandardButton.Save | QDialogButtonBox.StandardButton.Cancel)
        buttons.accepted.connect(self.accept)
        buttons.rejected.connect(self.reject)
        row = QHBoxLayout()
        row.addWidget(refresh)
        row.addStretch(1)
        row.addWidget(buttons)
        return row

    def _enable(self) -> None:
        free = not self.all.isChecked()
        for widget in (self.available, self.selected, *self._buttons):
            widget.setEnabled(free)

    def _add(self) -> None:
        self._move(self.available, self.selected)

    def _remove(self) -> None:
        self._move(self.selected, self.available)

    def _move(self, source: QListWidget, target: QListWidget, *, everything: bool = False) -> None:
        items = [i for i in _items(source) if not i.isHidden()] if everything else source.selectedItems()
        for item in items:
            target.addItem(source.takeItem(source.row(item)))
        self._filter(self.search.text())

    def _filter(self, text: str) -> None:
        words = text.casefold().split()
        for widget in (self.available, self.selected):
            for item in _items(widget):
                item.setHidden(not all(word in item.text().casefold() for word in words))


def _items(widget: QListWidget) -> Iterable[QListWidgetItem]:
    return [widget.item(row) for row in range(widget.count())]
