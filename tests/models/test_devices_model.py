"""The Qt model of the devices: rows that change as little as they must."""

import pytest
from PySide6.QtCore import QItemSelectionModel, QMimeData, QModelIndex, Qt
from PySide6.QtGui import QIcon, QPixmap
from PySide6.QtTest import QAbstractItemModelTester
from PySide6.QtWidgets import QApplication, QTreeView
from pytestqt.qtbot import QtBot

from qubes_manager.core.devices.device import Device
from qubes_manager.models.device_tree import Listing
from qubes_manager.models.devices_model import NEW_ROLE, WHERE, DevicesModel, device_key, device_mime, holds_device
from qubes_manager.services.devices.kind import Offered
from qubes_manager.services.devices.watch import identity
from tests.device_samples import CAMERA, DISC, HELD, KEYBOARD, PART, STICK, SYSTEM, URI, USB_STICK

Cell = Qt.ItemDataRole


class Watched:
    """A model that a tester looks at, with what it said of its changes."""

    def __init__(self) -> None:
        self.pictures: list[str] = []
        self.model = DevicesModel(self._icon, lambda domain: self._icon(domain.name))
        self.tester = QAbstractItemModelTester(self.model, QAbstractItemModelTester.FailureReportingMode.Fatal)
        self.said: list[tuple[str, str]] = []
        self.model.rowsInserted.connect(lambda parent, first, _last: self._note("came", parent, first))
        self.model.rowsAboutToBeRemoved.connect(lambda parent, first, _last: self._note("went", parent, first))
        self.model.rowsMoved.connect(lambda parent, _first, _last, _to, row: self._note("moved", parent, row))
        self.model.dataChanged.connect(lambda first, _last, _roles: self.said.append(("changed", first.data())))
        self.model.modelReset.connect(lambda: self.said.append(("reset", "")))

    def show(self, *devices: Device | Offered, new: tuple[Device, ...] = ()) -> list[tuple[str, str]]:
        offered = tuple(one if isinstance(one, Offered) else Offered(one) for one in devices)
        self.said.clear()
        self.model.show([Listing(URI, offered, frozenset(map(identity, new)))])
        return list(self.said)

    def _icon(self, name: str) -> QIcon:
        self.pictures.append(name)
        return QIcon(QPixmap(4, 4))

    def _note(self, what: str, parent: QModelIndex, row: int) -> None:
        self.said.append((what, self.model.index(row, 0, parent).data()))

    def texts(self, parent: QModelIndex | None = None) -> list[str]:
        parent = parent or QModelIndex()
        found = []
        for row in range(self.model.rowCount(parent)):
            index = self.model.index(row, 0, parent)
            found += [index.data(), *(f"  {text}" for text in self.texts(index))]
        return found


@pytest.fixture
def watched(qapp: QApplication) -> Watched:
    return Watched()


def key(device: Device) -> tuple[str, str, str, str]:
    return ("", *identity(device))


def test_sections_have_devices_and_devices_their_parts(watched: Watched) -> None:
    watched.show(STICK, PART, USB_STICK, KEYBOARD)
    assert watched.texts() == [
        "Drives",
        "  “SanDisk Ultra”",
        "    Partition 1 “HOLIDAY”",
        "    The whole USB device",
        "USB devices",
        "  “Logitech USB Keyboard”",
    ]
    row = watched.model.index_of(key(STICK))
    assert [row.siblingAtColumn(column).data() for column in range(4)] == [
        "“SanDisk Ultra”",
        "28.7 GiB, USB drive",
        "free",
        "sdb",
    ]


def test_only_what_changed_is_told(watched: Watched) -> None:
    watched.show(SYSTEM, STICK)
    assert watched.show(SYSTEM, STICK) == []
    assert watched.show(SYSTEM, Offered(STICK, (HELD,))) == [("changed", "“SanDisk Ultra”")]
    assert watched.show(SYSTEM, Offered(STICK, (HELD,)), new=(STICK,)) == [("changed", "“SanDisk Ultra”")]
    assert watched.show(SYSTEM, STICK, DISC) == [("changed", "“SanDisk Ultra”"), ("came", "Discs")]
    assert watched.show(STICK, SYSTEM, DISC) == [("moved", "“SanDisk Ultra”")]
    assert watched.show(STICK, DISC) == [("went", "“Samsung SSD”")]
    assert watched.show() == [("went", "Discs"), ("went", "Drives")]
    assert watched.texts() == []


def test_who_is_chosen_stays_so_while_others_come_and_go(watched: Watched, qtbot: QtBot) -> None:
    view = QTreeView()
    qtbot.addWidget(view)
    view.setModel(watched.model)
    watched.show(SYSTEM, STICK, PART, KEYBOARD)
    flags = QItemSelectionModel.SelectionFlag.ClearAndSelect | QItemSelectionModel.SelectionFlag.Rows
    view.selectionModel().select(watched.model.index_of(key(PART)), flags)
    watched.show(STICK, PART, CAMERA)
    watched.show(DISC, CAMERA, KEYBOARD, STICK, PART, SYSTEM)
    assert [index.data() for index in view.selectionModel().selectedRows()] == ["Partition 1 “HOLIDAY”"]
    watched.show(DISC)
    assert view.selectionModel().selectedRows() == []


def test_another_device_in_a_port_is_another_row(watched: Watched) -> None:
    watched.show(STICK)
    other = type(STICK)("/dev/sdb", bus="usb", vendor="Evil", model="Twin", place="usb-2-1")
    assert watched.show(other) == [("went", "“SanDisk Ultra”"), ("came", "“Evil Twin”")]


def test_pictures_badges_and_what_a_screen_reader_says(watched: Watched) -> None:
    watched.show(Offered(STICK, (HELD,)), SYSTEM, USB_STICK, new=(STICK,))
    stick, system = watched.model.index_of(key(STICK)), watched.model.index_of(key(SYSTEM))
    assert stick.data(NEW_ROLE) is True and not system.data(NEW_ROLE)
    assert stick.data(Cell.AccessibleTextRole) == "“SanDisk Ultra”, new"
    watched.pictures.clear()
    for index in (stick, watched.model.index_of(key(USB_STICK)), stick.siblingAtColumn(WHERE)):
        assert index.data(Cell.DecorationRole)
    assert system.siblingAtColumn(WHERE).data(Cell.DecorationRole)
    assert watched.pictures == ["device-drive", "device-usb", "untrusted", "host"]


def test_a_device_is_dragged_by_its_name_and_strangers_data_is_none(watched: Watched) -> None:
    watched.show(STICK, PART)
    index = watched.model.index_of(key(PART))
    data = watched.model.mimeData([index, index.siblingAtColumn(1)])
    assert holds_device(data) and device_key(data) == key(PART)
    assert index.flags() & Qt.ItemFlag.ItemIsDragEnabled
    section = watched.model.index(0, 0)
    assert not section.flags() & Qt.ItemFlag.ItemIsDragEnabled
    assert device_key(watched.model.mimeData([section])) is None
    assert device_key(device_mime(("", "usb", "2-1", "x"))) == ("", "usb", "2-1", "x")
    for text in (
        b"",
        b"{",
        b"[1, 2, 3, 4]",
        b'["a", "b"]',
        b'"abcd"',
        b"[" * 3000,
        b'["%s", "", "", ""]' % (b"x" * 9999),
    ):
        foreign = QMimeData()
        foreign.setData("application/x-qubes-manager-device", text)
        assert device_key(foreign) is None
    assert watched.model.find(("", "usb", "nowhere", "")) is None
    assert not watched.model.index_of(("", "usb", "nowhere", "")).isValid()
