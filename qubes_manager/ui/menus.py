"""Menu bar, tool bar and context menu, built from what the specs of the actions say."""

from collections.abc import Callable, Mapping

from PySide6.QtCore import Signal
from PySide6.QtGui import QActionGroup
from PySide6.QtWidgets import QMenu, QMenuBar, QSizePolicy, QToolBar, QWidget

from qubes_manager.core.labels import LABELS
from qubes_manager.ui.actions import ActionSet, Menu
from qubes_manager.ui.look.icons import swatch


def fill_menu_bar(bar: QMenuBar, *sets: ActionSet) -> None:
    """Add all menus, each with its actions of all *sets*."""
    for menu in Menu:
        shown = bar.addMenu(menu.value)
        for actions in sets:
            fill_menu(shown, actions, menu)


def fill_menu(shown: QMenu, actions: ActionSet, menu: Menu) -> None:
    """Put those of *actions* that belong to *menu* into a menu, with their lines."""
    for spec, action in actions:
        if spec.menu is menu:
            if spec.before:
                shown.addSeparator()
            shown.addAction(action)


def fill_tool_bar(bar: QToolBar, *sets: ActionSet) -> None:
    """Put the actions that the tool bar has into it, with a line between the *sets*."""
    for number, actions in enumerate(sets):
        if number:
            bar.addSeparator()
        for spec, action in actions:
            if spec.toolbar:
                bar.addAction(action)
                bar.widgetForAction(action).setAccessibleName(action.text().replace("&", ""))


def add_at_end(bar: QToolBar, *widgets: QWidget) -> None:
    """Put widgets at the right end of a tool bar."""
    spacer = QWidget()
    spacer.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Preferred)
    for widget in (spacer, *widgets):
        bar.addWidget(widget)


class ChoiceMenu(QMenu):
    """A menu of which one entry holds; ``picked`` gives the one that the user takes."""

    picked = Signal(str)

    def __init__(self, choices: Mapping[str, str], parent: QWidget) -> None:
        super().__init__(parent)
        self._group = QActionGroup(self)
        for choice, text in choices.items():
            action = self.addAction(text)
            action.setData(choice)
            action.setCheckable(True)
            self._group.addAction(action)
        self._group.triggered.connect(lambda action: self.picked.emit(action.data()))

    @property
    def chosen(self) -> str:
        """The entry that holds; empty before the first choice."""
        action = self._group.checkedAction()
        return str(action.data()) if action else ""

    def choose(self, choice: str) -> None:
        """Let an entry hold, without a signal."""
        for action in self._group.actions():
            action.setChecked(action.data() == choice)


def label_menu(parent: QWidget, choose: Callable[[str], None]) -> QMenu:
    """A menu of the labels, each with its colour and its name."""
    menu = QMenu(parent)
    for label in LABELS.values():
        action = menu.addAction(swatch(label.colour), label.name)
        action.triggered.connect(lambda _checked=False, name=label.name: choose(name))
    return menu
