"""The user's screens in the guest's pixels, as the guest and the judge count them."""

from collections.abc import Callable, Mapping

from PySide6.QtCore import QTimer
from PySide6.QtGui import QGuiApplication, QScreen

from qubes_manager.viewers.protocol.packets import Box
from qubes_manager.viewers.windows.guest_window import GuestWindow

_DPI = 96


class Screens:
    """Follows screens that come, go and change; *on_change* hears of each time that they did.

    A guest has one scale, that of the user's sharpest screen: there each of its pixels is one of the screen's, and on
    others its windows are drawn as large as they are there. *read_ratios* tells how many pixels a unit of Qt's has on
    screens, by their names; of others Qt knows, though on Wayland as whole numbers until there are windows: ``learn``
    takes it over.
    """

    def __init__(
        self,
        application: QGuiApplication,
        on_change: Callable[[], object],
        read_ratios: Callable[[], Mapping[str, float]] = dict,
    ) -> None:
        self._application = application
        self._on_change = on_change
        self._read_ratios = read_ratios
        self._ratios = dict(read_ratios())
        self._learned = dict[str, float]()
        self._last = self._state()
        application.screenAdded.connect(self._added)
        # Qt says so just before it goes.
        application.screenRemoved.connect(lambda _screen: QTimer.singleShot(0, self._changed))
        for screen in application.screens():
            self._follow(screen)

    def boxes(self) -> list[Box]:
        """Where each screen is."""
        return [_pixels(screen, self.ratio) for screen in self._application.screens()]

    def number_of(self, window: GuestWindow) -> int:
        """The number of a window's screen among ``boxes``; -1 while it is on none."""
        screens = self._application.screens()
        return screens.index(window.screen()) if window.screen() in screens else -1

    def ratio_of(self, window: GuestWindow) -> float:
        """How many pixels a unit has on a window's screen."""
        return self._ratio_of(window.screen())

    @property
    def ratio(self) -> float:
        """How many of the guest's pixels one of Qt's units has."""
        return max((self._ratio_of(screen) for screen in self._application.screens()), default=1.0)

    @property
    def size(self) -> tuple[int, int]:
        """Width and height of what all screens cover together."""
        boxes = self.boxes()
        return max(box.x + box.width for box in boxes), max(box.y + box.height for box in boxes)

    @property
    def dpi(self) -> int:
        """Dots per inch for the guest; 96 where nobody has asked for another scale."""
        ratio = self.ratio
        return round(_DPI * ratio if ratio != 1 else self._application.primaryScreen().logicalDotsPerInch())

    def learn(self, window: GuestWindow) -> None:
        """Take over how large the units of a window's screen are, where the compositor tells that to windows alone.

        One that is about to be shown may have been told what is true of no screen.
        """
        self._learned[window.screen().name()] = window.devicePixelRatio()
        self._tell()

    def _ratio_of(self, screen: QScreen) -> float:
        name = screen.name()
        return self._ratios.get(name) or self._learned.get(name) or screen.devicePixelRatio()

    def _added(self, screen: QScreen) -> None:
        self._follow(screen)
        self._changed()

    def _follow(self, screen: QScreen) -> None:
        # Another scale is told by all of them, in any order.
        screen.geometryChanged.connect(lambda _geometry: self._changed())
        screen.logicalDotsPerInchChanged.connect(lambda _dpi: self._changed())
        screen.physicalDotsPerInchChanged.connect(lambda _dpi: self._changed())

    def _changed(self) -> None:
        self._ratios = dict(self._read_ratios())
        self._learned.clear()
        self._tell()

    def _tell(self) -> None:
        before, self._last = self._last, self._state()
        if self._last != before:
            self._on_change()

    def _state(self) -> object:
        return [(self._ratio_of(screen), screen.geometry()) for screen in self._application.screens()], self.dpi


def _pixels(screen: QScreen, ratio: float) -> Box:
    geometry = screen.geometry()
    return Box(
        round(geometry.x() * ratio),
        round(geometry.y() * ratio),
        round(geometry.width() * ratio),
        round(geometry.height() * ratio),
    )
