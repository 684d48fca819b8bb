"""The dock of applications, and the tray icon with the same, over one model."""

from collections.abc import Callable, Sequence

from PySide6.QtCore import Qt
from PySide6.QtGui import QAction
from PySide6.QtWidgets import QDockWidget, QMainWindow, QMenu, QSystemTrayIcon

from qubes_manager.core.domain import Domain
from qubes_manager.core.operations import OPERATIONS
from qubes_manager.models.applications_model import ApplicationsModel, Entry, Group
from qubes_manager.services.assembly import Services
from qubes_manager.ui.actions import DOMAIN_ACTIONS
from qubes_manager.ui.applications.app_commands import AppCommands
from qubes_manager.ui.applications.applications_panel import ApplicationsPanel
from qubes_manager.ui.look.icons import application_icon, icon, program_icon

# What a domain's menu in the panel offers beside its applications.
_DOMAIN_ACTIONS = ("run", "console", "shortcuts", "refresh-apps", "settings")
# More submenus than this do not fit a screen; the panel has a search field.
_MOST_SUBMENUS = 40
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
        specs = {spec.id: spec for spec in DOMAIN_ACTIONS}
        actions = []
        for action_id in _DOMAIN_ACTIONS:
            spec = specs[action_id]
            action = QAction(icon(spec.icon), spec.text, self)
            action.setEnabled(OPERATIONS[action_id].applies(domain))
            action.triggered.connect(lambda _checked=False, name=action_id: self._trigger(name, [domain]))
            actions.append(action)
        return actions


class Tray(QSystemTrayIcon):
    """The program's icon in the desktop's tray: applications by domain, made when the menu opens."""

    def __init__(
        self, window: QMainWindow, model: ApplicationsModel, commands: AppCommands, actions: Sequence[QAction]
    ) -> None:
        super().__init__(program_icon(), window)
        self.setToolTip("Qubes Manager")
        self._window = window
        self._model = model
        self._commands = commands
        self._actions = actions
        self._menu = QMenu("Applications", window)
        self._menu.aboutToShow.connect(self._fill)
        self.setContextMenu(self._menu)
        self.activated.connect(self._activated)

    def _activated(self, reason: QSystemTrayIcon.ActivationReason) -> None:
        if reason is QSystemTrayIcon.ActivationReason.Trigger:
            self._window.showNormal()
            self._window.raise_()
            self._window.activateWindow()

    def _fill(self) -> None:
        self._menu.clear()
        for group in self._model.groups[:_MOST_SUBMENUS]:
            submenu = self._menu.addMenu(application_icon(group.domain, None) or icon("windows"), _plain(group.title))
            submenu.aboutToShow.connect(lambda group=group, submenu=submenu: self._fill_group(submenu, group))
        rest = len(self._model.groups) - _MOST_SUBMENUS
        if rest > 0:
            self._menu.addAction(f"{rest} more in the window…", self._window.showNormal)
        if not self._model.groups:
            self._menu.addAction("No applications yet").setEnabled(False)
        self._menu.addSeparator()
        self._menu.addActions(self._actions)

    def _fill_group(self, menu: QMenu, group: Group) -> None:
        menu.clear()
        for row in range(len(group)):
            entry: Entry = group.entry(row)
            name = entry.application.name if group.domain else f"{entry.domain.name}: {entry.application.name}"
            action = menu.addAction(_plain(name))
            if picture := application_icon(entry.domain, entry.application):
                action.setIcon(picture)
            action.triggered.connect(lambda _checked=False, entry=entry: self._commands.launch(entry))


def _plain(text: str) -> str:
    """A menu's text in which an ampersand is one, whoever wrote it."""
    return text.replace("&", "&&")
