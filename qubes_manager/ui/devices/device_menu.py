"""What can be done with a device, as a menu: the same on the page, in the tray and in a domain's row."""

from collections.abc import Callable, Iterable, Sequence
from functools import partial

from PySide6.QtCore import QEvent, QObject, Qt
from PySide6.QtGui import QIcon, QKeyEvent
from PySide6.QtWidgets import QMenu

from qubes_manager.core.devices.assignment import Mode
from qubes_manager.core.devices.block import BlockDevice, cd_drives
from qubes_manager.core.devices.identity import ANY, DeviceClass
from qubes_manager.core.domain import Domain
from qubes_manager.core.text import one_line
from qubes_manager.models.device_tree import Entry, is_image
from qubes_manager.services.assembly import Services
from qubes_manager.services.devices.kind import Holder
from qubes_manager.ui.devices.device_commands import DeviceCommands
from qubes_manager.ui.devices.device_watches import DeviceWatches
from qubes_manager.ui.devices.giving import (
    Target,
    assigned,
    drive_of,
    is_disc,
    is_guest,
    modes_for,
    never_gets,
    taken,
    targets,
)
from qubes_manager.ui.look.icons import icon, label_icon
from qubes_manager.ui.look.plain import menu_text

# More of them do not fit a screen.
_MOST = 30
_MODES = {
    Mode.AUTO: "By itself, when it comes",
    Mode.ASK: "When it comes, after a question",
    Mode.REQUIRED: "Required: it does not start without it",
}
# By port and by ident, in words.
_WAYS = (
    ("This device, at any port", False, True),
    ("Whatever is at this port", True, False),
    ("This device, at this port only", True, True),
)


class DeviceMenus:
    """Fills menus for devices, each when it opens."""

    def __init__(self, services: Services, watches: DeviceWatches, commands: DeviceCommands) -> None:
        self._services = services
        self._watches = watches
        self._commands = commands

    def fill(self, menu: QMenu, entry: Entry) -> None:
        """Put all that can be done with a device into an empty menu."""
        reason = taken(entry)
        if reason and not entry.holders:
            say(menu, reason)
        for holder in entry.holders:
            self._add_holder(menu, entry, holder)
        if not reason and not (entry.device.klass is DeviceClass.PCI and entry.holders):
            self._add_giving(menu, entry)
        if isinstance(entry.device, BlockDevice):
            self._add_disk_ways(menu, entry)
        if not is_image(entry.device):
            if menu.actions():
                menu.addSeparator()
            self._later(menu, "Al&ways attach to", lambda sub: self._fill_assigning(sub, entry))

    def _add_giving(self, menu: QMenu, entry: Entry) -> None:
        title = "&Give, from its next start on, to" if entry.device.klass is DeviceClass.PCI else "&Attach to"
        self._later(menu, title, lambda sub: self._fill_targets(sub, entry, None))
        if _suits_disposables(entry):
            self._later(menu, "&New disposable of", lambda sub: self._fill_disposables(sub, entry, None))

    def _add_holder(self, menu: QMenu, entry: Entry, holder: Holder) -> None:
        name = menu_text(one_line(holder.domain.shown_name, 60))
        picture = label_icon(holder.domain.label) or QIcon()
        if drive_of(holder):
            menu.addAction(picture, f"&Eject from “{name}”", partial(self._commands.eject, holder))
            return
        menu.addAction(picture, f"&Detach from “{name}”", partial(self._commands.detach, entry, holder))
        if entry.device.klass is not DeviceClass.PCI:
            self._later(
                menu, f"Detach from “{name}” and attach &to", lambda sub: self._fill_targets(sub, entry, holder)
            )

    def _add_disk_ways(self, menu: QMenu, entry: Entry) -> None:
        if not taken(entry) or is_image(entry.device):
            menu.addAction("Attach with &options…", partial(self._commands.attach_with_options, entry))
        if is_disc(entry.device):
            self._later(menu, "&Insert into the CD drive of", lambda sub: self._fill_drives(sub, entry))

    def _fill_targets(self, menu: QMenu, entry: Entry, moving: Holder | None) -> None:
        found = targets(entry, self._commands.domains_for(entry), moving=moving)
        for target in found[:_MOST]:
            if moving:
                act = partial(self._commands.move, entry, moving, target.domain.key)
            else:
                act = partial(self._commands.attach, entry, target.domain.key)
            add_target(menu, target, act)
        if not found:
            halted = entry.device.klass is DeviceClass.PCI
            say(menu, "No halted domain" if halted else "No domain runs; start one first")
        if len(found) > _MOST:
            say(menu, f"{len(found) - _MOST} more on the Devices page")
        if moving and _suits_disposables(entry):
            menu.addSeparator()
            self._later(menu, "&New disposable of", lambda sub: self._fill_disposables(sub, entry, moving))

    def _fill_disposables(self, menu: QMenu, entry: Entry, moving: Holder | None) -> None:
        uris = self._watches.uris_of(entry.key[0])
        templates = [base for uri in uris for base in self._services.disposables.templates(uri) if is_guest(base)]
        for base in templates[:_MOST]:
            target = Target(base, never_gets(base, entry.device))
            add_target(menu, target, partial(self._commands.attach_new, entry, base.key, moving))
        if not templates:
            say(menu, "No AppVM is meant for disposables; allow it in an AppVM’s settings")
        _say_rest(menu, len(templates))

    def _fill_drives(self, menu: QMenu, entry: Entry) -> None:
        domains = filter(is_guest, self._commands.domains_for(entry))
        drives = [(domain, drive) for domain in _by_name(domains) for drive in cd_drives(domain)]
        for domain, drive in drives[:_MOST]:
            has = "has it" if drive.source == getattr(entry.device, "path", "") else ""
            target = Target(domain, has)
            add_target(
                menu, target, partial(self._commands.insert, entry, domain.key, drive.target), f" ({drive.target})"
            )
        if not drives:
            say(menu, "No domain has a CD drive")
        _say_rest(menu, len(drives))

    # What is kept.

    def _fill_assigning(self, menu: QMenu, entry: Entry) -> None:
        domains = [d for d in self._commands.domains_for(entry) if is_guest(d) and not d.is_disposable]
        # Those that have it so already come first: there it can be ended, however many there are.
        domains = sorted(_by_name(domains), key=lambda domain: assigned(domain, entry.device) is None)
        for domain in domains[:_MOST]:
            reason = never_gets(domain, entry.device)
            name = menu_text(one_line(domain.shown_name, 60))
            if reason:
                add_target(menu, Target(domain, reason), lambda: None)
                continue
            mark = "✓ " if assigned(domain, entry.device) else ""
            sub = self._later(menu, f"{mark}{name}", partial(self._fill_ways, domain=domain, entry=entry))
            sub.setIcon(label_icon(domain.label) or QIcon())
        if not domains:
            say(menu, "No domain")
        _say_rest(menu, len(domains))

    def _fill_ways(self, menu: QMenu, domain: Domain, entry: Entry) -> None:
        device, present = entry.device, assigned(domain, entry.device)
        for mode in modes_for(device):
            say(menu, _MODES[mode])
            for words, port, ident in _WAYS:
                if ident and not device.ident:
                    continue
                action = menu.addAction(f"   {words}")
                action.setCheckable(True)
                names = (device.location if port else ANY, device.ident if ident else ANY)
                action.setChecked(present is not None and (present.port, present.ident, present.mode) == (*names, mode))
                assign = partial(self._commands.assign, device, domain.key, mode, port=port, ident=ident)
                action.triggered.connect(lambda _checked=False, assign=assign: assign())
        if present:
            menu.addSeparator()
            menu.addAction("Not any more", partial(self._commands.unassign, domain.key, present))

    def _later(self, menu: QMenu, title: str, fill: Callable[[QMenu], object]) -> QMenu:
        """A sub-menu that is filled when it opens."""
        sub = menu.addMenu(title)
        ignore_held_keys(sub)

        def refill() -> None:
            clear(sub)
            fill(sub)

        sub.aboutToShow.connect(refill)
        return sub


