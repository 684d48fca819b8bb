"""What a screen reader is told of a guest's window: whose it is and its title. What is drawn in it nobody can read.

Of its menu it is told the entry that would be chosen.
"""

from PySide6.QtCore import QCoreApplication, QObject, QPoint, QRect
from PySide6.QtGui import QAccessible, QAccessibleEvent, QAccessibleInterface, QWindow

from qubes_manager.viewers.windows.guest_window import GuestWindow
from qubes_manager.viewers.windows.menu_window import MenuWindow


def make_accessible(_class: str, window: QObject) -> QAccessibleInterface | None:
    """Qt's factory: what stands for an object before screen readers, and None for what is none of our windows."""
    if isinstance(window, GuestWindow | MenuWindow):
        window.accessible = AccessibleWindow(window)
        window.windowTitleChanged.connect(window.accessible.tell_title)
        return window.accessible
    return None


class AccessibleWindow(QAccessibleInterface):
    """One window, without anything in it."""

    def __init__(self, window: QWindow) -> None:
        super().__init__()
        self._window = window

    def tell_title(self) -> None:
        """Say that its name is another."""
        QAccessible.updateAccessibility(QAccessibleEvent(self._window, QAccessible.Event.NameChanged))

    def isValid(self) -> bool:
        """Whether there still is such a window."""
        return True

    def object(self) -> QObject:
        """The window."""
        return self._window

    def role(self) -> QAccessible.Role:
        """What it is."""
        return QAccessible.Role.PopupMenu if isinstance(self._window, MenuWindow) else QAccessible.Role.Window

    def text(self, kind: QAccessible.Text) -> str:
        """Its title, which begins with the domain's name."""
        return self._window.title() if kind is QAccessible.Text.Name else ""

    def setText(self, kind: QAccessible.Text, text: str) -> None:
        """Nobody changes it."""

    def state(self) -> QAccessible.State:
        """Whether it has the keyboard."""
        state = QAccessible.State()
        state.active = self._window.isActive()
        return state

    def rect(self) -> QRect:
        """Where it is."""
        return QRect(self._window.mapToGlobal(QPoint()), self._window.size())

    def parent(self) -> QAccessibleInterface:
        """The program."""
        application = QCoreApplication.instance()
        assert application
        return QAccessible.queryAccessibleInterface(application)

    def childCount(self) -> int:
        """It has no parts."""
        return 0

    def child(self, index: int) -> QAccessibleInterface:
        """It has no parts."""
        return None  # type: ignore[return-value]

    def childAt(self, x: int, y: int) -> QAccessibleInterface:
        """It has no parts."""
        return None  # type: ignore[return-value]

    def indexOfChild(self, child: QAccessibleInterface) -> int:
        """It has no parts."""
        return -1
