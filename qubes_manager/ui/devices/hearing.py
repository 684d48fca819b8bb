"""Who hears the microphone, where it is seen at a glance: in the window's line at the bottom, and in the tray."""

from collections.abc import Callable, Sequence

from PySide6.QtGui import QAction
from PySide6.QtWidgets import QPushButton, QWidget

from qubes_manager.core.domain import Domain
from qubes_manager.core.text import one_line
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
    """A line of the tray's menu, as long as a domain hears, and what its tip says; choosing it opens the page."""

    def __init__(self, parent: QWidget, watches: DeviceWatches, open_page: Callable[[], object]) -> None:
        super().__init__(icon(_PICTURE), "", parent)
        self._watches = watches
        self._say: Callable[[Sequence[str]], object] = lambda _lines: None
        self.triggered.connect(open_page)
        watches.changed.connect(self._show)
        self._show()

    def tell(self, say: Callable[[Sequence[str]], object]) -> None:
        """Tell who hears, as a line or none, now and whenever that changes."""
        self._say = say
        self._show()

    def _show(self) -> None:
        words = hearing_words(self._watches.hearing)
        self.setText(menu_text(words))
        self.setVisible(bool(words))
        self._say([words] if words else [])
