"""The dock of devices in its window: the ways that lead to it, and what is dropped on domains."""

from collections.abc import Sequence

import pytest
import qasync
from PySide6.QtCore import QMimeData, QPoint, QPointF, Qt
from PySide6.QtGui import QDragEnterEvent, QDragMoveEvent, QDropEvent
from PySide6.QtWidgets import QApplication, QMenu
from pytestqt.qtbot import QtBot

from qubes_manager.core.devices.device import Device
from qubes_manager.core.domain import HOST_UUID, DomainKey
from qubes_manager.core.settings import Settings
from qubes_manager.models.devices_model import DevicesModel, device_mime
from qubes_manager.services.assembly import Services
from qubes_manager.services.devices.kind import Offered
from qubes_manager.services.devices.watch import DeviceNews, identity
from qubes_manager.services.hosts.store import HostPhase, HostStatus
from qubes_manager.ui.devices.devices_menu import DevicesMenu, DomainDevicesMenu
from qubes_manager.ui.look.theme import set_appearance
from qubes_manager.ui.main_window import MainWindow
from tests.build import domain
from tests.device_samples import BANK, CAMERA, HELD, STICK, UNTRUSTED, URI, WORK
from tests.ui.conftest import press, run, shown_box
from tests.ui.devices.conftest import Asked
from tests.waiting import until

HOST = domain("dom0", key=DomainKey(URI, HOST_UUID))


class Scene:
    """A window with domains and devices, whose giving is noted."""

    def __init__(self, services: Services, qtbot: QtBot) -> None:
        self.services = services
        self.devices = Asked(services)
        services.__dict__["devices"] = self.devices
        self.window = MainWindow(services, Settings(setup_offered=True))
        qtbot.addWidget(self.window)

    async def has(self, *devices: Device | Offered) -> None:
        store = self.services.store
        store.set_host(HostStatus(URI, HostPhase.CONNECTED))
        store.put([WORK, UNTRUSTED, BANK, HOST])
        store.flush()
        watches = self.window.devices.watches
        watches._connected[URI] = None
        offered = tuple(one if isinstance(one, Offered) else Offered(one) for one in devices)
        watches._watch(URI).news = DeviceNews(offered)
        watches.changed.emit()
        self.window.resize(1200, 700)
        self.window.show()
        QApplication.processEvents()

    @property
    def model(self) -> DevicesModel:
        return self.window.devices.model

    def point(self, key: DomainKey) -> QPoint:
        row = self.window.model.row_of(key)
        assert row is not None
        return self.window.view.visualRect(self.window.model.index(row, 1)).center()

    def drop(self, data: QMimeData, key: DomainKey) -> bool:
        """Drag something onto a domain's row; returns whether it was taken."""
        view, place = self.window.view, self.point(key)
        actions, left, none = Qt.DropAction.CopyAction, Qt.MouseButton.LeftButton, Qt.KeyboardModifier.NoModifier
        enter = QDragEnterEvent(place, actions, data, left, none)
        view.dragEnterEvent(enter)
        move = QDragMoveEvent(place, actions, data, left, none)
        view.dragMoveEvent(move)
        drop = QDropEvent(QPointF(place), actions, data, left, none)
        view.dropEvent(drop)
        return enter.isAccepted() and move.isAccepted()


@pytest.fixture
def scene(loop: qasync.QEventLoop, qtbot: QtBot, services: Services) -> Scene:
    return Scene(services, qtbot)


def key(device: Device) -> tuple[str, str, str, str]:
    return ("", *identity(device))


def test_it_is_shown_and_hidden_by_its_key_and_opens_for_a_domain(loop: qasync.QEventLoop, scene: Scene) -> None:
    async def work() -> None:
        await scene.has(STICK)
        window = scene.window
        assert not window.devices.isVisible(), "who has no use for it does not see it"
        window.window_actions["devices-page"].trigger()
        assert window.devices.isVisible() and window.current_settings().show_devices
        window.window_actions["devices-page"].trigger()
        assert not window.devices.isVisible()
        window.view.select([BANK.key])
        window.domain_actions["devices"].trigger()
        await until(window.devices.isVisible)
        assert window.devices.page.target == BANK
        assert window.window_actions["devices-page"].isChecked()
        window.window_actions["devices-page"].trigger()
        window.window_actions["all-devices"].trigger()
        assert window.devices.isVisible()

    run(loop, work())


