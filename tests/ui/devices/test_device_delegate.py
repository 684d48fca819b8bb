"""How rows of devices are drawn: what is new has a badge, what is free is faint, sections are bold."""

from dataclasses import replace

import pytest
from PySide6.QtGui import QIcon, QImage, QPalette
from PySide6.QtWidgets import QStyleOptionViewItem, QTreeView
from pytestqt.qtbot import QtBot

from qubes_manager.core.devices.block import BlockDevice
from qubes_manager.models.device_tree import Listing
from qubes_manager.models.devices_model import NAME, WHERE, DevicesModel
from qubes_manager.services.devices.kind import Offered
from qubes_manager.services.devices.watch import identity
from qubes_manager.ui.devices.device_delegate import DeviceDelegate
from tests.device_samples import HELD, STICK, URI

BADGE = "#2a7d4f"


class Drawn:
    """A tree of one device."""

    def __init__(self, qtbot: QtBot) -> None:
        self.model = DevicesModel(lambda _name: QIcon(), lambda _domain: None)
        self.view = QTreeView()
        self.view.setModel(self.model)
        self.delegate = DeviceDelegate(self.view)
        self.view.setItemDelegate(self.delegate)
        self.view.resize(900, 200)
        qtbot.addWidget(self.view)

    def show(self, device: BlockDevice, *, is_new: bool = False, is_held: bool = False) -> QImage:
        offered = Offered(device, (HELD,) if is_held else ())
        new = frozenset({identity(device)}) if is_new else frozenset()
        self.model.show([Listing(URI, (offered,), new)])
        self.view.expandAll()
        self.view.setColumnWidth(NAME, 300)
        return self.view.grab().toImage()

    def option(self, column: int, *, of_section: bool = False) -> QStyleOptionViewItem:
        section = self.model.index(0, 0)
        index = section if of_section else self.model.index(0, column, section)
        option = QStyleOptionViewItem()
        self.delegate.initStyleOption(option, index)
        return option


@pytest.fixture
def drawn(qtbot: QtBot) -> Drawn:
    return Drawn(qtbot)


def places(image: QImage) -> list[int]:
    """How far to the right the badge is drawn."""
    every = ((x, y) for x in range(image.width()) for y in range(image.height()))
    return [x for x, y in every if image.pixelColor(x, y).name() == BADGE]


def test_only_what_is_new_has_a_badge(drawn: Drawn) -> None:
    assert len(places(drawn.show(STICK, is_new=True))) > 100
    assert places(drawn.show(STICK)) == []


def test_a_long_name_gives_way_to_the_badge(drawn: Drawn) -> None:
    found = places(drawn.show(replace(STICK, model="x" * 60), is_new=True))
    assert found and max(found) < 300, "it stays within its column"


def test_what_is_free_is_faint_and_a_section_is_bold(drawn: Drawn) -> None:
    drawn.show(STICK)
    faint = drawn.view.palette().color(QPalette.ColorRole.PlaceholderText)
    assert drawn.option(WHERE).palette.color(QPalette.ColorRole.Text) == faint
    assert drawn.option(NAME).palette.color(QPalette.ColorRole.Text) != faint
    assert drawn.option(NAME, of_section=True).font.bold() and not drawn.option(NAME).font.bold()
    drawn.show(STICK, is_held=True)
    assert drawn.option(WHERE).palette.color(QPalette.ColorRole.Text) != faint
