"""Who hears the microphone, where it is seen at a glance: in the window's line at the bottom, and in the tray."""

from collections.abc import Callable, Sequence

from PySide6.QtGui import QAction
from PySide6.QtWidgets import QPushButton, QSystemTrayIcon, QWidget

from qubes_manager.core.domain import Domain
from qubes_manager.core.text import one_line, plain_tip
from qubes_manager.ui.devices.device_watches import DeviceWatches
from qubes_manager.ui.look.icons import icon
from qubes_manager.ui.look.plain import menu_text

# Names that are said; more would make the line longer than a window is wide.
_MOST = 3
_PICTURE = "device-microphone"


def hearing_words(domains: Sequence[Domain]) -> str:
    """Who hears now, in a few words; empty where nobody does."""
    names = [f"“{one_line(domain.shown_name, 40)}”" for domain in domains[:_MOST]]
    if len(domains) > _MOST:
        names.append(f"{len(domains) - _MOST} more")
    if not names:
        return ""
    if len(names) == 1:
        return f"{names[0]} hears the microphone"
    return f"{', '.join(names[:-1])} and {names[-1]} hear the microphone"


class HearingNote(QPushButton):
    """Is there as long as a domain hears; *open_page* shows where that can be ended."""

    def __init__(self, watches: DeviceWatches, open_page: Callable[[], object]) -> None:
        super().__init__()
        self._watches = watches
        self.setFlat(True)
        self.setToolTip("Open the devices, where it can be taken back")
        self.clicked.connect(open_page)
        watches.changed.connect(self._show)
        self._show()

    def _show(self) -> None:
        words = hearing_words(self._watches.hearing)
        self.setText(menu_text(words))
        self.setIcon(icon(_PICTURE))
        self.setAccessibleName(words)
        self.setVisible(bool(words))


class HearingSign(QAction):
    """A line of the tray's menu and of its tip, as long as a domain hears; choosing it opens the page."""

    def __init__(self, parent: QWidget, watches: DeviceWatches, open_page: Callable[[], object]) -> None:
        super().__init__(icon(_PICTURE), "", parent)
        self._watches = watches
        self._said = ""
        self._tray: QSystemTrayIcon | None = None
        self.triggered.connect(open_page)
        watches.changed.connect(self.show_now)
        self.show_now()

    def stand_in(self, tray: QSystemTrayIcon) -> None:
        """Be in the tip of a tray's icon too."""
        self._tray = tray
        self.show_now()

    def show_now(self) -> None:
        """Say it anew; whoever else changes the tip of the tray's icon is to call this then."""
        words = hearing_words(self._watches.hearing)
        self.setText(menu_text(words))
        self.setVisible(bool(words))
        if self._tray:
            # The tip is others' too: ours is its second line.
            lines = [line for line in self._tray.toolTip().split("\n") if line != self._said]
            self._said = plain_tip(words)
            tip = "\n".join([*lines[:1], *filter(None, [self._said]), *lines[1:]])
            if tip != self._tray.toolTip():
                self._tray.setToolTip(plain_tip(tip))