def test_a_device_is_dragged_onto_a_domain_and_from_who_has_it(loop: qasync.QEventLoop, scene: Scene) -> None:
    async def work() -> None:
        await scene.has(STICK, Offered(CAMERA, (HELD,)))
        assert scene.drop(device_mime(key(STICK)), WORK.key)
        await until(lambda: scene.devices.done == [("attach", "work", "sdb", {})])
        assert scene.drop(device_mime(key(CAMERA)), BANK.key)
        press(await shown_box(), "Move")
        await until(lambda: scene.devices.done[1:] == [("move", "untrusted", "bank")])

    run(loop, work())


def test_nothing_is_dropped_on_the_host_and_no_stranger_s_data_anywhere(loop: qasync.QEventLoop, scene: Scene) -> None:
    async def work() -> None:
        await scene.has(STICK)
        assert not scene.drop(device_mime(key(STICK)), HOST.key)
        gone = device_mime(("", "usb", "usb-9-9", "x"))
        scene.drop(gone, WORK.key)
        foreign = QMimeData()
        foreign.setData("application/x-qubes-manager-device", b'{"a": 1}')
        scene.drop(foreign, WORK.key)
        text = QMimeData()
        text.setText("no device, and no file")
        assert not scene.drop(text, WORK.key)
        assert scene.devices.done == []

    run(loop, work())


def menus(window: MainWindow, kind: type[QMenu]) -> Sequence[QMenu]:
    return window.findChildren(kind)


def test_menu_bar_and_rows_lead_to_the_same_devices(loop: qasync.QEventLoop, scene: Scene) -> None:
    async def work() -> None:
        await scene.has(STICK)
        [listed] = menus(scene.window, DevicesMenu)
        assert scene.window.window_actions["device-list"].menu() is listed
        listed.aboutToShow.emit()
        assert any("SanDisk" in action.text() for action in listed.actions())
        [giving] = menus(scene.window, DomainDevicesMenu)
        assert giving.menuAction() in scene.window._context_menu.actions()
        scene.window.view.select([WORK.key])
        giving.aboutToShow.emit()
        giving.actions()[0].trigger()
        await until(lambda: scene.devices.done == [("attach", "work", "sdb", {})])

    run(loop, work())


def test_what_a_domain_has_is_taken_back_by_the_page(loop: qasync.QEventLoop, scene: Scene) -> None:
    async def work() -> None:
        await scene.has(Offered(STICK, (HELD,)))
        page = scene.window.devices.page
        page.choose(key(STICK))
        page.detach_button.click()
        await until(lambda: scene.devices.done == [("detach", "untrusted", "sda", False)])

    run(loop, work())


def test_it_takes_the_colours_that_are_chosen(loop: qasync.QEventLoop, scene: Scene) -> None:
    async def work() -> None:
        await scene.has(STICK)
        scene.window.devices.show()
        light = scene.window.devices.grab().toImage()
        set_appearance("dark")
        QApplication.processEvents()
        dark = scene.window.devices.grab().toImage()
        set_appearance("light")
        place = QPoint(light.width() // 2, light.height() // 2)
        assert light.pixelColor(place).lightness() > 200 > 100 > dark.pixelColor(place).lightness()
        assert scene.model.sections

    run(loop, work())


def test_who_hears_is_seen_in_the_window_in_the_tray_and_on_the_page(loop: qasync.QEventLoop, scene: Scene) -> None:
    async def work() -> None:
        await scene.has(STICK)
        devices = scene.window.devices
        sign, said = devices.hearing_sign(), list[Sequence[str]]()
        sign.tell(said.append)
        assert said == [[]]
        assert not sign.isVisible() and not devices.hearing_note.isVisible()
        for keys, words in (
            ({WORK.key}, "“work” hears the microphone"),
            ({WORK.key, BANK.key}, "“bank” and “work” hear the microphone"),
        ):
            devices.watches._hearing[URI] = frozenset(keys)
            devices.watches.changed.emit()
            assert sign.isVisible() and sign.text() == words
            assert said[-1] == [words]
            assert devices.hearing_note.isVisible() and devices.hearing_note.text() == words
            assert devices.page.hearing.text() == f"{words}." and not devices.page.hearing.isHidden()
        assert not devices.isVisible()
        sign.trigger()
        await until(devices.isVisible)
        devices.watches._hearing.clear()
        devices.watches.changed.emit()
        assert not sign.isVisible() and not devices.hearing_note.isVisible() and devices.page.hearing.isHidden()
        assert said[-1] == []

    run(loop, work())
