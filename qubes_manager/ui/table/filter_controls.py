"""By what people choose which domains the table shows: search field, box in the tool bar, menu."""

from PySide6.QtCore import QObject, Signal
from PySide6.QtGui import QAction
from PySide6.QtWidgets import QLineEdit, QWidget

from qubes_manager.models.domain_filter import FILTERS, TableFilter
from qubes_manager.ui.look.fields import ComboBox
from qubes_manager.ui.look.icons import icon
from qubes_manager.ui.menus import ChoiceMenu

# Pixels; the buttons need the room.
_SEARCH_WIDTH = 260


class FilterControls(QObject):
    """Box and menu show the same named filter; ``changed`` gives the TableFilter of it and of the search text."""

    changed = Signal(object)

    def __init__(self, parent: QWidget) -> None:
        super().__init__(parent)
        self._shows_waiting = False
        self.search = QLineEdit()
        self.search.setPlaceholderText("Search (Ctrl+F)")
        self.search.setAccessibleName("Search domains")
        self.search.setClearButtonEnabled(True)
        self._search_picture = QAction(icon("search"), "Search", self.search)
        self.search.addAction(self._search_picture, QLineEdit.ActionPosition.LeadingPosition)
        self.search.setMaximumWidth(_SEARCH_WIDTH)
        self.search.textChanged.connect(lambda _text: self._announce())
        self.box = ComboBox()
        self.box.setAccessibleName("Filter")
        self.box.setToolTip("Which domains the table shows")
        for named in FILTERS.values():
            self.box.addItem(named.text, named.id)
        self.box.activated.connect(lambda index: self.choose(self.box.itemData(index)))
        self.menu = ChoiceMenu({named.id: named.text for named in FILTERS.values()}, parent)
        self.menu.picked.connect(self.choose)

    @property
    def chosen(self) -> str:
        """The id of the named filter."""
        return self.menu.chosen or "all"

    def choose(self, filter_id: str) -> None:
        """Choose a named filter."""
        self.menu.choose(filter_id)
        self.box.setCurrentIndex(self.box.findData(filter_id))
        self._announce()

    def show_waiting(self, shown: bool) -> None:
        """Show disposables that only wait for their use too, or hide them."""
        self._shows_waiting = shown
        self._announce()

    def show_all(self) -> None:
        """Let all domains be shown."""
        self.search.clear()
        self.choose("all")

    def focus_search(self) -> None:
        """Let the user type what to search for."""
        self.search.setFocus()
        self.search.selectAll()

    def recolour(self) -> None:
        """Take the icon anew after a change of colours."""
        self._search_picture.setIcon(icon("search"))

    def _announce(self) -> None:
        self.changed.emit(TableFilter.of(self.chosen, self.search.text(), shows_waiting=self._shows_waiting))
