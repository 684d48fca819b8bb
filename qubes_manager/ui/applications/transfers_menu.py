"""What crosses now, in the tray: how far it is, and a click that stops it. Made when the menu opens."""

from collections.abc import Callable, Coroutine
from typing import Any

from PySide6.QtGui import QAction
from PySide6.QtWidgets import QMenu, QWidget

from qubes_manager.core.crossing.transfer_words import how_far, title
from qubes_manager.ui.feedback.transfer_watch import TransferWatch
from qubes_manager.ui.look.icons import icon
from qubes_manager.ui.look.plain import menu_text

# More of them do not fit a screen; the window's list has all.
_MOST = 20


class TransfersMenu(QMenu):
    """*all_action* opens the window's list."""

    def __init__(
        self,
        window: QWidget,
        watch: TransferWatch,
        all_action: QAction,
        spawn: Callable[[Coroutine[Any, Any, Any]], object],
    ) -> None:
        super().__init__("What crosses now", window)
        self.setIcon(icon("transfers"))
        self._watch = watch
        self._all = all_action
        self._spawn = spawn
        self.aboutToShow.connect(self._fill)

    def _fill(self) -> None:
        self.clear()
        running = self._watch.running
        for watched in running[:_MOST]:
            submenu = self.addMenu(menu_text(f"{title(watched[1])} ({how_far(watched[1])})"))
            stop = submenu.addAction(icon("close"), "Stop")
            stop.triggered.connect(lambda _checked=False, watched=watched: self._spawn(self._watch.cancel(watched)))
        if not running:
            self.addAction("Nothing").setEnabled(False)
        self.addSeparator()
        self.addAction(self._all)
