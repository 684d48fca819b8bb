"""The page of devices: a tree by kind, and below it what to do with the chosen one."""

from collections.abc import Callable, Sequence

from PySide6.QtCore import QModelIndex, QPersistentModelIndex, QPoint, QSize, Qt, Signal
from PySide6.QtGui import QAction, QShowEvent
from PySide6.QtWidgets import (
    QAbstractItemView,
    QHBoxLayout,
    QHeaderView,
    QMenu,
    QPushButton,
    QStackedWidget,
    QTreeView,
    QVBoxLayout,
    QWidget,
)

from qubes_manager.core.devices.identity import DeviceClass
from qubes_manager.core.domain import Domain, DomainKey
from qubes_manager.core.text import one_line, plain_tip
from qubes_manager.models.device_tree import Entry, Key, Listing
from qubes_manager.models.devices_model import NAME, ROOT, DevicesModel
from qubes_manager.ui.devices.device_delegate import DeviceDelegate
from qubes_manager.ui.devices.device_menu import clear, ignore_held_keys
from qubes_manager.ui.devices.devices_tree import DevicesTree
from qubes_manager.ui.devices.domain_box import DomainBox
from qubes_manager.ui.devices.giving import refusal, sole_holder, taken
from qubes_manager.ui.feedback.empty_state import EmptyState
from qubes_manager.ui.look.icons import icon
from qubes_manager.ui.look.plain import PlainLabel

_EMPTY = (
    "Plug a stick, a camera or a phone in: it appears here, and nothing opens it until you give it to a domain. "
    "An image file can be given like a drive."
)
_CHOOSE = "Nothing is attached by itself. Drag a device onto a domain, or choose both here."
_LOOKING = "Looking for devices…"
# Pixels.
_HEIGHT = 260
_DOMAIN_LETTERS = 14


