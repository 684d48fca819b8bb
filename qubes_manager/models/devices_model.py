"""The Qt model of the devices: sections, devices, parts. News change the rows that they are about, and no others."""

import json
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from PySide6.QtCore import QAbstractItemModel, QMimeData, QModelIndex, QPersistentModelIndex, Qt
from PySide6.QtGui import QIcon

from qubes_manager.core.domain import Domain
from qubes_manager.core.text import one_line, plain_tip
from qubes_manager.models.device_tree import FREE, Entry, Key, Listing, Section, make_sections

Index = QModelIndex | QPersistentModelIndex
ROOT = QModelIndex()
TITLES = ("Device", "What it is", "Where it is now", "Port")
NAME, WHAT, WHERE, PORT = range(len(TITLES))
# Whether a row is new, for who draws it.
NEW_ROLE = Qt.ItemDataRole.UserRole + 1
# Of this program alone; what it holds is read as any stranger's all the same.
_TYPE = "application/x-qubes-manager-device"
_MOST_BYTES = 4096


def device_mime(key: Key) -> QMimeData:
    """A device, for a drag."""
    data = QMimeData()
    data.setData(_TYPE, json.dumps(key).encode())
    return data


def holds_device(data: QMimeData) -> bool:
    """Whether a device is dragged."""
    return data.hasFormat(_TYPE)


def device_key(data: QMimeData) -> Key | None:
    """Which device is dragged, if it is one."""
    text = bytes(data.data(_TYPE).data())
    if not text or len(text) > _MOST_BYTES:
        return None
    try:
        words = json.loads(text)
    except (ValueError, RecursionError):
        return None
    if not (isinstance(words, list) and len(words) == 4 and all(isinstance(word, str) for word in words)):
        return None
    machine, klass, location, ident = words
    return machine, klass, location, ident


@dataclass(slots=True)
class _Node:
    """A row, with what tells it from its neighbours; one without an entry is a section's."""

    number: int
    name: object
    section: Section | None = None
    entry: Entry | None = None
    parent: "_Node | None" = None
    rows: list["_Node"] = field(default_factory=list)

    @property
    def row(self) -> int:
        return next(place for place, node in enumerate(self.parent.rows) if node is self) if self.parent else 0


@dataclass(frozen=True, slots=True)
class _Wanted:
    """A row that is to be there."""

    name: object
    section: Section | None
    entry: Entry | None
    rows: tuple["_Wanted", ...]


