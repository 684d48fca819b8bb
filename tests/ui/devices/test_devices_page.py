"""The page of devices: what it shows, what it says of the chosen one, and what its buttons ask for."""

from dataclasses import replace

import pytest
from PySide6.QtCore import QEvent, QPoint, Qt
from PySide6.QtGui import QAction, QKeyEvent
from PySide6.QtTest import QTest
from PySide6.QtWidgets import QApplication, QMenu, QWidget
from pytestqt.qtbot import QtBot

from qubes_manager.core.devices.device import Device
from qubes_manager.core.domain import DomainKey
from qubes_manager.models.device_tree import Entry, Listing
from qubes_manager.models.devices_model import DevicesModel
from qubes_manager.services.devices.kind import Offered
from qubes_manager.services.devices.watch import identity
from qubes_manager.ui.devices.devices_page import DevicesPage
from qubes_manager.ui.look.icons import icon, label_icon
from tests.device_samples import (
    BANK,
    CAMERA,
    CARD,
    HELD,
    KEYBOARD,
    PART,
    STICK,
    SYSTEM,
    UNTRUSTED,
    URI,
    USB_STICK,
    VAULT,
    WORK,
)

DOMAINS = [WORK, UNTRUSTED, BANK, VAULT]
ENABLED = Qt.ItemFlag.ItemIsEnabled
Keys = tuple[str, str, str, str]


class Shown:
    """A page with a note of what it asks for."""

    def __init__(self, parent: QWidget) -> None:
        self.model = DevicesModel(icon, lambda domain: label_icon(domain.label))
        self.images: list[str] = []
        action = QAction("Add an &image file…", parent)
        action.triggered.connect(lambda: self.images.append("asked"))
        self.page = DevicesPage(self.model, self._fill, action)
        self.menus: list[str] = []
        self.asked: list[tuple[str, str]] = []
        self.page.attach.connect(lambda entry, key: self.asked.append((entry.device.port, key.uuid)))
        self.page.detach.connect(lambda entry: self.asked.append(("detach", entry.device.port)))

    def _fill(self, menu: QMenu, entry: Entry) -> None:
        menu.addAction("Do it")
        self.menus.append(entry.device.port)

    def has(self, *devices: Device | Offered, trouble: str = "", new: tuple[Device, ...] = ()) -> None:
        offered = tuple(one if isinstance(one, Offered) else Offered(one) for one in devices)
        listing = Listing(URI, offered, frozenset(map(identity, new)), trouble)
        self.page.show_devices([listing], DOMAINS, is_listing=False)

    def choose(self, device: Device, domain: str = "work") -> None:
        self.page.choose(key(device))
        self.page.choose_domain(next(one.key for one in DOMAINS if one.name == domain))

    def place(self, device: Device) -> QPoint:
        return self.page.tree.visualRect(self.model.index_of(key(device))).center()

    @property
    def enabled(self) -> set[str]:
        buttons = (self.page.attach_button, self.page.detach_button, self.page.more_button)
        return {button.text() for button in buttons if button.isEnabled()}

    @property
    def hint(self) -> str:
        return self.page.hint.text()


@pytest.fixture
def shown(qtbot: QtBot, parent: QWidget) -> Shown:
    shown = Shown(parent)
    qtbot.addWidget(shown.page)
    shown.page.show()
    return shown


def key(device: Device) -> Keys:
    return ("", *identity(device))


def test_where_nothing_is_plugged_in_it_says_what_to_do(shown: Shown) -> None:
    shown.page.show()
    assert shown.hint == "Looking for devices…"
    shown.has()
    assert shown.page.empty.isVisible() and not shown.page.controls.isVisible()
    shown.has(STICK)
    assert shown.page.tree.isVisible() and shown.page.controls.isVisible()
    shown.page.image_button.click()
    assert shown.images == ["asked"]


def test_sections_and_sticks_are_open_and_this_machine_s_own_is_not(shown: Shown) -> None:
    part = type(PART)("/dev/nvme0n1p1", kind="partition", whole="nvme0n1", partition=1, place="pci-1-part1")
    shown.has(SYSTEM, part, STICK, PART, CARD)
    tree, model = shown.page.tree, shown.model
    drives, cards = model.index(0, 0), model.index(1, 0)
    assert tree.isExpanded(drives) and not tree.isExpanded(cards)
    assert tree.isExpanded(model.index_of(key(STICK))) and not tree.isExpanded(model.index_of(key(SYSTEM)))
    tree.collapse(model.index_of(key(STICK)))
    shown.has(SYSTEM, part, STICK, PART, CARD, CAMERA)
    assert not tree.isExpanded(model.index_of(key(STICK))), "what the user closed stays closed"


