"""Collecting Python's garbage on the window's thread alone.

The collector runs in whichever thread allocates, and with a widget it takes the widget's timers away there: Qt cannot
stop a timer from another thread, and the next one that fires crashes the program (PySide6 6.11, tried).
"""

import gc

from PySide6.QtCore import QObject

_INTERVAL_MS = 5000


class GarbageCollector(QObject):
    """Takes the place of the automatic collector; lives on the window's thread."""

    def __init__(self, parent: QObject | None = None, interval: int = _INTERVAL_MS) -> None:
        super().__init__(parent)
        gc.disable()
        self.startTimer(interval)

    def timerEvent(self, _event: object) -> None:
        """Collect as far as the automatic collector would."""
        for generation in (2, 1, 0):
            if gc.get_count()[generation] > gc.get_threshold()[generation]:
                gc.collect(generation)
                return
