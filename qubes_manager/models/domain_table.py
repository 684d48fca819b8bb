"""The table of domains: sorted, filtered, and changed by exact ranges."""

from collections.abc import Callable, Iterable, Sequence
from typing import Any

from PySide6.QtCore import QAbstractTableModel, QModelIndex, QPersistentModelIndex, Qt, Signal
from PySide6.QtGui import QBrush, QGuiApplication, QPalette

from qubes_manager.core.domain import Domain, DomainKey
from qubes_manager.core.operations import OPERATIONS
from qubes_manager.core.text import one_cell, plain_tip
from qubes_manager.models.domain_columns import COLUMN_INDEX, COLUMNS, SortKey
from qubes_manager.models.domain_filter import TableFilter, haystack, may_only_wait
from qubes_manager.models.row_changes import kept_in_order, ranges
from qubes_manager.services.hosts.store import Batch

Index = QModelIndex | QPersistentModelIndex
DOMAIN_ROLE = Qt.ItemDataRole.UserRole
# With more ranges than this a reset is cheaper for the views.
_MANY_RANGES = 100
_RIGHT = int(Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter)
_NAME = COLUMN_INDEX["name"]
_NO_PARENT = QModelIndex()


class DomainTableModel(QAbstractTableModel):
    """Rows of domain snapshots.

    It sorts and filters by itself: QSortFilterProxyModel asks Python for every comparison, which takes a tenth
    of a second for 5,000 rows. *decorate* gives a cell's icon.
    """

    rename_requested = Signal(object, str)

    def __init__(self, decorate: Callable[[Domain, str], Any] = lambda _d, _c: None) -> None:
        super().__init__()
        self._decorate = decorate
        self._domains: dict[DomainKey, Domain] = {}
        self._order: list[DomainKey] = []
        self._row_of: dict[DomainKey, int] = {}
        self._keys: dict[DomainKey, SortKey] = {}
        self._haystacks: dict[DomainKey, str] = {}
        self._texts: dict[DomainKey, tuple[str, ...]] = {}
        self._waiting: set[DomainKey] = set()
        self._leaving: frozenset[DomainKey] = frozenset()
        self._filter = TableFilter()
        self._sort_column = _NAME
        self._descending = False

    @property
    def total(self) -> int:
        """All domains, shown or not."""
        return len(self._domains)

    @property
    def waiting(self) -> int:
        """How many disposables only wait for their use, shown or not."""
        return len(self._waiting)

    def key_at(self, row: int) -> DomainKey:
        """The domain in a row."""
        return self._order[row]

    def row_of(self, key: DomainKey) -> int | None:
        """The row of a domain, or None when it is not shown."""
        return self._row_of.get(key)

    def domain(self, key: DomainKey) -> Domain | None:
        """The snapshot of a domain."""
        return self._domains.get(key)

    # What Qt asks.

    def rowCount(self, parent: Index = _NO_PARENT) -> int:
        return 0 if parent.isValid() else len(self._order)

    def columnCount(self, parent: Index = _NO_PARENT) -> int:
        return 0 if parent.isValid() else len(COLUMNS)

    def data(self, index: Index, role: int = Qt.ItemDataRole.DisplayRole) -> Any:
        if not index.isValid():
            return None
        key = self._order[index.row()]
        column = index.column()
        match role:
            case Qt.ItemDataRole.EditRole if column == _NAME:
                return self._name_to_edit(key)
            case Qt.ItemDataRole.DisplayRole | Qt.ItemDataRole.EditRole:
                return self._texts_of(key)[column]
            case Qt.ItemDataRole.DecorationRole:
                return self._decorate(self._domains[key], COLUMNS[column].id)
            case Qt.ItemDataRole.ForegroundRole:
                return self._grey() if self._domains[key].stale else None
            case Qt.ItemDataRole.TextAlignmentRole:
                return _RIGHT if COLUMNS[column].right else None
            case Qt.ItemDataRole.AccessibleTextRole:
                # A screen reader says what is in an empty cell's stead.
                return self._texts_of(key)[column] or f"no {COLUMNS[column].title}"
            case Qt.ItemDataRole.ToolTipRole:
                return self._tool_tip(self._domains[key], column)
            case _ if role == DOMAIN_ROLE:
                return self._domains[key]
        return None

    def headerData(self, section: int, orientation: Qt.Orientation, role: int = Qt.ItemDataRole.DisplayRole) -> Any:
        if orientation is not Qt.Orientation.Horizontal:
            return None
        column = COLUMNS[section]
        match role:
            case Qt.ItemDataRole.DisplayRole:
                return column.title
            case Qt.ItemDataRole.ToolTipRole:
                return column.about
            case Qt.ItemDataRole.TextAlignmentRole:
                return _RIGHT if column.right else int(Qt.AlignmentFlag.AlignLeft | Qt.AlignmentFlag.AlignVCenter)
        return None

    def flags(self, index: Index) -> Qt.ItemFlag:
        if not index.isValid():
            return Qt.ItemFlag.NoItemFlags
        flags = Qt.ItemFlag.ItemIsSelectable | Qt.ItemFlag.ItemIsEnabled | Qt.ItemFlag.ItemNeverHasChildren
        if index.column() == _NAME and OPERATIONS["rename"].applies(self._domains[self._order[index.row()]]):
            flags |= Qt.ItemFlag.ItemIsEditable
        return flags

    def setData(self, index: Index, value: Any, role: int = Qt.ItemDataRole.EditRole) -> bool:
        """Ask for a rename; the row changes when libvirt has done it."""
        if role != Qt.ItemDataRole.EditRole or index.column() != _NAME:
            return False
        key = self._order[index.row()]
        # What was shown is what was not edited.
        if value != self._name_to_edit(key):
            self.rename_requested.emit(key, str(value))
        return False

    def sort(self, column: int, order: Qt.SortOrder = Qt.SortOrder.AscendingOrder) -> None:
        """Sort by a column."""
        self._sort_column, self._descending = column, order is Qt.SortOrder.DescendingOrder
        self._keys = {key: COLUMNS[column].sort_key(domain) for key, domain in self._domains.items()}
        self._reorder()

    # What the program says.

    def set_filter(self, wanted: TableFilter) -> None:
        """Show the domains that pass *wanted*."""
        if wanted != self._filter:
            self._filter = wanted
            self._reorder()

    def apply(self, batch: Batch) -> None:
        """Take the changes in, and tell the views exactly what changed."""
        self._leaving = frozenset(batch.removed)
        moved = bool(batch.added) or any(key in self._row_of for key in batch.removed)
        for domain in (*batch.added, *batch.changed):
            moved |= self._store(domain)
        if moved:
            self._reorder()
        # Views may ask for a row until they are told that it is gone.
        for key in batch.removed:
            for table in (self._domains, self._keys, self._haystacks, self._texts):
                table.pop(key, None)
            self._waiting.discard(key)
        self._leaving = frozenset()
        self._announce(row for domain in batch.changed if (row := self._row_of.get(domain.key)) is not None)

    def _store(self, domain: Domain) -> bool:
        """Store a snapshot; returns whether the order or the choice of rows may be another now."""
        key = domain.key
        before = self._keys.get(key)
        self._domains[key] = domain
        (self._waiting.add if may_only_wait(domain) else self._waiting.discard)(key)
        self._texts.pop(key, None)
        self._haystacks[key] = haystack(domain)
        self._keys[key] = COLUMNS[self._sort_column].sort_key(domain)
        return self._keys[key] != before or self._accepts(key) != (key in self._row_of)

    def _accepts(self, key: DomainKey) -> bool:
        return self._filter.accepts(self._domains[key], self._haystacks[key])

    def _texts_of(self, key: DomainKey) -> tuple[str, ...]:
        texts = self._texts.get(key)
        if texts is None:
            domain = self._domains[key]
            texts = self._texts[key] = tuple(one_cell(column.value(domain)) for column in COLUMNS)
        return texts

    def _name_to_edit(self, key: DomainKey) -> str:
        """What a rename begins with: a disposable's name stays, and its title is edited."""
        domain = self._domains[key]
        return one_cell(domain.title or domain.name)

    @staticmethod
    def _grey() -> QBrush:
        return QGuiApplication.palette().brush(QPalette.ColorGroup.Disabled, QPalette.ColorRole.Text)

    def _tool_tip(self, domain: Domain, column: int) -> str | None:
        if domain.stale:
            return plain_tip(f"{domain.key.connection} is not connected; this is what was known last.")
        return plain_tip(self._texts_of(domain.key)[column]) or None

    def _announce(self, rows: Iterable[int]) -> None:
        found = list(ranges(sorted(rows)))
        if len(found) > _MANY_RANGES:
            found = [(found[0][0], found[-1][1])]
        last_column = len(COLUMNS) - 1
        for first, last in found:
            self.dataChanged.emit(self.index(first, 0), self.index(last, last_column))

    def _reorder(self) -> None:
        wanted = [key for key in self._domains if key not in self._leaving and self._accepts(key)]
        wanted.sort(key=self._keys.__getitem__, reverse=self._descending)
        if wanted == self._order:
            return
        shown, target = set(self._order), set(wanted)
        gone = [row for row, key in enumerate(self._order) if key not in target]
        new = [row for row, key in enumerate(wanted) if key not in shown]
        if len(list(ranges(gone))) + len(list(ranges(new))) > _MANY_RANGES:
            self.beginResetModel()
            self._set_order(wanted)
            self.endResetModel()
            return
        self._remove_rows(gone)
        self._move_rows(wanted)
        self._insert_rows(new, wanted)

    def _set_order(self, order: list[DomainKey]) -> None:
        self._order = order
        self._row_of = {key: row for row, key in enumerate(order)}

    def _remove_rows(self, rows: Sequence[int]) -> None:
        for first, last in reversed(list(ranges(rows))):
            self.beginRemoveRows(QModelIndex(), first, last)
            self._set_order(self._order[:first] + self._order[last + 1 :])
            self.endRemoveRows()

    def _insert_rows(self, rows: Sequence[int], wanted: list[DomainKey]) -> None:
        for first, last in ranges(rows):
            self.beginInsertRows(QModelIndex(), first, last)
            self._set_order(self._order[:first] + wanted[first : last + 1] + self._order[first:])
            self.endInsertRows()

    def _move_rows(self, wanted: list[DomainKey]) -> None:
        """Bring the rows that stay into their new order."""
        old, new = kept_in_order(self._order, wanted)
        if old == new:
            return
        self.layoutAboutToBeChanged.emit()
        before = self.persistentIndexList()
        keys = [self._order[index.row()] for index in before]
        self._set_order(new)
        after = [self.index(self._row_of[key], index.column()) for key, index in zip(keys, before, strict=True)]
        self.changePersistentIndexList(before, after)
        self.layoutChanged.emit()