def test_only_what_can_be_done_is_offered_and_the_line_says_why(shown: Shown) -> None:
    shown.has(SYSTEM, STICK, KEYBOARD, CARD)
    assert shown.enabled == set()
    assert shown.hint.startswith("Nothing is attached by itself.")
    shown.page.choose(key(STICK))
    # Nobody is to get it because his name comes first.
    assert (shown.page.target, shown.enabled) == (None, {"More"})
    assert shown.hint == "“SanDisk Ultra”: choose the domain that is to get it, or drag it there."
    for device, domain, enabled, hint in (
        (STICK, "work", {"Attach", "More"}, "“SanDisk Ultra” can go to “work”."),
        (STICK, "vault", {"More"}, "“vault” does not run."),
        (KEYBOARD, "bank", {"More"}, "“bank” never gets such devices (devices_denied has u03****)."),
        (SYSTEM, "work", {"More"}, "“Samsung SSD”: dom0 uses it: mounted at /."),
        (CARD, "vault", {"Attach", "More"}, "Network controller “Realtek RTL8111” can go to “vault”."),
        (CARD, "work", {"More"}, "“work” runs: it gets PCI devices at its start."),
    ):
        shown.choose(device, domain)
        assert (shown.enabled, shown.hint) == (enabled, hint), (device.port, domain)
    shown.has(Offered(STICK, (HELD,)), USB_STICK)
    shown.choose(STICK)
    assert shown.enabled == {"Move", "Detach", "More"}
    shown.choose(STICK, "untrusted")
    assert (shown.enabled, shown.hint) == ({"Detach", "More"}, "“untrusted” has it.")
    shown.choose(USB_STICK)
    assert (shown.enabled, shown.hint) == ({"More"}, "The whole USB device: “untrusted” has what it belongs to.")


def test_the_buttons_ask_for_what_is_chosen(shown: Shown) -> None:
    shown.has(Offered(STICK, (HELD,)), CAMERA)
    shown.choose(CAMERA, "bank")
    shown.page.attach_button.click()
    shown.choose(STICK)
    shown.page.detach_button.click()
    shown.page.more_button.menu().aboutToShow.emit()
    assert shown.asked == [("1-6", "bank"), ("detach", "sdb")]
    assert shown.menus == ["sdb"]


def test_return_and_the_menu_key_open_the_menu_of_a_device_and_return_folds_a_section(shown: Shown) -> None:
    shown.page.show()
    shown.has(STICK)
    tree = shown.page.tree
    shown.page.choose(key(STICK))
    QTest.keyClick(tree, Qt.Key.Key_Return)
    tree.customContextMenuRequested.emit(QPoint(-1, -1))
    assert shown.menus == ["sdb", "sdb"]
    for menu in shown.page.findChildren(QMenu):
        menu.close()
    drives = shown.model.index(0, 0)
    tree.setCurrentIndex(drives)
    QTest.keyClick(tree, Qt.Key.Key_Return)
    assert not tree.isExpanded(drives)


def test_domains_that_run_come_first_and_the_chosen_one_stays(shown: Shown) -> None:
    shown.has(STICK)
    box = shown.page.domain
    assert [box.itemText(row) for row in range(box.count())] == ["bank", "untrusted", "work", "vault (halted)"]
    # libvirt is asked anew each time, so that keys say the same and are not the same.
    shown.page.choose_domain(replace(WORK.key))
    shown.page.show_devices([], [WORK, VAULT], is_listing=False)
    assert box.currentText() == "work"
    shown.page.choose_domain(BANK.key)
    assert box.currentText() == "work", "it is not there yet"
    shown.page.show_devices([], DOMAINS, is_listing=False)
    assert box.currentText() == "bank"


def test_a_device_that_is_awaited_is_chosen_when_it_comes(shown: Shown) -> None:
    shown.has(CAMERA)
    shown.page.choose(key(STICK))
    assert shown.page.chosen is None
    shown.has(CAMERA, STICK)
    assert shown.page.chosen and shown.page.chosen.device == STICK


def test_no_other_is_chosen_where_the_chosen_one_goes(shown: Shown) -> None:
    shown.has(SYSTEM, STICK, KEYBOARD, CAMERA)
    selection = shown.page.tree.selectionModel()
    for chosen, rest in ((STICK, (SYSTEM, KEYBOARD, CAMERA)), (KEYBOARD, (SYSTEM, STICK, CAMERA)), (CAMERA, (STICK,))):
        shown.has(SYSTEM, STICK, KEYBOARD, CAMERA)
        shown.choose(chosen)
        assert "Attach" in shown.enabled
        shown.has(*rest)
        assert (shown.page.chosen, shown.enabled) == (None, set())
        assert not selection.hasSelection() and not selection.currentIndex().isValid()
        shown.page.attach_button.click()
        shown.page._attach()
        shown.page._detach()
        assert shown.asked == []
        shown.has(*rest, chosen)
        assert shown.page.chosen and shown.page.chosen.device == chosen, "it came back, and nothing else was chosen"


