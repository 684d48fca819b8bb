"""Everything that menus, tool bar, context menu and keys offer, as data."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from enum import Enum

from PySide6.QtCore import QObject
from PySide6.QtGui import QAction, QKeySequence
from PySide6.QtWidgets import QWidget

from qubes_manager.core.domain import Domain
from qubes_manager.core.operations import OPERATIONS
from qubes_manager.ui.look.icons import icon


class Menu(Enum):
    """The menus of the menu bar, in their order; the value is the title."""

    FILE = "&File"
    DOMAIN = "&Domain"
    DEVICES = "De&vices"
    VIEW = "&View"
    LOGS = "&Logs"
    HELP = "&Help"


@dataclass(frozen=True, slots=True)
class ActionSpec:
    """An action: its id, text, icon and key; *toolbar* shows it there, *before* draws a line above it in its *menu*.

    One that is *alone* is a check box that the window heeds, or has a sub-menu of its own: no command is behind it.
    """

    id: str
    text: str
    icon: str = ""
    key: str = ""
    toolbar: bool = False
    menu: Menu = Menu.DOMAIN
    before: bool = False
    checkable: bool = False
    alone: bool = False
    tip: str = ""


# Their ids are those of operations, which say when they apply and what is asked.
DOMAIN_ACTIONS = (
    ActionSpec("start", "&Start or resume", "start", "Ctrl+Return", True, tip="Start, or let a paused domain go on"),
    ActionSpec("pause", "&Pause", "pause", "Ctrl+P", True, tip="Stop its processors; its memory stays"),
    ActionSpec("shutdown", "Shut &down", "shutdown", "Ctrl+D", True, tip="Ask it to shut down"),
    ActionSpec("restart", "&Restart", "restart", "Ctrl+R", True, tip="Shut it down and start it again"),
    ActionSpec("kill", "&Kill", "kill", "Ctrl+K", True, tip="End it at once"),
    ActionSpec("run", "Run &command…", "run", "Ctrl+E", True, before=True, tip="Run a command in it"),
    ActionSpec("console", "&Open console…", "console", "Ctrl+O", True, tip="Its whole screen, in a window"),
    ActionSpec("serial", "Open s&erial console…", "run", "Ctrl+Shift+O", tip="Its serial line, in a terminal"),
    ActionSpec("shortcuts", "Application short&cuts…", "applications", tip="Which applications its menu has"),
    ActionSpec("refresh-apps", "Refresh a&pplications", "refresh", tip="Ask it for its applications"),
    ActionSpec("devices", "Attach/detach &block devices…", "devices", "Ctrl+B", True, tip="Drives, discs and images"),
    ActionSpec("logs", "&Logs", "logs", "Ctrl+L", True, tip="QEMU’s, the console’s, libvirt’s and our own log"),
    ActionSpec("clone", "&Clone…", "clone", "Ctrl+Shift+C", before=True, tip="Make another one like it"),
    ActionSpec("volumes", "&Volumes…", "volumes", "Ctrl+M", tip="Size, revisions, checksums, export"),
    ActionSpec("to-template", "Make a &template of it…", "template", tip="Let other domains start from its system"),
    ActionSpec("rename", "Re&name", "rename", "F2", before=True, tip="Give it another name"),
    ActionSpec("label", "Set l&abel", "label", alone=True, tip="Give it another colour"),
    ActionSpec("autostart", "A&utostart", "autostart", checkable=True, tip="Start it with the host"),
    ActionSpec("settings", "S&ettings…", "settings", "Alt+Return", True, tip="Name, label, memory, processors, notes"),
    ActionSpec("delete", "De&lete…", "delete", "Del", before=True, tip="Remove it with its disks"),
)

WINDOW_ACTIONS = (
    ActionSpec(
        "new", "&New domain…", "new", "Ctrl+N", True, Menu.FILE, tip="Make a domain from a template, an image or an ISO"
    ),
    ActionSpec(
        "assistant", "&Set-up assistant…", "assistant", menu=Menu.FILE, tip="From an empty machine to the first domains"
    ),
    ActionSpec(
        "new-template",
        "New &template…",
        "template",
        "Ctrl+T",
        menu=Menu.FILE,
        tip="Build a template of Debian packages",
    ),
    ActionSpec(
        "demo", "Make &demo domains", "demo", menu=Menu.FILE, tip="Make work, personal and untrusted from a small guest"
    ),
    ActionSpec("quit", "&Quit", "quit", "Ctrl+Q", menu=Menu.FILE, before=True),
    ActionSpec(
        "all-devices",
        "&Block devices…",
        "devices",
        "Ctrl+Shift+B",
        menu=Menu.DEVICES,
        tip="All drives, and who has them",
    ),
    ActionSpec("search", "&Search", "search", "Ctrl+F", menu=Menu.VIEW, tip="Search in names, labels, tags and notes"),
    ActionSpec("filter", "&Filter", menu=Menu.VIEW, alone=True),
    ActionSpec("columns", "&Columns", menu=Menu.VIEW, alone=True),
    ActionSpec("appearance", "&Appearance", menu=Menu.VIEW, alone=True),
    ActionSpec("refresh", "&Refresh", "refresh", "F5", menu=Menu.VIEW, tip="Ask libvirt again for everything"),
    ActionSpec("toolbar", "&Tool bar", "columns", menu=Menu.VIEW, checkable=True, alone=True),
    ActionSpec(
        "applications",
        "&Applications",
        "applications",
        "F8",
        menu=Menu.VIEW,
        checkable=True,
        alone=True,
        tip="Show what can be started",
    ),
    ActionSpec(
        "gui-options",
        "&Window options…",
        "windows",
        menu=Menu.VIEW,
        tip="Border, full screen and titles of all domains",
    ),
    ActionSpec(
        "details",
        "&Details",
        "details",
        "F9",
        menu=Menu.VIEW,
        checkable=True,
        alone=True,
        tip="Show the hardware of the chosen domain",
    ),
    ActionSpec(
        "all-logs", "&Program and libvirt logs", "logs", "Ctrl+Shift+L", menu=Menu.LOGS, tip="Logs that are no domain’s"
    ),
    ActionSpec(
        "wipe-clipboard", "&Wipe the inter-domain clipboard", "close", menu=Menu.LOGS, tip="Forget the text that waits"
    ),
    ActionSpec("about", "&About", "info", menu=Menu.HELP),
)


class ActionSet(QObject):
    """The QActions of a list of specs, each wired to *trigger* with its id; iterates over specs and their actions."""

    def __init__(self, parent: QWidget, specs: Iterable[ActionSpec], trigger: Callable[[str], None]) -> None:
        super().__init__(parent)
        self._specs = {spec.id: spec for spec in specs}
        self._actions = {spec.id: self._make(parent, spec, trigger) for spec in self._specs.values()}

    def __getitem__(self, action_id: str) -> QAction:
        return self._actions[action_id]

    def __iter__(self) -> Iterator[tuple[ActionSpec, QAction]]:
        return zip(self._specs.values(), self._actions.values(), strict=True)

    def _make(self, parent: QWidget, spec: ActionSpec, trigger: Callable[[str], None]) -> QAction:
        action = QAction(spec.text, parent)
        if spec.icon:
            action.setIcon(icon(spec.icon))
        action.setObjectName(f"action-{spec.id}")
        action.setCheckable(spec.checkable)
        if spec.key:
            action.setShortcut(QKeySequence(spec.key))
        plain = spec.text.replace("&", "").rstrip("…")
        keys = f" ({action.shortcut().toString(QKeySequence.SequenceFormat.NativeText)})" if spec.key else ""
        action.setToolTip(f"{spec.tip or plain}{keys}")
        if not spec.alone:
            action.triggered.connect(lambda _checked=False: trigger(spec.id))
        parent.addAction(action)
        return action

    def recolour(self) -> None:
        """Take the icons anew after a change of colours."""
        for spec, action in self:
            if spec.icon:
                action.setIcon(icon(spec.icon))

    def enable_for(self, domains: Sequence[Domain]) -> None:
        """Enable what can be done to at least one of *domains*; single-domain actions only for one."""
        for action_id, action in self._actions.items():
            operation = OPERATIONS[action_id]
            fits = bool(domains) and (operation.many or len(domains) == 1)
            action.setEnabled(fits and any(map(operation.applies, domains)))
        if "autostart" in self._actions:
            self._actions["autostart"].setChecked(bool(domains) and all(domain.autostart for domain in domains))
