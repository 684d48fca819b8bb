"""The view of the table: columns that people choose, and which rows can be seen."""

from collections.abc import Sequence

from PySide6.QtCore import QPoint, Qt, QTimer, Signal
from PySide6.QtGui import QDragEnterEvent, QDragMoveEvent, QDropEvent, QHideEvent, QResizeEvent, QShowEvent
from PySide6.QtWidgets import QAbstractItemView, QHeaderView, QMenu, QTableView, QWidget

from qubes_manager.core.domain import Domain, DomainKey
from qubes_manager.core.operations import OPERATIONS
from qubes_manager.core.settings import ColumnSetting
from qubes_manager.core.text import plain_tip
from qubes_manager.models.devices_model import device_key, holds_device
from qubes_manager.models.domain_columns import COLUMN_INDEX, COLUMNS
from qubes_manager.models.domain_table import DomainTableModel
from qubes_manager.ui.look.dragged_files import DraggedFiles
from qubes_manager.ui.look.file_drops import FileDrops
from qubes_manager.ui.table.cpu_delegate import CpuDelegate

_VISIBLE_DELAY_MS = 80
_ROW_PADDING = 10


class DomainView(FileDrops, QTableView):
    """Shows the domains. ``visible_changed`` gives the keys of the rows on screen; none while it is hidden."""

    visible_changed = Signal(object)
    selection_changed = Signal()
    # Files were dropped on a domain's row: what they are, and whose row it is.
    files_dropped = Signal(DraggedFiles, object)
    # A device was dropped on a domain's row: which one, and whose row it is.
    device_dropped = Signal(object, object)

    def __init__(self, model: DomainTableModel, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._model = model
        self._kept: tuple[list[DomainKey], DomainKey | None] = ([], None)
        self.setModel(model)
        self.setAccessibleName("Domains")
        self.setSelectionBehavior(QAbstractItemView.SelectionBehavior.SelectRows)
        self.setSelectionMode(QAbstractItemView.SelectionMode.ExtendedSelection)
        self.setEditTriggers(QAbstractItemView.EditTrigger.EditKeyPressed)
        self.setAlternatingRowColors(True)
        self.setShowGrid(False)
        self.setWordWrap(False)
        self.setTabKeyNavigation(False)
        self.setAcceptDrops(True)
        self.setHorizontalScrollMode(QAbstractItemView.ScrollMode.ScrollPerPixel)
        self.setContextMenuPolicy(Qt.ContextMenuPolicy.CustomContextMenu)
        self.setItemDelegateForColumn(COLUMN_INDEX["cpu"], CpuDelegate(self))
        rows = self.verticalHeader()
        rows.hide()
        rows.setSectionResizeMode(QHeaderView.ResizeMode.Fixed)
        rows.setDefaultSectionSize(self.fontMetrics().height() + _ROW_PADDING)
        self._prepare_header()
        self._visible_timer = QTimer(self, singleShot=True, interval=_VISIBLE_DELAY_MS)
        self._visible_timer.timeout.connect(self._announce_visible)
        self.verticalScrollBar().valueChanged.connect(self._visible_timer.start)
        for signal in (model.rowsInserted, model.rowsRemoved, model.layoutChanged, model.modelReset):
            signal.connect(lambda *_: self._visible_timer.start())
        model.modelAboutToBeReset.connect(self._keep_selection)
        model.modelReset.connect(self._restore_selection)
        self.selectionModel().selectionChanged.connect(lambda *_: self.selection_changed.emit())
        model.dataChanged.connect(lambda *_: self.selection_changed.emit() if self.hasFocus() else None)

    def _prepare_header(self) -> None:
        header = self.horizontalHeader()
        header.setSectionsMovable(True)
        header.setHighlightSections(False)
        header.setStretchLastSection(True)
        header.setContextMenuPolicy(Qt.ContextMenuPolicy.CustomContextMenu)
        header.customContextMenuRequested.connect(self._header_menu)
        for index, column in enumerate(COLUMNS):
            self.setColumnWidth(index, column.width)
            self.setColumnHidden(index, not column.visible)

    # Columns.

    def column_settings(self) -> list[ColumnSetting]:
        """The columns as they stand, for the settings file."""
        header = self.horizontalHeader()
        order = [header.logicalIndex(place) for place in range(len(COLUMNS))]
        return [
            ColumnSetting(
                COLUMNS[i].id,
                COLUMNS[i].width if self.isColumnHidden(i) else self.columnWidth(i),
                not self.isColumnHidden(i),
            )
            for i in order
        ]

    def apply_columns(self, wanted: Sequence[ColumnSetting]) -> None:
        """Arrange the columns as remembered; unknown ones are passed over."""
        header = self.horizontalHeader()
        known = [setting for setting in wanted if setting.id in COLUMN_INDEX]
        for place, setting in enumerate(known):
            index = COLUMN_INDEX[setting.id]
            header.moveSection(header.visualIndex(index), place)
            self.setColumnHidden(index, not setting.visible)
            self.setColumnWidth(index, max(setting.width, 24))

    def columns_menu(self, parent: QWidget) -> QMenu:
        """A menu that shows and hides columns; its ticks are set whenever it opens."""
        menu = QMenu("&Columns", parent)
        for index, column in enumerate(COLUMNS):
            action = menu.addAction(column.title)
            action.setCheckable(True)
            action.setEnabled(column.id != "name")
            action.setToolTip(plain_tip(column.about))
            action.triggered.connect(lambda shown, i=index: self.setColumnHidden(i, not shown))
        menu.aboutToShow.connect(lambda: self._tick_columns(menu))
        return menu

    def _tick_columns(self, menu: QMenu) -> None:
        for index, action in enumerate(menu.actions()):
            action.setChecked(not self.isColumnHidden(index))

    def _header_menu(self, place: QPoint) -> None:
        menu = self.columns_menu(self)
        menu.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        menu.popup(self.horizontalHeader().mapToGlobal(place))

    # Rows.

    def selected_domains(self) -> list[Domain]:
        """The chosen domains, from top to bottom."""
        rows = sorted(index.row() for index in self.selectionModel().selectedRows())
        return [d for row in rows if (d := self._model.domain(self._model.key_at(row)))]

    def select(self, keys: Sequence[DomainKey]) -> None:
        """Choose these domains."""
        self._kept = (list(keys), keys[0] if keys else None)
        self._restore_selection()

    def edit_name(self) -> None:
        """Let the user type another name in the row itself."""
        rows = self.selectionModel().selectedRows()
        if len(rows) == 1:
            index = self._model.index(rows[0].row(), COLUMN_INDEX["name"])
            self.setCurrentIndex(index)
            self.edit(index)

    def visible_keys(self) -> list[DomainKey]:
        """The domains on screen."""
        if not self.isVisible() or not self._model.rowCount():
            return []
        first = self.rowAt(0)
        last = self.rowAt(self.viewport().height() - 1)
        last = self._model.rowCount() - 1 if last < 0 else last
        return [self._model.key_at(row) for row in range(max(first, 0), last + 1)]

    def _announce_visible(self) -> None:
        self.visible_changed.emit(self.visible_keys())

    def _keep_selection(self) -> None:
        current = self.currentIndex()
        key = self._model.key_at(current.row()) if current.isValid() else None
        self._kept = ([domain.key for domain in self.selected_domains()], key)

    def _restore_selection(self) -> None:
        keys, current = self._kept
        selection = self.selectionModel()
        selection.clearSelection()
        flags = selection.SelectionFlag.Select | selection.SelectionFlag.Rows
        if current is not None and (row := self._model.row_of(current)) is not None:
            selection.setCurrentIndex(self._model.index(row, 0), selection.SelectionFlag.NoUpdate)
        for key in keys:
            if (row := self._model.row_of(key)) is not None:
                selection.select(self._model.index(row, 0), flags)

    # Qt's own events.

    def take_files(self, dragged: DraggedFiles, target: Domain, _event: QDropEvent) -> None:
        self.files_dropped.emit(dragged, target)

    def file_target(self, event: QDropEvent) -> Domain | None:
        index = self.indexAt(event.position().toPoint())
        domain = self._model.domain(self._model.key_at(index.row())) if index.isValid() else None
        return domain if domain and (domain.is_host or OPERATIONS["send-files"].applies(domain)) else None

    def dragEnterEvent(self, event: QDragEnterEvent) -> None:
        if holds_device(event.mimeData()):
            event.acceptProposedAction()
        else:
            super().dragEnterEvent(event)

    def dragMoveEvent(self, event: QDragMoveEvent) -> None:
        if not holds_device(event.mimeData()):
            super().dragMoveEvent(event)
        elif self._device_target(event):
            event.setDropAction(Qt.DropAction.CopyAction)
            event.accept()
        else:
            event.ignore()

    def dropEvent(self, event: QDropEvent) -> None:
        if not holds_device(event.mimeData()):
            super().dropEvent(event)
            return
        target, key = self._device_target(event), device_key(event.mimeData())
        if target and key:
            event.setDropAction(Qt.DropAction.CopyAction)
            event.accept()
            self.device_dropped.emit(key, target)

    def _device_target(self, event: QDropEvent) -> Domain | None:
        index = self.indexAt(event.position().toPoint())
        domain = self._model.domain(self._model.key_at(index.row())) if index.isValid() else None
        return domain if domain and OPERATIONS["devices"].applies(domain) else None

    def resizeEvent(self, event: QResizeEvent) -> None:
        super().resizeEvent(event)
        self._visible_timer.start()

    def showEvent(self, event: QShowEvent) -> None:
        super().showEvent(event)
        self._visible_timer.start()

    def hideEvent(self, event: QHideEvent) -> None:
        super().hideEvent(event)
        self._visible_timer.stop()
        self.visible_changed.emit([])

    def sizeHintForRow(self, row: int) -> int:
        """All rows have one height; measuring each would cost with their number."""
        return self.verticalHeader().defaultSectionSize()