class DevicesPage(QWidget):
    """Shows a model. *fill_menu* puts what can be done with a device into a menu, *add_image* asks for an image file.

    ``attach`` says that a device is to go to a domain, ``detach`` that those who have it are to lose it.
    """

    attach = Signal(object, object)
    detach = Signal(object)

    def __init__(self, model: DevicesModel, fill_menu: Callable[[QMenu, Entry], object], add_image: QAction) -> None:
        super().__init__()
        self._model = model
        self._fill_menu = fill_menu
        # The device that the user chose, there or not: no other is chosen in its place when it goes.
        self._chosen: Key | None = None
        self._is_showing = False
        self._trouble, self._is_listing = "", True
        self._domains: Sequence[Domain] = ()
        self.tree = self._make_tree()
        self.empty = EmptyState("No devices yet", _EMPTY, [add_image], picture=False)
        self._pages = QStackedWidget()
        self._pages.addWidget(self.tree)
        self._pages.addWidget(self.empty)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(4, 4, 4, 4)
        layout.addWidget(self._pages, 1)
        self.hearing = PlainLabel(wraps=True)
        font = self.hearing.font()
        font.setBold(True)
        self.hearing.setFont(font)
        self.hearing.hide()
        layout.addWidget(self.hearing)
        self.controls = QWidget()
        self.controls.setLayout(self._controls(add_image))
        layout.addWidget(self.controls)
        self._update()

    def _make_tree(self) -> QTreeView:
        tree = DevicesTree()
        tree.setModel(self._model)
        tree.setItemDelegate(DeviceDelegate(tree))
        tree.setAccessibleName("Devices")
        tree.setUniformRowHeights(True)
        tree.setEditTriggers(QAbstractItemView.EditTrigger.NoEditTriggers)
        tree.setSelectionBehavior(QAbstractItemView.SelectionBehavior.SelectRows)
        tree.setDragEnabled(True)
        tree.setDragDropMode(QAbstractItemView.DragDropMode.DragOnly)
        tree.setContextMenuPolicy(Qt.ContextMenuPolicy.CustomContextMenu)
        tree.setHorizontalScrollMode(QAbstractItemView.ScrollMode.ScrollPerPixel)
        tree.setExpandsOnDoubleClick(False)
        header = tree.header()
        header.setSectionResizeMode(QHeaderView.ResizeMode.Interactive)
        tree.customContextMenuRequested.connect(self._show_menu)
        tree.activated.connect(self._activated)
        tree.selectionModel().selectionChanged.connect(lambda *_: self._on_selected())
        self._model.rowsInserted.connect(self._open)
        return tree

    def _controls(self, add_image: QAction) -> QHBoxLayout:
        self.hint = PlainLabel(_CHOOSE, wraps=True)
        self.domain = DomainBox()
        self.domain.setAccessibleName("Domain that gets the device")
        self.domain.setSizeAdjustPolicy(DomainBox.SizeAdjustPolicy.AdjustToMinimumContentsLengthWithIcon)
        self.domain.setMinimumContentsLength(_DOMAIN_LETTERS)
        self.domain.currentIndexChanged.connect(lambda _row: self._update())
        self.attach_button = QPushButton("Attach")
        self.attach_button.clicked.connect(self._attach)
        self.detach_button = QPushButton("Detach")
        self.detach_button.clicked.connect(self._detach)
        self.more_button = QPushButton("More")
        self.more_button.setToolTip("All that can be done with the device")
        self._more = QMenu("More", self)
        ignore_held_keys(self._more)
        self._more.aboutToShow.connect(self._fill_more)
        self.more_button.setMenu(self._more)
        self.image_button = QPushButton(icon("device-image"), add_image.text().replace("&", ""))
        self.image_button.setToolTip(plain_tip(add_image.toolTip()))
        self.image_button.clicked.connect(add_image.trigger)
        title = PlainLabel("Give it to:")
        title.setBuddy(self.domain)
        row = QHBoxLayout()
        row.setContentsMargins(0, 0, 0, 0)
        row.addWidget(self.hint, 1)
        for widget in (title, self.domain, self.attach_button, self.detach_button, self.more_button, self.image_button):
            row.addWidget(widget)
        return row

    # What is there.

    @property
    def chosen(self) -> Entry | None:
        """The device that the user chose, while it is there."""
        entry = self._selected()
        return entry if entry and entry.key == self._chosen else None

    @property
    def target(self) -> Domain | None:
        """The domain that is chosen."""
        return self.domain.domain

    def show_devices(self, listings: Sequence[Listing], domains: Sequence[Domain], *, is_listing: bool) -> None:
        """Show what there is now, and the domains that could get it. *is_listing*: more is to come."""
        self._is_showing = True
        try:
            self._model.show(listings)
            self._choose_again()
        finally:
            self._is_showing = False
        self._trouble = "; ".join(listing.trouble for listing in listings if listing.trouble)
        self._is_listing = is_listing
        is_empty = not self._model.sections and not is_listing
        self._pages.setCurrentWidget(self.empty if is_empty else self.tree)
        self.controls.setVisible(not is_empty or bool(self._trouble))
        self._domains = domains
        if self.isVisible():
            # Thousands of domains are no work while nobody looks.
            self.domain.offer_domains(domains)
        self._update()

    def choose(self, key: Key) -> None:
        """Choose a device, now or when it comes."""
        self._chosen = key
        self._is_showing = True
        try:
            self._choose_again()
        finally:
            self._is_showing = False
        self._update()

    def say_hearing(self, words: str) -> None:
        """Say who hears the microphone; nothing where nobody does."""
        self.hearing.setText(f"{words}." if words else "")
        self.hearing.setVisible(bool(words))

    def choose_domain(self, key: DomainKey) -> None:
        """Propose a domain for what is attached next, now or when it comes."""
        self.domain.choose(key)

    def _selected(self) -> Entry | None:
        rows = self.tree.selectionModel().selectedRows()
        return self._model.entry(rows[0]) if rows else None

    def _on_selected(self) -> None:
        # Where rows go, Qt chooses the next one: that is nobody's choice.
        if not self._is_showing:
            entry = self._selected()
            self._chosen = entry.key if entry else None
            self._update()

    def _choose_again(self) -> None:
        """Let the device that the user chose be chosen, and nothing where it is not there."""
        selected = self._selected()
        if self._chosen is None:
            if selected:
                self.tree.selectionModel().clear()
            return
        if selected and selected.key == self._chosen:
            return
        index = self._model.index_of(self._chosen)
        if index.isValid():
            self.tree.setCurrentIndex(index)
            self.tree.scrollTo(index)
        else:
            self.tree.selectionModel().clear()

    def recolour(self) -> None:
        """Take the icon anew after a change of colours."""
        self.image_button.setIcon(icon("device-image"))

    def showEvent(self, event: QShowEvent) -> None:
        super().showEvent(event)
        self.domain.offer_domains(self._domains)
        self._update()

    def sizeHint(self) -> QSize:
        return QSize(super().sizeHint().width(), _HEIGHT)

    def _open(self, parent: QModelIndex | QPersistentModelIndex, first: int, last: int) -> None:
        """Open what has come: sections but that of this machine's many cards, and sticks."""
        for row in range(first, last + 1):
            index = self._model.index(row, NAME, parent)
            entry = self._model.entry(index)
            if entry is None:
                self.tree.setFirstColumnSpanned(row, QModelIndex(ROOT), True)
                below = self._model.entry(self._model.index(0, NAME, index))
                self.tree.setExpanded(index, below is not None and below.device.klass is not DeviceClass.PCI)
                self._open(index, 0, self._model.rowCount(index) - 1)
            elif entry.parts:
                self.tree.setExpanded(index, not any(one.device.in_use for one in entry.walk()))

    # What can be done.

    def _update(self) -> None:
        entry, domain = self.chosen, self.target
        moving = sole_holder(entry) if entry else None
        reason = refusal(entry, domain, moving=moving) if entry and domain else "nothing is chosen"
        self.domain.offer_machine(entry.key[0] if entry else None)
        self.attach_button.setText("Move" if moving and not reason else "Attach")
        self.attach_button.setEnabled(not reason)
        self.detach_button.setEnabled(entry is not None and bool(entry.holders))
        self.more_button.setEnabled(entry is not None)
        self.hint.setText(self._hint(entry, domain, reason))

    def _hint(self, entry: Entry | None, domain: Domain | None, reason: str) -> str:
        if self._trouble:
            return f"⚠ {self._trouble[:1].upper()}{self._trouble[1:]}"
        if entry is None:
            return _LOOKING if self._is_listing and not self._model.sections else _CHOOSE
        if (why := taken(entry)) and not entry.holders:
            return f"{entry.title}: {why}."
        if domain is None:
            return f"{entry.title}: choose the domain that is to get it, or drag it there."
        name = one_line(domain.shown_name, 60)
        if reason:
            return f"{reason}."
        return f"{entry.title} can go to “{name}”."

    def _attach(self) -> None:
        entry, domain = self.chosen, self.target
        if entry and domain:
            self.attach.emit(entry, domain.key)

    def _detach(self) -> None:
        if entry := self.chosen:
            self.detach.emit(entry)

    def _fill_more(self) -> None:
        clear(self._more)
        if entry := self.chosen:
            self._fill_menu(self._more, entry)

    def _activated(self, index: QModelIndex) -> None:
        if self._model.entry(index) is None:
            self.tree.setExpanded(index, not self.tree.isExpanded(index))
        else:
            self._open_menu(self._model.entry(index), self.tree.visualRect(index).bottomLeft())

    def _show_menu(self, place: QPoint) -> None:
        # The key for menus has no place of its own.
        index = self.tree.indexAt(place)
        self._open_menu(self._model.entry(index if index.isValid() else self.tree.currentIndex()), place)

    def _open_menu(self, entry: Entry | None, place: QPoint) -> None:
        if entry is None:
            return
        menu = QMenu(self)
        ignore_held_keys(menu)
        menu.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        self._fill_menu(menu, entry)
        menu.popup(self.tree.viewport().mapToGlobal(place))
