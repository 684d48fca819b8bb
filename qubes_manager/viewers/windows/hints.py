"""What the desktop is told of a window: its title, the sizes that it may have, its states, whether it has a frame."""

import math

from PySide6.QtCore import QSize, Qt

from qubes_manager.viewers.protocol.packets import Metadata, SizeConstraints
from qubes_manager.viewers.windows.guest_window import GuestWindow

# Qt's own for "as large as one likes".
_NO_LIMIT = QSize(16777215, 16777215)


def apply(window: GuestWindow, said: Metadata) -> None:
    """Pass on what was *said* of a window, except for its parent and for what holds from when it is made."""
    if said.title is not None:
        window.setTitle(said.title)
        window.redress()
    if said.constraints is not None:
        _constrain(window, said.constraints)
    if said.decorations is not None and window.managed:
        window.setFlag(Qt.WindowType.FramelessWindowHint, window.is_bare or not said.decorations)
    if said.attention:
        window.alert(0)
    _change_states(window, said)


def _change_states(window: GuestWindow, said: Metadata) -> None:
    if not window.managed:
        return
    states = window.windowStates()
    for wanted, state in (
        (said.maximized, Qt.WindowState.WindowMaximized),
        (said.fullscreen, Qt.WindowState.WindowFullScreen),
        (said.iconic, Qt.WindowState.WindowMinimized),
    ):
        if wanted is not None:
            states = states | state if wanted else states & ~state
    if states != window.windowStates():
        window.setWindowStates(states)


def _constrain(window: GuestWindow, given: SizeConstraints) -> None:
    ratio, both = window.ratio, window.frame.both

    def outer(size: tuple[int, int]) -> QSize:
        return QSize(*(math.ceil(side / ratio) for side in (size[0] + both.width(), size[1] + both.height())))

    window.setMinimumSize(outer(given.minimum) if given.minimum else QSize(0, 0))
    window.setMaximumSize(outer(given.maximum) if given.maximum else _NO_LIMIT)
    # Steps of a scaled window would not be whole ones of Qt's units.
    if ratio == 1:
        window.setBaseSize(outer(given.base) if given.base else QSize())
        window.setSizeIncrement(QSize(*given.increment) if given.increment else QSize())