class _HeldKeys(QObject):
    """Keeps from a menu what a key repeats that is held down."""

    def eventFilter(self, _watched: QObject, event: QEvent) -> bool:
        return isinstance(event, QKeyEvent) and event.type() is QEvent.Type.KeyPress and is_held_key(event)


def is_held_key(event: QKeyEvent) -> bool:
    """Whether a key that chooses is held down, and was pressed for what came before."""
    return event.isAutoRepeat() and event.key() in (Qt.Key.Key_Return, Qt.Key.Key_Enter, Qt.Key.Key_Space)


def ignore_held_keys(menu: QMenu) -> None:
    """Let a menu take only keys that are pressed in it: one that is still held would walk through it into “Attach”."""
    menu.installEventFilter(_HeldKeys(menu))


def clear(menu: QMenu) -> None:
    """Take everything out of a menu, its sub-menus with it."""
    for submenu in menu.findChildren(QMenu):
        submenu.deleteLater()
    menu.clear()


def say(menu: QMenu, text: str) -> None:
    """A line that does nothing."""
    menu.addAction(menu_text(text)).setEnabled(False)


def _say_rest(menu: QMenu, count: int) -> None:
    """Say that there are more than a menu has room for."""
    if count > _MOST:
        say(menu, f"{count - _MOST} more…")


def add_target(menu: QMenu, target: Target, act: Callable[[], object], more: str = "") -> None:
    """A domain with its colour; one that cannot have it stands there with the reason."""
    name = f"{one_line(target.domain.shown_name, 60)}{more}"
    action = menu.addAction(menu_text(f"{name}: {target.reason}" if target.reason else name))
    if picture := label_icon(target.domain.label):
        action.setIcon(picture)
    action.setEnabled(not target.reason)
    action.triggered.connect(lambda _checked=False: act())


def device_icon(entry: Entry) -> QIcon:
    """The picture of a device."""
    return icon("device-usb" if entry.as_whole else entry.device.icon)


def _by_name(domains: Iterable[Domain]) -> Sequence[Domain]:
    return sorted(domains, key=lambda domain: domain.shown_name.casefold())


def _suits_disposables(entry: Entry) -> bool:
    # A card comes with a start of its own, and a disposable is never started with a way to hear: it has no assignments.
    return entry.device.klass not in (DeviceClass.PCI, DeviceClass.MIC)
