"""Fields that the mouse wheel changes only while they have the focus: who scrolls past one sets nothing."""

from PySide6.QtCore import Qt
from PySide6.QtGui import QWheelEvent
from PySide6.QtWidgets import QComboBox, QSpinBox, QWidget

from qubes_manager.core.text import one_cell


class ComboBox(QComboBox):
    """A choice. The wheel gives it no focus, and what it ignores scrolls what is around it."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setFocusPolicy(Qt.FocusPolicy.StrongFocus)

    def offer(self, text: str, value: object = None) -> None:
        """Add a choice whose words may be anybody's; without a *value* they are it, to the letter."""
        self.addItem(one_cell(text), text if value is None else value)

    def wheelEvent(self, event: QWheelEvent) -> None:
        """Turn only what the user is in."""
        if self.hasFocus():
            super().wheelEvent(event)
        else:
            event.ignore()


class SpinBox(QSpinBox):
    """A whole number, with the same manners."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setFocusPolicy(Qt.FocusPolicy.StrongFocus)

    def wheelEvent(self, event: QWheelEvent) -> None:
        """Turn only what the user is in."""
        if self.hasFocus():
            super().wheelEvent(event)
        else:
            event.ignore()
