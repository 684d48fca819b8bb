"""Devices in the tray and in menus: what there is, who has it, and what to do with it. Made when the menu opens."""

from collections.abc import Callable, Iterator, Sequence
from functools import partial

from PySide6.QtGui import QAction
from PySide6.QtWidgets import QMenu, QWidget

from qubes_manager.core.devices.identity import DeviceClass
from qubes_manager.core.domain import Domain
from qubes_manager.core.text import one_line
from qubes_manager.models.device_tree import FREE, Entry
from qubes_manager.models.devices_model import DevicesModel
from qubes_manager.services.devices.kind import Holder
from qubes_manager.services.devices.places import machine_of
from qubes_manager.ui.devices.device_commands import DeviceCommands
from qubes_manager.ui.devices.device_menu import DeviceMenus, clear, device_icon, ignore_held_keys, say
from qubes_manager.ui.devices.giving import drive_of, why_not
from qubes_manager.ui.look.icons import icon
from qubes_manager.ui.look.plain import menu_text

# More of them do not fit a screen; the page has all.
_MOST = 30


class DevicesMenu(QMenu):
    """All devices but this machine's cards, grouped by kind. *page* is the action that opens the page."""

    def __init__(self, window: QWidget, model: DevicesModel, menus: DeviceMenus, page: QAction) -> None:
        super().__init__("Devices", window)
        self.setIcon(icon("devices"))
        self._model = model
        self._menus = menus
        self._page = page
        self.aboutToShow.connect(self._fill)
        self._fill()

    def _fill(self) -> None:
        clear(self)
        left, rest = _MOST, 0
        for section in self._model.sections:
            shown = [entry for entry in section.entries if entry.device.klass is not DeviceClass.PCI]
            if not shown:
                continue
            say(self, section.title)
            for entry in shown[:left]:
                self._add(self, entry)
            rest += max(len(shown) - left, 0)
            left = max(left - len(shown), 0)
            self.addSeparator()
        if not self.actions():
            say(self, "Nothing is plugged in")
            self.addSeparator()
        if rest:
            say(self, f"{rest} more on the Devices page")
        self.addAction(self._page)

    def _add(self, menu: QMenu, entry: Entry) -> None:
        sub = menu.addMenu(device_icon(entry), menu_text(_line(entry)))
        ignore_held_keys(sub)
        if entry.holders or entry.holders_below:
            # As in Qubes: what somebody has stands out.
            font = sub.menuAction().font()
            font.setBold(True)
            sub.menuAction().setFont(font)
        sub.aboutToShow.connect(lambda: self._fill_entry(sub, entry))

    def _fill_entry(self, menu: QMenu, entry: Entry) -> None:
        clear(menu)
        # By now it may be another one's.
        now = self._model.find(entry.key)
        if now is None:
            say(menu, "It is not there any more")
            return
        self._menus.fill(menu, now)
        if now.parts:
            menu.addSeparator()
            for part in now.parts:
                self._add(menu, part)


class DomainDevicesMenu(QMenu):
    """What one domain can get, and what it has; *chosen* gives the domain. *page* is the action that opens the page."""

    def __init__(
        self,
        window: QWidget,
        model: DevicesModel,
        commands: DeviceCommands,
        chosen: Callable[[], Sequence[Domain]],
        page: QAction,
    ) -> None:
        super().__init__("Give it a &device", window)
        self.setIcon(icon("device-usb"))
        self._model = model
        self._commands = commands
        self._chosen = chosen
        self._page = page
        self.aboutToShow.connect(self._fill)

    def _fill(self) -> None:
        clear(self)
        domains = self._chosen()
        if len(domains) == 1:
            self._add_held(domains[0])
            self._add_free(domains[0])
        else:
            say(self, "Choose one domain")
        self.addSeparator()
        self.addAction(self._page)

    def _add_held(self, domain: Domain) -> None:
        for entry in self._model.entries():
            for holder in entry.holders:
                if holder.domain.key == domain.key:
                    self._add_taking(entry, holder)
        if self.actions():
            self.addSeparator()

    def _add_taking(self, entry: Entry, holder: Holder) -> None:
        is_in_drive = drive_of(holder) is not None
        action = self.addAction(device_icon(entry), menu_text(f"{'Eject' if is_in_drive else 'Detach'} {_name(entry)}"))
        act = partial(self._commands.eject, holder) if is_in_drive else partial(self._commands.detach, entry, holder)
        action.triggered.connect(lambda _checked=False: act())

    def _add_free(self, domain: Domain) -> None:
        if not domain.state.is_active:
            say(self, "It does not run; start it first")
            return
        machine = machine_of(domain.key.connection)
        free = [one for one in self._offered() if one.key[0] == machine and not (one.device.in_use or one.holders)]
        for entry in free[:_MOST]:
            reason = why_not(entry, domain)
            action = self.addAction(device_icon(entry), menu_text(f"{_name(entry)}{f': {reason}' if reason else ''}"))
            action.setEnabled(not reason)
            action.triggered.connect(lambda _checked=False, entry=entry: self._commands.attach(entry, domain.key))
        if not free:
            say(self, "Nothing is free to give")
        if len(free) > _MOST:
            say(self, f"{len(free) - _MOST} more on the Devices page")

    def _offered(self) -> Iterator[Entry]:
        """What people would give: no partitions, and no cards of this machine, which come with a start alone."""
        for entry in self._model.entries():
            if not entry.device.parent and entry.device.klass is not DeviceClass.PCI:
                yield entry


def _name(entry: Entry) -> str:
    new = "NEW " if entry.is_new else ""
    name = f"{entry.called[:1].upper()}{entry.called[1:]}"
    return f"{new}{name} ({one_line(entry.what, 60)})"


def _line(entry: Entry) -> str:
    where = "" if entry.where == FREE else f" — {one_line(entry.where, 60)}"
    new = "NEW " if entry.is_new else ""
    return f"{new}{entry.title} ({one_line(entry.what, 60)}){where}"