class DevicesModel(QAbstractItemModel):
    """Shows listings. *icons* gives a picture by name, *label_icons* that of a domain's label."""

    def __init__(self, icons: Callable[[str], QIcon], label_icons: Callable[[Domain], QIcon | None]) -> None:
        super().__init__()
        self._icons = icons
        self._label_icons = label_icons
        self._top = _Node(0, None)
        self._nodes: dict[int, _Node] = {}
        self._count = 0
        self.sections: list[Section] = []

    def show(self, listings: Iterable[Listing]) -> None:
        """Show these, by the fewest changes."""
        self.sections = make_sections(listings)
        self._fit(self._top, [_section(section) for section in self.sections])

    def entries(self) -> Iterator[Entry]:
        """All that is there, parts among it."""
        for section in self.sections:
            for entry in section.entries:
                yield from entry.walk()

    def find(self, key: Key) -> Entry | None:
        """The entry of that name, as it is now."""
        return next((entry for entry in self.entries() if entry.key == key), None)

    def entry(self, index: Index) -> Entry | None:
        """The entry at an index; None for a section."""
        return self._nodes[index.internalId()].entry if index.isValid() else None

    def index_of(self, key: Key) -> QModelIndex:
        """The place of an entry; no valid one where it is not there."""
        node = next((node for node in self._nodes.values() if node.entry and node.entry.key == key), None)
        return self._index(node) if node else QModelIndex()

    # Changes.

    def _fit(self, node: _Node, wanted: Sequence[_Wanted]) -> None:
        names = {one.name for one in wanted}
        place = self._index(node)
        for row in reversed(range(len(node.rows))):
            if node.rows[row].name not in names:
                self.beginRemoveRows(place, row, row)
                self._forget(node.rows.pop(row))
                self.endRemoveRows()
        for row, one in enumerate(wanted):
            there = next((at for at, child in enumerate(node.rows) if child.name == one.name), None)
            if there is None:
                self.beginInsertRows(place, row, row)
                node.rows.insert(row, self._made(one, node))
                self.endInsertRows()
                continue
            if there != row:
                self.beginMoveRows(place, there, there, place, row)
                node.rows.insert(row, node.rows.pop(there))
                self.endMoveRows()
            self._change(node.rows[row], one)

    def _change(self, child: _Node, one: _Wanted) -> None:
        shows_other = _shown(child) != _shown(one)
        child.section, child.entry = one.section, one.entry
        if shows_other:
            first = self._index(child)
            self.dataChanged.emit(first, first.siblingAtColumn(len(TITLES) - 1))
        self._fit(child, one.rows)

    def _made(self, one: _Wanted, parent: _Node) -> _Node:
        self._count += 1
        node = _Node(self._count, one.name, one.section, one.entry, parent)
        self._nodes[node.number] = node
        node.rows = [self._made(part, node) for part in one.rows]
        return node

    def _forget(self, node: _Node) -> None:
        del self._nodes[node.number]
        for child in node.rows:
            self._forget(child)

    def _index(self, node: _Node) -> QModelIndex:
        return self.createIndex(node.row, 0, node.number) if node.parent else QModelIndex()

    # What Qt asks.

    def _node(self, index: Index) -> _Node:
        return self._nodes[index.internalId()] if index.isValid() else self._top

    def index(self, row: int, column: int, parent: Index = ROOT) -> QModelIndex:
        if not self.hasIndex(row, column, parent):
            return QModelIndex()
        return self.createIndex(row, column, self._node(parent).rows[row].number)

    def parent(self, child: Index = ROOT) -> QModelIndex:  # type: ignore[override]
        # A view may ask for one that has just gone.
        node = self._nodes.get(child.internalId()) if child.isValid() else None
        return self._index(node.parent) if node and node.parent else QModelIndex()

    def rowCount(self, parent: Index = ROOT) -> int:
        return len(self._node(parent).rows) if parent.column() <= 0 else 0

    def columnCount(self, parent: Index = ROOT) -> int:
        return len(TITLES)

    def headerData(self, section: int, orientation: Qt.Orientation, role: int = Qt.ItemDataRole.DisplayRole) -> Any:
        if orientation is Qt.Orientation.Horizontal and role == Qt.ItemDataRole.DisplayRole:
            return TITLES[section]
        return None

    def flags(self, index: Index) -> Qt.ItemFlag:
        if not index.isValid():
            return Qt.ItemFlag.NoItemFlags
        flags = Qt.ItemFlag.ItemIsSelectable | Qt.ItemFlag.ItemIsEnabled
        return flags | Qt.ItemFlag.ItemIsDragEnabled if self.entry(index) else flags

    def mimeTypes(self) -> list[str]:
        return [_TYPE]

    def mimeData(self, indexes: Sequence[QModelIndex]) -> QMimeData:
        entry = next((entry for index in indexes if (entry := self.entry(index))), None)
        return device_mime(entry.key) if entry else QMimeData()

    def supportedDragActions(self) -> Qt.DropAction:
        return Qt.DropAction.CopyAction

    def data(self, index: Index, role: int = Qt.ItemDataRole.DisplayRole) -> Any:
        if not index.isValid():
            return None
        node = self._node(index)
        if node.entry is None:
            return self._section_data(node.section, index.column(), role)
        return self._entry_data(node.entry, index.column(), role)

    def _section_data(self, section: Section | None, column: int, role: int) -> Any:
        if section is None or column != NAME:
            return None
        match role:
            case Qt.ItemDataRole.DisplayRole | Qt.ItemDataRole.AccessibleTextRole:
                return section.title
            case Qt.ItemDataRole.DecorationRole:
                return self._icons(section.icon)
        return None

    def _entry_data(self, entry: Entry, column: int, role: int) -> Any:
        match role:
            case Qt.ItemDataRole.DisplayRole:
                return _texts(entry)[column]
            case Qt.ItemDataRole.AccessibleTextRole:
                text = _texts(entry)[column] or f"no {TITLES[column]}"
                return f"{text}, new" if column == NAME and entry.is_new else text
            case Qt.ItemDataRole.ToolTipRole:
                return plain_tip(f"{entry.summary}\n{entry.where}\n{one_line(entry.device.port, 400)}")
            case Qt.ItemDataRole.DecorationRole if column == NAME:
                return self._icons("device-usb" if entry.as_whole else entry.device.icon)
            case Qt.ItemDataRole.DecorationRole if column == WHERE:
                return self._place_icon(entry)
            case _ if role == NEW_ROLE:
                return entry.is_new and column == NAME
        return None

    def _place_icon(self, entry: Entry) -> QIcon | None:
        if entry.device.in_use:
            return self._icons("host")
        return self._label_icons(entry.everyone[0].domain) if entry.everyone else None


def _texts(entry: Entry) -> tuple[str, ...]:
    return entry.title, entry.what, entry.where, one_line(entry.device.port, 200)


def is_free(index: Index) -> bool:
    """Whether the cell of an index says that nobody has the device."""
    return index.column() == WHERE and index.data() == FREE


def _section(section: Section) -> _Wanted:
    rows = tuple(map(_wanted, section.entries))
    return _Wanted(section.title, replace(section, entries=()), None, rows)


def _wanted(entry: Entry) -> _Wanted:
    return _Wanted((entry.key, entry.as_whole), None, entry, tuple(map(_wanted, entry.parts)))


def _shown(row: _Node | _Wanted) -> object:
    """What its row shows, by which a change is one that can be seen."""
    if row.entry is None:
        return row.section and row.section.title
    label = row.entry.everyone[0].domain.config.label if row.entry.everyone else None
    return (*_texts(row.entry), row.entry.is_new, row.entry.device.icon, label)
