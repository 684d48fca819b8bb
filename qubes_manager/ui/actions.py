"""Everything that menus, tool bar, context menu and keys offer, as data."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from enum import Enum

from PySide6.QtCore import QObject
from PySide6.QtGui import QAction, QKeySequence
from PySide6.QtWidgets import QWidget

from qubes_manager.core.domain import Domain
from qubes_manager.core.operations import OPERATIONS
from qubes_manager.core.text import plain_tip
from qubes_manager.ui.look.icons import icon


class Menu(Enum):
    """The menus of the menu bar, in their order; the value is the title."""

    FILE = "&File"
    DOMAIN = "&Domain"
    DEVICES = "D&evices"
    CLIPBOARD = "&Clipboard"
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
    ActionSpec("discard-saved", "D&iscard saved state…", "discard", tip="Forget the run that it would go on with"),
    ActionSpec("send-files", "Send &files to it…", "send", "Ctrl+Shift+S", before=True, tip="Copy files into it"),
    ActionSpec("copy-files", "Copy files from i&t…", "fetch", "Ctrl+Shift+F", tip="Its files: copy them here or on"),
    ActionSpec("run", "Run &command…", "run", "Ctrl+E", True, before=True, tip="Run a command in it"),
    ActionSpec("console", "&Open console…", "console", "Ctrl+O", True, tip="Its whole screen, in a window"),
    ActionSpec("serial", "Open s&erial console…", "run", "Ctrl+Shift+O", tip="Its serial line, in a terminal"),
    ActionSpec("shortcuts", "Application short&cuts…", "applications", tip="Which applications its menu has"),
    ActionSpec("refresh-apps", "Refresh a&pplications", "refresh", tip="Ask it for its applications"),
    ActionSpec("devices", "De&vices", "devices", "Ctrl+B", True, tip="Give it a drive, a stick, a camera, an image"),
    ActionSpec("logs", "&Logs", "logs", "Ctrl+L", True, tip="QEMU’s, the console’s, libvirt’s and our own log"),
    ActionSpec(
        "clipboard-copy",
        "Copy its clipboard",
        "copy",
        "Ctrl+Shift+C",
        before=True,
        tip="Take the text that was copied in it, for another domain",
    ),
    ActionSpec(
        "clipboard-paste",
        "Paste into it",
        "paste",
        "Ctrl+Shift+V",
        tip="Put the text that waits on its clipboard, and on nobody else’s",
    ),
    ActionSpec(
        "clipboard-give", "Paste the host’s clipboard into it…", "host", tip="Put a text of the host’s on its clipboard"
    ),
    ActionSpec("clone", "&Clone…", "clone", "Ctrl+Shift+N", before=True, tip="Make another one like it"),
    ActionSpec("volumes", "&Volumes…", "volumes", "Ctrl+M", tip="Size, revisions, checksums, export"),
    ActionSpec("to-template", "Make a &template of it…", "template", tip="Let other domains start from its system"),
    ActionSpec("update-tools", "&Update guest tools…", "refresh", tip="Bring what windows and copying need today"),
    ActionSpec("rename", "Re&name", "rename", "F2", before=True, tip="Give it another name"),
    ActionSpec("label", "Set l&abel", "label", alone=True, tip="Give it another colour"),
    ActionSpec("autostart", "A&utostart", "autostart", checkable=True, tip="Start it with the host"),
    ActionSpec("mute", "&Mute", "mute", checkable=True, tip="Let nothing be heard of it, now and later"),
    ActionSpec("firewall", "Fire&wall…", "firewall", "Ctrl+Shift+W", tip="What it reaches: hosts, ports, for how long"),
    ActionSpec("settings", "S&ettings…", "settings", "Alt+Return", True, tip="Name, label, memory, processors, notes"),
    ActionSpec("delete", "De&lete…", "delete", "Del", before=True, tip="Remove it with its disks"),
)

WINDOW_ACTIONS = (
    ActionSpec(
        "new", "&New domain…", "new", "Ctrl+N", True, Menu.FILE, tip="Make a domain from a template, an image or an ISO"
    ),
    ActionSpec(
        "new-disposable",
        "New d&isposable…",
        "new",
        "Ctrl+Shift+D",
        menu=Menu.FILE,
        tip="Make a domain that is gone when it stops, with all that is in it",
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
    ActionSpec(
        "view-in-disposable",
        "&View files in a disposable…",
        "older",
        menu=Menu.FILE,
        before=True,
        tip="Open files of this machine in a new disposable; nothing comes back",
    ),
    ActionSpec(
        "edit-in-disposable",
        "&Edit files in a disposable…",
        "rename",
        menu=Menu.FILE,
        tip="Open files of this machine in a new disposable; what is changed comes back",
    ),
    ActionSpec(
        "convert-in-disposable",
        "Make &clean copies…",
        "clone",
        menu=Menu.FILE,
        tip="Of PDF files and pictures that you do not trust: a disposable draws them, and plain pixels come back",
    ),
    ActionSpec(
        "transfers", "What &crosses now…", "transfers", menu=Menu.FILE, tip="Files and calls between domains; stop them"
    ),
    ActionSpec("quit", "&Quit", "quit", "Ctrl+Q", menu=Menu.FILE, before=True),
    ActionSpec(
        "all-devices",
        "&All devices",
        "devices",
        "Ctrl+Shift+B",
        menu=Menu.DEVICES,
        tip="What is plugged in, who has it, and giving it to others",
    ),
    ActionSpec("device-list", "&Give or take", "device-usb", menu=Menu.DEVICES, alone=True),
    ActionSpec(
        "add-image",
        "Add an &image file…",
        "device-image",
        menu=Menu.DEVICES,
        tip="Offer a disk image or the image of a disc beside the devices",
    ),
    ActionSpec("search", "&Search", "search", "Ctrl+F", menu=Menu.VIEW, tip="Search in names, labels, tags and notes"),
    ActionSpec("filter", "&Filter", menu=Menu.VIEW, alone=True),
    ActionSpec(
        "waiting",
        "Disposables that &wait",
        "older",
        menu=Menu.VIEW,
        checkable=True,
        alone=True,
        tip="Show those too that were booted for later, and are nobody’s yet",
    ),
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
        "devices-page",
        "De&vices",
        "devices",
        "F7",
        menu=Menu.VIEW,
        checkable=True,
        alone=True,
        tip="Show what is plugged in, and who has it",
    ),
    ActionSpec(
        "gui-options",
        "&Window options…",
        "windows",
        menu=Menu.VIEW,
        tip="Border, full screen and titles of all domains",
    ),
    ActionSpec(
        "policy",
        "&Policy…",
        "lock",
        menu=Menu.VIEW,
        tip="What may cross between domains, and what did",
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
        "paste-to",
        "&Paste to…",
        "paste",
        menu=Menu.CLIPBOARD,
        tip="Choose the domain that gets what waits on the inter-domain clipboard",
    ),
    ActionSpec(
        "take-clipboard",
        "Copy to the &host’s clipboard…",
        "host",
        menu=Menu.CLIPBOARD,
        tip="Only where the policy says “ask” for a domain’s text to the host, and you agree",
    ),
    ActionSpec(
        "wipe-clipboard",
        "C&lear the inter-domain clipboard",
        "close",
        menu=Menu.CLIPBOARD,
        tip="Forget what waits there",
    ),
    ActionSpec("about", "&About", "info", menu=Menu.HELP),
)


# What is on or off of a domain, by the id of the action that switches it.
_SWITCHES: dict[str, Callable[[Domain], bool]] = {
    "autostart": lambda domain: domain.autostart,
    "mute": lambda domain: domain.config.muted,
}


def is_on(action_id: str, domains: Sequence[Domain]) -> bool:
    """Whether what an action switches is on for all of *domains*, so that it would go off."""
    return bool(domains) and all(map(_SWITCHES[action_id], domains))


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
        action.setToolTip(plain_tip(f"{spec.tip or plain}{keys}"))
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
        for action_id in _SWITCHES.keys() & self._actions.keys():
            self._actions[action_id].setChecked(is_on(action_id, domains))
