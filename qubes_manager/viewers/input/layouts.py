"""The host's keyboard layout, as long as the program runs."""

from collections.abc import Callable
from typing import Protocol

from PySide6.QtCore import QObject, QSocketNotifier

from qubes_manager.viewers.input.wayland_layout import WaylandLayout
from qubes_manager.viewers.input.x11_layout import X11Layout
from qubes_manager.viewers.protocol.packets import KeyboardLayout

_SOURCES: dict[str, Callable[[], "Source"]] = {"xcb": X11Layout, "wayland": WaylandLayout}


class Source(Protocol):
    """Where the layout is told."""

    def fileno(self) -> int:
        """What becomes readable when something changed."""

    def read(self) -> KeyboardLayout | None:
        """The layout now; None when it has no names. Raises OSError when nothing more will be told."""

    def close(self) -> None:
        """Hear no more."""


class Layouts(QObject):
    """Follows the layout of the *platform* (Qt's name); ``changed`` hears of each other one.

    Where no layout is told it is ``us``, and keys that mean something else go one by one.
    """

    def __init__(self, platform: str, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self.layout = KeyboardLayout()
        self.changed: Callable[[KeyboardLayout], object] = lambda _layout: None
        self._source: Source | None = None
        self._notifier: QSocketNotifier | None = None
        if make := _SOURCES.get(platform):
            try:
                self._source = make()
            except OSError as error:
                print("the keyboard's layout is not told:", error, flush=True)
        if self._source:
            self._notifier = QSocketNotifier(self._source.fileno(), QSocketNotifier.Type.Read, self)
            self._notifier.activated.connect(self.read)
            self.read()

    def read(self) -> None:
        """Take over what has changed so far."""
        if not self._source:
            return
        try:
            layout = self._source.read()
        except OSError as error:
            print("the keyboard's layout is told no more:", error, flush=True)
            self.close()
            return
        if layout and layout != self.layout:
            self.layout = layout
            self.changed(layout)

    def close(self) -> None:
        """Follow it no more."""
        if self._notifier:
            self._notifier.setEnabled(False)
            self._notifier = None
        if self._source:
            self._source.close()
            self._source = None
