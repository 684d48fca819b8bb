"""A tree of a domain's files, whose folders are read when they are opened; they can be dragged onto domains."""

from collections.abc import Awaitable, Callable, Iterator
from datetime import datetime

from PySide6.QtCore import QMimeData, Qt
from PySide6.QtWidgets import QAbstractItemView, QTreeWidget, QTreeWidgetItem, QTreeWidgetItemIterator

from qubes_manager.core.crossing.listing import Entry, FileKind, Listing
from qubes_manager.core.domain import DomainKey
from qubes_manager.core.sizes import format_size
from qubes_manager.core.text import one_cell
from qubes_manager.ui.look.dragged_files import to_mime
from qubes_manager.ui.look.icons import icon

_HEADS = ("Name", "Size", "Changed")
_PATH, _ENTRY = Qt.ItemDataRole.UserRole, Qt.ItemDataRole.UserRole + 1
Read = Callable[[str], Awaitable[Listing]]


class FileTree(QTreeWidget):
    """Shows what *read* tells of a domain's folders, hidden files only if they are wanted."""

    def __init__(self, key: DomainKey, read: Read) -> None:
        super().__init__()
        self._key = key
        self._read = read
        self.shows_hidden = False
        self._sought = ""
        self.setHeaderLabels(_HEADS)
        self.setSelectionMode(QAbstractItemView.SelectionMode.ExtendedSelection)
        self.setDragEnabled(True)
        self.setUniformRowHeights(True)
        self.setAccessibleName("Files")
        self.setSortingEnabled(True)
        self.sortByColumn(0, Qt.SortOrder.AscendingOrder)
        for column, width in enumerate((360, 90)):
            self.setColumnWidth(column, width)

    @property
    def chosen(self) -> list[str]:
        """The whole paths of what is chosen; what is in a folder that is chosen too is not said twice."""
        paths = sorted(item.data(0, _PATH) for item in self.selectedItems() if item.data(0, _PATH))
        found: list[str] = []
        for path in paths:
            if not found or not path.startswith(f"{found[-1].rstrip('/')}/"):
                found.append(path)
        return found

    async def open_folder(self, path: str) -> Listing:
        """Show a folder; raises QubesManagerError."""
        listing = await self._read(path)
        self.clear()
        self._add(self.invisibleRootItem(), listing)
        return listing

    async def open_item(self, item: QTreeWidgetItem) -> None:
        """Read a folder of the tree that is opened for the first time; raises QubesManagerError."""
        if item.childCount() or item.data(0, _ENTRY).kind is not FileKind.FOLDER:
            return
        try:
            listing = await self._read(item.data(0, _PATH))
        except BaseException:
            item.setExpanded(False)
            raise
        self._add(item, listing)
        if not listing.entries:
            item.setChildIndicatorPolicy(QTreeWidgetItem.ChildIndicatorPolicy.DontShowIndicator)

    def seek(self, text: str) -> None:
        """Show only what is called so, of what has been read, and the folders that it is in."""
        self._sought = text.casefold()
        self._filter()

    def show_hidden(self, shown: bool) -> None:
        """Show names that begin with a dot, or hide them."""
        self.shows_hidden = shown
        self._filter()

    def mimeData(self, _items: object) -> QMimeData:
        """What is dragged."""
        return to_mime(self._key, self.chosen)

    def _add(self, parent: QTreeWidgetItem, listing: Listing) -> None:
        parent.addChildren([_Item(listing.path, entry) for entry in listing.entries])
        self._filter()

    def _filter(self) -> None:
        for item in reversed(list(self._all())):
            entry: Entry = item.data(0, _ENTRY)
            is_sought = self._sought in item.text(0).casefold()
            children = map(item.child, range(item.childCount()))
            has_some = any(child and not child.isHidden() for child in children)
            hidden = entry.name.startswith(".") and not self.shows_hidden
            item.setHidden(hidden or not (is_sought or has_some))

    def _all(self) -> Iterator[QTreeWidgetItem]:
        walk = QTreeWidgetItemIterator(self)
        while item := walk.value():
            yield item
            walk += 1


class _Item(QTreeWidgetItem):
    def __init__(self, folder: str, entry: Entry) -> None:
        is_folder = entry.kind is FileKind.FOLDER
        changed = datetime.fromtimestamp(entry.changed).strftime("%Y-%m-%d %H:%M") if _is_date(entry.changed) else ""
        size = format_size(entry.size) if entry.kind is FileKind.FILE else ""
        super().__init__([one_cell(entry.name), size, changed])
        self.setData(0, _PATH, f"{folder.rstrip('/')}/{entry.name}")
        self.setData(0, _ENTRY, entry)
        self.setTextAlignment(1, Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter)
        if is_folder:
            self.setIcon(0, icon("folder"))
            self.setChildIndicatorPolicy(QTreeWidgetItem.ChildIndicatorPolicy.ShowIndicator)
        elif entry.kind is FileKind.OTHER:
            # Devices, pipes and sockets are not copied.
            self.setFlags(Qt.ItemFlag.NoItemFlags)

    def __lt__(self, other: QTreeWidgetItem) -> bool:
        """Folders first; names without their case, sizes and times as numbers."""
        one, two = self.data(0, _ENTRY), other.data(0, _ENTRY)
        tree = self.treeWidget()
        match tree.sortColumn() if tree else 0:
            case 1:
                keys = one.size, two.size
            case 2:
                keys = one.changed, two.changed
            case _:
                keys = one.name.casefold(), two.name.casefold()
        ranks = one.kind is not FileKind.FOLDER, two.kind is not FileKind.FOLDER
        return bool((ranks[0], keys[0]) < (ranks[1], keys[1]))


def _is_date(seconds: int) -> bool:
    return 0 < seconds < 1 << 33
