"""Messages that do not stand in the way: a line each, with details on demand."""

from collections.abc import Callable, Sequence
from enum import Enum

from PySide6.QtCore import Qt, QTimer
from PySide6.QtGui import QGuiApplication
from PySide6.QtWidgets import (
    QFrame,
    QHBoxLayout,
    QPlainTextEdit,
    QProgressBar,
    QPushButton,
    QSizePolicy,
    QToolButton,
    QVBoxLayout,
    QWidget,
)

from qubes_manager.core.errors import Cancelled, QubesManagerError
from qubes_manager.core.text import harmless
from qubes_manager.ui.look.icons import icon
from qubes_manager.ui.look.plain import PlainLabel

_INFO_SECONDS = 8
# More than this and the oldest goes: messages must not bury the table.
_MAX_MESSAGES = 4
# Characters of details: laying out more takes seconds.
_MOST_DETAILS = 100_000

Button = tuple[str, Callable[[], object]]


class Level(Enum):
    """How grave a message is; the value is its icon."""

    INFO = "info"
    WARNING = "warning"
    ERROR = "error"


class Message(QFrame):
    """One message: icon, line, buttons, and details below when they are asked for.

    A button takes the message away, unless it *stays*.
    """

    def __init__(
        self,
        level: Level,
        text: str,
        details: str,
        buttons: Sequence[Button],
        on_close: Callable[[], None],
        stays: bool,
    ) -> None:
        super().__init__()
        self.setFrameShape(QFrame.Shape.StyledPanel)
        self.setAutoFillBackground(True)
        self.dismiss, self._stays = on_close, stays
        picture = PlainLabel()
        picture.setPixmap(icon(level.value).pixmap(20, 20))
        self.label = PlainLabel(text)
        # Text from guests and hosts is shown as it is, never as markup.
        self.label.setWordWrap(True)
        self.label.setTextInteractionFlags(Qt.TextInteractionFlag.TextSelectableByMouse)
        self.label.setSizePolicy(_grows_with_text())
        self.setSizePolicy(_grows_with_text())
        self.progress = QProgressBar()
        self.progress.setFixedWidth(160)
        self.progress.hide()
        self._line = QHBoxLayout()
        self._line.addWidget(picture)
        self._line.addWidget(self.label, 1)
        self._line.addWidget(self.progress)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(8, 4, 4, 4)
        layout.addLayout(self._line)
        for title, act in buttons:
            self._add_button(title, act)
        if details:
            self._add_details(layout, details)
        closing = QToolButton()
        closing.setIcon(icon("close"))
        closing.setAutoRaise(True)
        closing.setToolTip("Dismiss this message")
        closing.setAccessibleName("Dismiss this message")
        closing.clicked.connect(on_close)
        self._line.addWidget(closing)
        self.setAccessibleName(self.label.text())

    def _add_button(self, title: str, act: Callable[[], object]) -> QPushButton:
        button = QPushButton(title)
        if not self._stays:
            button.clicked.connect(self.dismiss)
        button.clicked.connect(lambda: act())
        self._line.addWidget(button)
        return button

    def _add_details(self, layout: QVBoxLayout, details: str) -> None:
        box = QPlainTextEdit(harmless(details[:_MOST_DETAILS]))
        box.setReadOnly(True)
        box.setMaximumHeight(110)
        box.setAccessibleName("Details of the message")
        box.hide()
        toggle = QPushButton("Details")
        toggle.setCheckable(True)
        toggle.toggled.connect(box.setVisible)
        copy = QPushButton("Copy")
        copy.setToolTip("Copy the message and its details to this desktop’s clipboard")
        text = f"{self.label.text()}\n{box.toPlainText()}"
        copy.clicked.connect(lambda: QGuiApplication.clipboard().setText(text))
        self._line.addWidget(toggle)
        self._line.addWidget(copy)
        layout.addWidget(box)


class MessageBar(QWidget):
    """The messages of a window, newest below."""

    def __init__(self) -> None:
        super().__init__()
        self._layout = QVBoxLayout(self)
        self._layout.setContentsMargins(6, 4, 6, 4)
        self._layout.setSpacing(4)
        self.setSizePolicy(_grows_with_text())
        self._messages: dict[str, Message] = {}
        self._count = 0
        self.hide()

    @property
    def texts(self) -> list[str]:
        """What is shown now."""
        return [message.label.text() for message in self._messages.values()]

    def show_message(
        self,
        level: Level,
        text: str,
        *,
        details: str = "",
        buttons: Sequence[Button] = (),
        key: str = "",
        stays: bool = False,
    ) -> Message:
        """Show a line in place of one with the same *key*.

        Mere information goes after a while, and any message when one of its buttons is used, unless it *stays*.
        """
        self._count += 1
        key = key or f"message-{self._count}"
        self.dismiss(key)
        message = Message(level, text, details, buttons, lambda: self.dismiss(key), stays)
        while len(self._messages) >= _MAX_MESSAGES:
            self.dismiss(next(iter(self._messages)))
        self._messages[key] = message
        self._layout.addWidget(message)
        self.show()
        if level is Level.INFO and not buttons and not stays:
            QTimer.singleShot(_INFO_SECONDS * 1000, message, lambda: self.dismiss(key))
        return message

    def show_error(self, error: QubesManagerError) -> None:
        """Show an error's line, with libvirt's own text under Details."""
        text = str(error)
        # Who stopped something knows that it was stopped.
        level = Level.INFO if isinstance(error, Cancelled) else Level.ERROR
        self.show_message(level, text[:1].upper() + text[1:], details=error.details)

    def dismiss(self, key: str) -> None:
        """Take a message away, if it is there."""
        message = self._messages.pop(key, None)
        if message:
            self._layout.removeWidget(message)
            message.hide()
            message.deleteLater()
        if not self._messages:
            self.hide()

    def shows(self, message: Message) -> bool:
        """Whether a message is still there."""
        return message in self._messages.values()

    def show_progress(self, text: str, buttons: Sequence[Button] = ()) -> "ProgressMessage":
        """Show a long job with a bar and buttons, in a message of its own."""
        return ProgressMessage(self, text, buttons)


def _grows_with_text() -> QSizePolicy:
    """As high as the text needs at the width there is."""
    policy = QSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Minimum)
    policy.setHeightForWidth(True)
    return policy


class ProgressMessage:
    """A long job's message; ``update`` moves the bar, ``close`` takes the message away."""

    def __init__(self, bar: MessageBar, text: str, buttons: Sequence[Button]) -> None:
        self._bar = bar
        self._message = bar.show_message(Level.INFO, text, buttons=buttons, stays=True)
        self._message.progress.setRange(0, 0)
        self._message.progress.setAccessibleName(self._message.label.text())
        self._message.progress.show()

    def update(self, text: str, done: int, total: int) -> None:
        """Show where the job is; without a *total* the bar only moves. A message that was dismissed stays away."""
        if not self._bar.shows(self._message):
            return
        self._message.label.setText(text)
        self._message.progress.setRange(0, 1000 if total else 0)
        self._message.progress.setValue(1000 * done // total if total else 0)

    def close(self) -> None:
        """The job has ended."""
        self._message.dismiss()
