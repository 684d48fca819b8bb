"""The dock of applications, and the tray icon with the same, over one model."""

from collections.abc import Callable, Sequence

from PySide6.QtCore import QObject, Qt
from PySide6.QtGui import QAction
from PySide6.QtWidgets import QDockWidget, QMainWindow, QMenu, QSystemTrayIcon

from qubes_manager.core.crossing.broker_messages import TransferStatus
from qubes_manager.core.crossing.transfer_words import goes_on, how_far, title
from qubes_manager.core.domain import Domain
from qubes_manager.core.operations import OPERATIONS
from qubes_manager.core.text import plain_tip
from qubes_manager.models.applications_model import ApplicationsModel, Entry, Group
from qubes_manager.services.assembly import Services
from qubes_manager.ui.actions import DOMAIN_ACTIONS, is_on
from qubes_manager.ui.applications.app_commands import AppCommands
from qubes_manager.ui.applications.applications_panel import ApplicationsPanel
from qubes_manager.ui.feedback.transfer_watch import TransferWatch
from qubes_manager.ui.look.icons import application_icon, carrying_icon, icon, program_icon
from qubes_manager.ui.look.plain import menu_text

MUTE = "mute"
# What a domain's menu in the panel offers beside its applications.
_DOMAIN_ACTIONS = ("clipboard-copy", "clipboard-paste", "run", "console", "shortcuts", "refresh-apps", MUTE, "settings")
# More submenus than this do not fit a screen; the panel has a search field.
_MOST_SUBMENUS = 40
# Lines of a tool tip that anybody reads.
_MOST_LINES = 3
Trigger = Callable[[str, Sequence[Domain]], object]


class ApplicationsDock(QDockWidget):
    """*trigger* does an operation to domains, by its id."""

    def __init__(self, window: QMainWindow, services: Services, commands: AppCommands, trigger: Trigger) -> None:
        super().__init__("Applications", window)
        self.setObjectName("applications")
        self.setFeatures(QDockWidget.DockWidgetFeature.DockWidgetClosable)
        self._trigger = trigger
        self.model = ApplicationsModel(services.store, services.lists, application_icon)
        self.panel = ApplicationsPanel(self.model, self._actions_for)
        self.panel.launch.connect(commands.launch)
        self.panel.favourite.connect(commands.toggle_favourite)
        self.setWidget(self.panel)
        window.addDockWidget(Qt.DockWidgetArea.LeftDockWidgetArea, self)

    def _actions_for(self, domain: Domain) -> list[QAction]:
        """The actions of a domain, for a menu that is about to be shown."""
        return [_action_for(action_id, domain, self, self._trigger) for action_id in _DOMAIN_ACTIONS]


def _action_for(action_id: str, domain: Domain, parent: QObject, trigger: Trigger) -> QAction:
    """An action of one domain, as it is just now."""
    spec = next(spec for spec in DOMAIN_ACTIONS if spec.id == action_id)
    action = QAction(icon(spec.icon), spec.text, parent)
    action.setEnabled(OPERATIONS[action_id].applies(domain))
    if spec.checkable:
        action.setCheckable(True)
        action.setChecked(is_on(action_id, [domain]))
    action.triggered.connect(lambda _checked=False: trigger(action_id, [domain]))
    return action


class Tray(QSystemTrayIcon):
    """The program's icon in the desktop's tray: applications by domain, made when the menu opens.

    *trigger* does an operation to domains, by its id.
    """

    def __init__(
        self,
        window: QMainWindow,
        model: ApplicationsModel,
        commands: AppCommands,
        trigger: Trigger,
        actions: Sequence[QAction],
    ) -> None:
        super().__init__(program_icon(), window)
        self.setToolTip("Qubes Manager")
        self._window = window
        self._model = model
        self._commands = commands
        self._trigger = trigger
        self._actions = actions
        self._is_carrying = False
        self._said: dict[str, Sequence[str]] = {}
        self._menu = QMenu("Applications", window)
        self._menu.aboutToShow.connect(self._fill)
        self._menu.triggered.connect(self._on_chosen)
        self.setContextMenu(self._menu)
        self.activated.connect(self._activated)

    def follow(self, watch: TransferWatch) -> None:
        """Show what crosses, as long as it does."""
        watch.changed.connect(lambda: self._show_transfers([status for _link, status in watch.running]))

    def _show_transfers(self, running: Sequence[TransferStatus]) -> None:
        lines = [f"{title(status)}, {how_far(status)}" for status in running if goes_on(status)]
        if bool(lines) is not self._is_carrying:
            self._is_carrying = bool(lines)
            self.setIcon(carrying_icon() if lines else program_icon())
        more = [f"and {len(lines) - _MOST_LINES} more"] if len(lines) > _MOST_LINES else []
        self.say("transfers", [*lines[:_MOST_LINES], *more])

    def say(self, topic: str, lines: Sequence[str]) -> None:
        """Let its tip say *lines* of a topic, below what it says of others; without any, nothing of it."""
        self._said[topic] = lines
        said = [line for lines in self._said.values() for line in lines]
        self.setToolTip(plain_tip("\n".join(["Qubes Manager", *said])))

    def _on_chosen(self, action: QAction) -> None:
        # What opens a dialog opens it above the window.
        if action.text().endswith("…"):
            self._raise_window()

    def _activated(self, reason: QSystemTrayIcon.ActivationReason) -> None:
        if reason is QSystemTrayIcon.ActivationReason.Trigger:
            self._raise_window()

    def _raise_window(self) -> None:
        self._window.showNormal()
        self._window.raise_()
        self._window.activateWindow()

    def _fill(self) -> None:
        self._menu.clear()
        groups = [group for group in self._model.groups if len(group)]
        for group in groups[:_MOST_SUBMENUS]:
            submenu = self._menu.addMenu(
                application_icon(group.domain, None) or icon("windows"), menu_text(group.title)
            )
            submenu.aboutToShow.connect(lambda group=group, submenu=submenu: self._fill_group(submenu, group))
        rest = len(groups) - _MOST_SUBMENUS
        if rest > 0:
            self._menu.addAction(f"{rest} more in the window…", self._window.showNormal)
        if not groups:
            self._menu.addAction("No applications yet").setEnabled(False)
        self._menu.addSeparator()
        self._menu.addActions(self._actions)

    def _fill_group(self, menu: QMenu, group: Group) -> None:
        menu.clear()
        for row in range(len(group)):
            entry: Entry = group.entry(row)
            name = entry.application.name if group.domain else f"{entry.domain.name}: {entry.application.name}"
            action = menu.addAction(menu_text(name))
            if picture := application_icon(entry.domain, entry.application):
                action.setIcon(picture)
            action.triggered.connect(lambda _checked=False, entry=entry: self._commands.launch(entry))
        if group.domain and not group.in_disposable and OPERATIONS[MUTE].applies(group.domain):
            menu.addSeparator()
            menu.addAction(_action_for(MUTE, group.domain, menu, self._trigger))
