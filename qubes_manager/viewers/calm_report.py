"""What a guest can make a viewer tell its supervisor without end is told now and then."""

from collections.abc import Callable

from PySide6.QtCore import QTimer

from qubes_manager.core.viewer_messages import ViewerEvent

# Milliseconds between two reports.
_PAUSE = 100


class CalmReport:
    """Tells one kind of event: the first at once, and what comes soon after it a little later, the last of it only."""

    def __init__(self, report: Callable[[ViewerEvent], object]) -> None:
        self._report = report
        self._waiting: ViewerEvent | None = None
        self._timer = QTimer()
        self._timer.setSingleShot(True)
        self._timer.setInterval(_PAUSE)
        self._timer.timeout.connect(self._go_on)

    def tell(self, event: ViewerEvent) -> None:
        """Tell it, or have it told in place of what still waits."""
        if self._timer.isActive():
            self._waiting = event
        else:
            self._report(event)
            self._timer.start()

    def _go_on(self) -> None:
        event, self._waiting = self._waiting, None
        if event:
            self.tell(event)
