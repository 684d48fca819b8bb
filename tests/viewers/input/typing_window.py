"""A window with the input of a viewer: prints, a line each, what would be said to the guest.

Usage: typing_window.py; "ready" comes when it has the keyboard.
"""

import sys

from PySide6.QtCore import QEvent
from PySide6.QtGui import (
    QColor,
    QGuiApplication,
    QInputMethodEvent,
    QInputMethodQueryEvent,
    QKeyEvent,
    QMouseEvent,
    QPainter,
    QPaintEvent,
    QRasterWindow,
    QWheelEvent,
)

from qubes_manager.core.gui_rules import GuiRules
from qubes_manager.viewers.input.guest_input import GuestInput
from qubes_manager.viewers.input.layouts import Layouts
from qubes_manager.viewers.protocol.packets import ButtonAction, KeyAction, LayoutChanged, ToGuest, WheelMotion


class TypingWindow(QRasterWindow):
    """A window whose number is 7."""

    def __init__(self, platform: str) -> None:
        super().__init__()
        self.setTitle("typing")
        self.resize(300, 200)
        layouts = Layouts(platform)
        tell(f"layout {layouts.layout.layout}")
        rules = GuiRules("work", "#3465a4")
        self._input = GuestInput(
            show,
            rules,
            layouts,
            platform,
            lambda pressed: tell(f"host {pressed.what}"),
            lambda wid: tell(f"full screen {wid}"),
        )

    def paintEvent(self, event: QPaintEvent) -> None:
        QPainter(self).fillRect(0, 0, self.width(), self.height(), QColor("#3465a4"))

    def event(self, event: QEvent) -> bool:
        match event:
            case QInputMethodEvent():
                self._input.method(7, event)
                return True
            case QInputMethodQueryEvent():
                self._input.query(event)
                return True
        if event.type() == QEvent.Type.FocusIn:
            self._input.focus(7)
            tell("ready")
        elif event.type() == QEvent.Type.FocusOut:
            self._input.focus(None)
            tell("left")
        return super().event(event)

    def keyPressEvent(self, event: QKeyEvent) -> None:
        self._input.key(7, event, True)

    def keyReleaseEvent(self, event: QKeyEvent) -> None:
        self._input.key(7, event, False)

    def mousePressEvent(self, event: QMouseEvent) -> None:
        place = event.position().toPoint()
        self._input.pointer(7, event, place.x(), place.y())

    mouseReleaseEvent = mouseMoveEvent = mousePressEvent

    def wheelEvent(self, event: QWheelEvent) -> None:
        self._input.wheel(7, event, 0, 0)


def tell(words: str) -> None:
    """Print a line."""
    print(words, flush=True)


def show(message: ToGuest) -> None:
    """Print what would be said, as far as tests want to know it."""
    match message:
        case KeyAction(keyname=name, pressed=pressed, keycode=keycode, group=group):
            tell(f"{'+' if pressed else '-'}{name} {keycode} {group}")
        case LayoutChanged(layout):
            tell(f"layout {layout.layout}")
        case ButtonAction(button=button, pressed=pressed):
            tell(f"{'press' if pressed else 'release'} {button}")
        case WheelMotion(right=right, down=down):
            tell(f"wheel {right} {down}")
        case _:
            pass


def main() -> int:
    """Show the window until it is closed."""
    application = QGuiApplication(sys.argv)
    window = TypingWindow(application.platformName())
    window.show()
    return application.exec()


if __name__ == "__main__":
    sys.exit(main())