def test_one_that_comes_back_is_not_chosen_in_place_of_what_the_user_chose_since(shown: Shown) -> None:
    shown.has(STICK, CAMERA)
    shown.choose(STICK)
    shown.has(CAMERA)
    QTest.mouseClick(shown.page.tree.viewport(), Qt.MouseButton.LeftButton, pos=shown.place(CAMERA))
    assert shown.page.chosen and shown.page.chosen.device == CAMERA
    shown.has(STICK, CAMERA)
    assert shown.page.chosen and shown.page.chosen.device == CAMERA
    # Another one in its place is another one.
    twin = replace(CAMERA, product_id="b5a8")
    shown.has(STICK, twin)
    assert shown.page.chosen is None
    shown.page.tree.selectionModel().clearSelection()
    shown.has(STICK, CAMERA)
    assert shown.page.chosen and shown.page.chosen.device == CAMERA
    shown.page.tree.selectionModel().clearSelection()
    shown.has(STICK)
    shown.has(STICK, CAMERA)
    assert shown.page.chosen is None, "the user chose nothing"


def test_domains_of_other_machines_are_not_offered_for_a_device(shown: Shown) -> None:
    far = replace(WORK, key=DomainKey("qemu+ssh://far.example/system", "far"), name="far")
    shown.page.show_devices([Listing(URI, (Offered(STICK),))], [WORK, far], is_listing=False)
    box = shown.page.domain

    def enabled() -> dict[str, bool]:
        items = box.model()
        return {box.itemText(row): bool(items.flags(items.index(row, 0)) & ENABLED) for row in range(box.count())}

    assert enabled() == {"far": True, "work": True}
    shown.page.choose(key(STICK))
    assert enabled() == {"far": False, "work": True}
    shown.page.choose_domain(far.key)
    assert (shown.enabled, shown.hint) == ({"More"}, "“far” is on another machine.")
    shown.page.show_devices([Listing(URI, (Offered(STICK),))], [WORK, far, BANK], is_listing=False)
    assert enabled() == {"bank": True, "far": False, "work": True}


def test_what_the_user_chose_by_hand_is_not_changed_by_who_comes_later(shown: Shown) -> None:
    shown.page.show_devices([], [WORK, UNTRUSTED], is_listing=False)
    box = shown.page.domain
    shown.page.choose_domain(BANK.key)
    box.setCurrentIndex(box.findText("work"))
    box.activated.emit(box.currentIndex())
    shown.page.show_devices([], DOMAINS, is_listing=False)
    assert box.currentText() == "work"


def test_a_key_that_is_held_opens_nothing_and_the_menu_has_nothing_chosen(shown: Shown) -> None:
    shown.has(STICK)
    tree = shown.page.tree
    shown.page.choose(key(STICK))
    tree.setFocus()

    def press(*, held: bool) -> QKeyEvent:
        return QKeyEvent(QEvent.Type.KeyPress, Qt.Key.Key_Return, Qt.KeyboardModifier.NoModifier, "\r", held)

    QApplication.sendEvent(tree, press(held=True))
    assert shown.menus == []
    QApplication.sendEvent(tree, press(held=False))
    assert shown.menus == ["sdb"]
    [menu] = [one for one in shown.page.findChildren(QMenu) if one.isVisible()]
    assert menu.activeAction() is None
    for _ in range(3):
        QApplication.sendEvent(menu, press(held=True))
    assert menu.isVisible() and menu.activeAction() is None
    menu.close()


def test_what_keeps_devices_from_being_listed_is_said(shown: Shown) -> None:
    shown.has(STICK, trouble="lsblk is not there: install util-linux")
    assert shown.hint == "⚠ Lsblk is not there: install util-linux"


def test_domains_are_no_work_while_nobody_looks(shown: Shown) -> None:
    shown.page.hide()
    shown.has(STICK)
    assert shown.page.domain.count() == 0
    shown.page.show()
    assert shown.page.domain.count() == len(DOMAINS)


def test_every_control_has_a_name(shown: Shown) -> None:
    page = shown.page
    assert page.tree.accessibleName() == "Devices"
    assert page.domain.accessibleName() == "Domain that gets the device"
    for button in (page.attach_button, page.detach_button, page.more_button, page.image_button):
        assert button.text()
