"""The domains that the user may choose from: grouped, in their colours, with a search field."""

from collections.abc import Iterable, Sequence
from itertools import groupby

from PySide6.QtCore import QEvent, QObject, Qt, Signal
from PySide6.QtGui import QKeyEvent
from PySide6.QtWidgets import QLineEdit, QListWidget, QListWidgetItem, QStackedWidget, QVBoxLayout, QWidget

from qubes_manager.core.crossing.question import Choice
from qubes_manager.core.labels import LABELS
from qubes_manager.core.text import one_cell
from qubes_manager.ui.look.icons import label_icon
from qubes_manager.ui.look.plain import PlainLabel

_CHOICE = Qt.ItemDataRole.UserRole
_MOVING = {Qt.Key.Key_Down, Qt.Key.Key_Up, Qt.Key.Key_PageDown, Qt.Key.Key_PageUp}
_NOTHING = "No domain of that name may be chosen here."


_FIRST = ("Running", "Disposable", "Halted")


def _rank(group: str) -> int:
    return _FIRST.index(group) if group in _FIRST else len(_FIRST)


class TargetList(QWidget):
    """``chosen`` is what the user picked, if anything; ``changed`` tells of it. What is filtered out is not chosen."""

    changed = Signal()

    def __init__(self, choices: Iterable[Choice], default: str) -> None:
        super().__init__()
        self.search = QLineEdit()
        self.search.setPlaceholderText("Type to search, ↓ to choose")
        self.search.setAccessibleName("Search a domain")
        self.search.setClearButtonEnabled(True)
        self.search.setContextMenuPolicy(Qt.ContextMenuPolicy.NoContextMenu)
        self.search.installEventFilter(self)
        self.search.textChanged.connect(self._filter)
        self.list = QListWidget()
        self.list.setAccessibleName("Domains to choose from")
        self.list.setUniformItemSizes(True)
        self.list.itemSelectionChanged.connect(self.changed)
        nothing = PlainLabel(_NOTHING, wraps=True)
        nothing.setAlignment(Qt.AlignmentFlag.AlignCenter)
        self._pages = QStackedWidget()
        self._pages.addWidget(self.list)
        self._pages.addWidget(nothing)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addWidget(self.search)
        layout.addWidget(self._pages, 1)
        in_order = sorted(choices, key=lambda choice: (_rank(choice.group), choice.group))
        self._groups = [self._add_group(name, list(of)) for name, of in groupby(in_order, lambda choice: choice.group)]
        for item in self._items():
            if default and item.data(_CHOICE).target == default:
                self._choose(item)

    @property
    def chosen(self) -> Choice | None:
        """What is chosen now."""
        choice: Choice | None = next((item.data(_CHOICE) for item in self.list.selectedItems()), None)
        return choice

    def eventFilter(self, watched: QObject, event: QEvent) -> bool:
        """Let the arrows move in the list while the user types."""
        if isinstance(event, QKeyEvent) and event.type() == QEvent.Type.KeyPress and event.key() in _MOVING:
            self._move(event)
            return True
        return super().eventFilter(watched, event)

    def _add_group(self, name: str, choices: Sequence[Choice]) -> tuple[QListWidgetItem, list[QListWidgetItem]]:
        heading = QListWidgetItem(one_cell(name), self.list)
        heading.setFlags(Qt.ItemFlag.NoItemFlags)
        font = heading.font()
        font.setBold(True)
        heading.setFont(font)
        # It cannot be chosen, but is to be read.
        heading.setForeground(self.palette().text())
        heading.setHidden(not name)
        return heading, [self._add(choice) for choice in choices]

    def _add(self, choice: Choice) -> QListWidgetItem:
        item = QListWidgetItem(one_cell(choice.title), self.list)
        item.setData(_CHOICE, choice)
        if picture := label_icon(LABELS.get(choice.label)):
            item.setIcon(picture)
        words = filter(None, (choice.title, choice.label, choice.group))
        item.setData(Qt.ItemDataRole.AccessibleTextRole, one_cell(", ".join(words)))
        return item

    def _items(self) -> Iterable[QListWidgetItem]:
        return (item for _heading, items in self._groups for item in items)

    def _filter(self, text: str) -> None:
        wanted = text.strip().casefold()
        found = False
        for heading, items in self._groups:
            shown = False
            for item in items:
                fits = wanted in item.text().casefold()
                item.setHidden(not fits)
                shown |= fits
                if not fits and item.isSelected():
                    self.list.setCurrentRow(-1)
            heading.setHidden(not shown or not heading.text())
            found |= shown
        self._pages.setCurrentIndex(0 if found else 1)

    def _move(self, event: QKeyEvent) -> None:
        visible = [item for item in self._items() if not item.isHidden()]
        if not visible:
            return
        if self.chosen is None:
            self._choose(visible[-1] if event.key() in (Qt.Key.Key_Up, Qt.Key.Key_PageUp) else visible[0])
        else:
            self.list.keyPressEvent(event)

    def _choose(self, item: QListWidgetItem) -> None:
        self.list.setCurrentItem(item)
        self.list.scrollToItem(item)
