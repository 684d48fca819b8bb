"""The dock of devices: follows them, and is where page, menus, tray and table meet."""

from collections.abc import Callable, Sequence

from PySide6.QtCore import Qt
from PySide6.QtGui import QAction
from PySide6.QtWidgets import QDockWidget, QMainWindow, QMenu

from qubes_manager.core.devices.block import IMAGE, BlockDevice
from qubes_manager.core.domain import Domain, DomainKey
from qubes_manager.models.device_tree import Entry, Key
from qubes_manager.models.devices_model import DevicesModel
from qubes_manager.services.assembly import Services
from qubes_manager.services.devices.notices import DeviceNotices
from qubes_manager.services.devices.watch import identity
from qubes_manager.ui.devices.device_commands import DeviceCommands
from qubes_manager.ui.devices.device_menu import DeviceMenus
from qubes_manager.ui.devices.device_watches import DeviceWatches
from qubes_manager.ui.devices.devices_menu import DevicesMenu, DomainDevicesMenu
from qubes_manager.ui.devices.devices_page import DevicesPage
from qubes_manager.ui.devices.giving import drive_of
from qubes_manager.ui.devices.hearing import HearingNote, HearingSign, hearing_words
from qubes_manager.ui.devices.question import come_forward
from qubes_manager.ui.feedback.jobs import Jobs
from qubes_manager.ui.feedback.message_bar import MessageBar
from qubes_manager.ui.feedback.tasks import Tasks
from qubes_manager.ui.look.icons import icon, label_icon


class DevicesDock(QDockWidget):
    """*page* is the window's action that opens this, *add_image* the one that asks for an image file."""

    def __init__(
        self,
        window: QMainWindow,
        services: Services,
        tasks: Tasks,
        messages: MessageBar,
        jobs: Jobs,
        page: QAction,
        add_image: QAction,
    ) -> None:
        super().__init__("Devices", window)
        self.setObjectName("devices")
        self.setFeatures(QDockWidget.DockWidgetFeature.DockWidgetClosable)
        notices = DeviceNotices(tasks.spawn)
        self._services, self._window, self._page_action = services, window, page
        self.watches = DeviceWatches(services, notices, self)
        self.commands = DeviceCommands(window, services, tasks, messages, jobs, self.watches, notices)
        self.model = DevicesModel(icon, lambda domain: label_icon(domain.label))
        self.menus = DeviceMenus(services, self.watches, self.commands)
        self.page = DevicesPage(self.model, self.menus.fill, add_image)
        self.page.attach.connect(self.commands.drop)
        self.page.detach.connect(self._take_back)
        self.watches.changed.connect(self._show)
        self.setWidget(self.page)
        # There whether the page is open or not, and where the desktop has no tray.
        self.hearing_note = HearingNote(self.watches, lambda: self.open_for(None))
        window.statusBar().addPermanentWidget(self.hearing_note)
        window.addDockWidget(Qt.DockWidgetArea.BottomDockWidgetArea, self)

    def open_for(self, domain: Domain | None) -> None:
        """Come to the front, with a domain chosen that gets what is attached next."""
        come_forward(self._window)
        self.show()
        self.raise_()
        if domain:
            self.page.choose_domain(domain.key)
        self.page.tree.setFocus()
        self.watches.look()

    def add_image(self) -> None:
        """Ask for an image file, offer it and choose it."""
        self.show()
        self.commands.add_image(self._choose_image)

    def menu(self) -> DevicesMenu:
        """A menu of the devices, for the menu bar or the tray."""
        return DevicesMenu(self._window, self.model, self.menus, self._page_action)

    def hearing_sign(self) -> HearingSign:
        """Who hears the microphone, for the tray."""
        return HearingSign(self._window, self.watches, lambda: self.open_for(None))

    def add_domain_menu(self, menu: QMenu, before: QAction, chosen: Callable[[], Sequence[Domain]]) -> None:
        """Put what the *chosen* domain can get and has into a menu of domains."""
        menu.insertMenu(before, DomainDevicesMenu(self._window, self.model, self.commands, chosen, self._page_action))

    def drop(self, key: Key, target: DomainKey) -> None:
        """A device was dragged onto a domain's row."""
        if entry := self.model.find(key):
            self.commands.drop(entry, target)

    def recolour(self) -> None:
        """Take the icons anew after a change of colours."""
        self.page.recolour()
        self.page.tree.viewport().update()

    def _choose_image(self, path: str) -> None:
        self.page.choose(("", *identity(BlockDevice(path, kind=IMAGE))))

    def _take_back(self, entry: Entry) -> None:
        for holder in entry.holders:
            if drive_of(holder):
                self.commands.eject(holder)
            else:
                self.commands.detach(entry, holder)

    def _show(self) -> None:
        listings = self.watches.listings
        domains = [domain for one in listings for domain in self._services.store.of_host(one.uri)]
        self.page.show_devices(listings, domains, is_listing=self.watches.is_listing)
        self.page.say_hearing(hearing_words(self.watches.hearing))
