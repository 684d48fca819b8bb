"""What the window shows when there is no domain, or when no domain passes the filter."""

from collections.abc import Sequence

from PySide6.QtCore import Qt
from PySide6.QtGui import QAction
from PySide6.QtWidgets import QPushButton, QVBoxLayout, QWidget

from qubes_manager.core.text import plain_tip
from qubes_manager.ui.look.icons import program_icon
from qubes_manager.ui.look.plain import PlainLabel

_ICON = 72
_TEXT_WIDTH = 460


class _ActionButton(QPushButton):
    """Does what an action does, with its icon as that is now."""

    def __init__(self, action: QAction) -> None:
        super().__init__(action.icon(), action.text().replace("&", ""))
        self._action = action
        self.setToolTip(plain_tip(action.toolTip()))
        self.clicked.connect(action.trigger)
        action.changed.connect(self._on_change)

    def _on_change(self) -> None:
        self.setIcon(self._action.icon())


class EmptyState(QWidget):
    """A picture, a sentence that says what to do next, and buttons that do it."""

    def __init__(self, title: str, hint: str, actions: Sequence[QAction], *, picture: bool = True) -> None:
        super().__init__()
        layout = QVBoxLayout(self)
        layout.addStretch(1)
        if picture:
            image = PlainLabel()
            image.setPixmap(program_icon().pixmap(_ICON, _ICON))
            image.setAlignment(Qt.AlignmentFlag.AlignCenter)
            layout.addWidget(image)
        heading = PlainLabel(title)
        font = heading.font()
        font.setPointSizeF(font.pointSizeF() * 1.5)
        font.setBold(True)
        heading.setFont(font)
        heading.setAlignment(Qt.AlignmentFlag.AlignCenter)
        layout.addWidget(heading)
        text = PlainLabel(hint)
        text.setAlignment(Qt.AlignmentFlag.AlignCenter)
        text.setWordWrap(True)
        text.setFixedWidth(_TEXT_WIDTH)
        # The layout gives a label that is aligned no height for its width.
        text.setMinimumHeight(text.heightForWidth(_TEXT_WIDTH))
        layout.addWidget(text, 0, Qt.AlignmentFlag.AlignCenter)
        layout.addSpacing(12)
        for action in actions:
            layout.addWidget(_ActionButton(action), 0, Qt.AlignmentFlag.AlignCenter)
        layout.addStretch(2)
