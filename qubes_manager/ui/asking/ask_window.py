"""The question whether something may cross to another domain, as a window."""

from collections.abc import Callable

from PySide6.QtCore import QEvent, Qt, Signal
from PySide6.QtGui import QCloseEvent, QColor, QPainter, QPaintEvent, QPalette
from PySide6.QtWidgets import QCheckBox, QDialog, QFrame, QHBoxLayout, QPushButton, QVBoxLayout, QWidget

from qubes_manager.core.crossing.question import Answer, Question
from qubes_manager.core.crossing.service_words import service_title, wish
from qubes_manager.core.labels import LABELS
from qubes_manager.core.names import HOST_NAME
from qubes_manager.core.text import one_cell, plain_tip
from qubes_manager.ui.asking.attention import REST, Attention
from qubes_manager.ui.asking.target_list import TargetList
from qubes_manager.ui.look.icons import label_icon
from qubes_manager.ui.look.plain import PlainField, PlainLabel, window_title

_WIDTH, _HEIGHT = 460, 520
_BAND = 8
# Names of files that are shown, and characters of each.
_NAMES, _NAME, _ARGUMENT = 5, 90, 40
_SWATCH = 20
_WAIT, _AWAY = "The buttons work in a second.", "Click into this window to answer."
_GRANT_TIP = (
    "The same is not asked again for this source and this target, until one of them stops, you revoke it "
    "(“Policy” in the manager), or the session ends."
)
_BLOCK_TIP = "Refuse this, and whatever else it asks for, until you lift that (“Policy” in the manager)."


class AskWindow(QDialog):
    """Asks a question; ``answered`` brings what the user chose. Nothing answers before it has had attention.

    *rest* is for how many milliseconds.
    """

    answered = Signal(object)

    def __init__(self, question: Question, rest: int = REST) -> None:
        super().__init__(None, Qt.WindowType.Dialog | Qt.WindowType.WindowStaysOnTopHint)
        self._question = question
        self.setWindowTitle(window_title(f"“{question.shown_source}” asks: {service_title(question.service)}"))
        self.resize(_WIDTH, _HEIGHT)
        self.targets = TargetList(question.choices, question.default_target)
        self.targets.changed.connect(self._update)
        self.grant = QCheckBox("Allow this pair for this session")
        self.grant.setToolTip(plain_tip(_GRANT_TIP))
        self.grant.setVisible(question.can_grant)
        self.hint = PlainLabel(_AWAY)
        layout = QVBoxLayout(self)
        margins = layout.contentsMargins()
        margins.setLeft(margins.left() + _BAND)
        layout.setContentsMargins(margins)
        layout.addLayout(_source_line(question))
        if question.origin:
            layout.addWidget(PlainLabel(f"a disposable that “{one_cell(question.origin)}” has had made", wraps=True))
        layout.addWidget(PlainLabel(f"wants to {_sentence(question)}.", wraps=True))
        layout.addWidget(_faint(PlainLabel(_service(question), wraps=True)))
        if words := _own_words(question):
            layout.addWidget(PlainLabel(f"“{one_cell(question.shown_source)}” itself says:", wraps=True))
            layout.addWidget(_frame(PlainField(words)))
        layout.addWidget(PlainLabel("To which domain?"))
        layout.addWidget(self.targets, 1)
        layout.addWidget(self.grant)
        layout.addLayout(self._buttons())
        layout.addWidget(self.hint)
        self.attention = Attention(self, rest)
        self.attention.changed.connect(self._update)
        self._update()
        self.targets.search.setFocus()

    def _buttons(self) -> QHBoxLayout:
        self.block = self._button("Block this domain’s requests", self._on_block)
        self.block.setToolTip(plain_tip(_BLOCK_TIP))
        # This machine's own questions are about devices that the user has assigned.
        self.block.setVisible(self._question.source != HOST_NAME)
        self.cancel = self._button("Cancel", self._on_cancel)
        self.ok = self._button("OK", self._on_ok)
        self.ok.setDefault(True)
        row = QHBoxLayout()
        row.addWidget(self.block)
        row.addStretch(1)
        row.addWidget(self.cancel)
        row.addWidget(self.ok)
        return row

    def _button(self, text: str, work: Callable[[], None]) -> QPushButton:
        # No letter of theirs is underlined: what is typed must not press them.
        button = QPushButton(text)
        button.clicked.connect(work)
        return button

    def _update(self) -> None:
        given, chosen = self.attention.is_given, self.targets.chosen
        self.ok.setEnabled(given and chosen is not None)
        self.cancel.setEnabled(given)
        self.block.setEnabled(given)
        self.grant.setEnabled(chosen is not None)
        if given:
            self.hint.setText("" if chosen else "Choose a domain to allow it.")
        else:
            self.hint.setText(_WAIT if self.isActiveWindow() else _AWAY)

    def _on_ok(self) -> None:
        if self.attention.is_given and (chosen := self.targets.chosen):
            self.answered.emit(Answer(chosen.target, grant_session=self.grant.isVisible() and self.grant.isChecked()))

    def _on_cancel(self) -> None:
        if self.attention.is_given:
            self.answered.emit(Answer())

    def _on_block(self) -> None:
        if self.attention.is_given:
            self.answered.emit(Answer(block_source=True))

    def reject(self) -> None:
        """Esc says no, once it may."""
        self._on_cancel()

    def closeEvent(self, event: QCloseEvent) -> None:
        """To close the window is to say no, once that may be said."""
        event.ignore()
        self._on_cancel()

    def changeEvent(self, event: QEvent) -> None:
        """Say what the buttons wait for."""
        super().changeEvent(event)
        if event.type() == QEvent.Type.ActivationChange:
            self._update()

    def paintEvent(self, event: QPaintEvent) -> None:
        """Show the source's colour along the whole window."""
        super().paintEvent(event)
        if label := LABELS.get(self._question.source_label):
            QPainter(self).fillRect(0, 0, _BAND, self.height(), QColor(label.colour))


def _source_line(question: Question) -> QHBoxLayout:
    row = QHBoxLayout()
    if picture := label_icon(LABELS.get(question.source_label)):
        patch = PlainLabel()
        patch.setPixmap(picture.pixmap(_SWATCH, _SWATCH))
        patch.setAccessibleName(f"label {question.source_label}")
        row.addWidget(patch)
    name = PlainLabel(one_cell(question.shown_source), wraps=True)
    font = name.font()
    font.setPointSizeF(font.pointSizeF() * 1.4)
    font.setBold(True)
    name.setFont(font)
    row.addWidget(name, 1)
    return row


def _sentence(question: Question) -> str:
    return question.sentence or wish(
        question.service, _shortened(question.argument, _ARGUMENT), question.count, question.size
    )


def _service(question: Question) -> str:
    return f"Service {question.service}" + (f", argument {_shortened(question.argument)}" if question.argument else "")


def _own_words(question: Question) -> str:
    """What only the guest says of itself, bounded: the files' names, and whom it asked for."""
    lines = [f"• {_shortened(one_cell(name))}" for name in question.names[:_NAMES]]
    more = max(question.count, len(question.names)) - len(lines)
    if lines and more > 0:
        lines.append(f"… and {more} more")
    if question.requested:
        lines.append(f"It asked for the domain “{_shortened(one_cell(question.requested))}”.")
    return "\n".join(lines)


def _shortened(name: str, most: int = _NAME) -> str:
    # Both ends say what a file is.
    return name if len(name) <= most else f"{name[: most // 2]}…{name[-most // 2 :]}"


def _faint(label: PlainLabel) -> PlainLabel:
    font = label.font()
    font.setPointSizeF(font.pointSizeF() * 0.9)
    label.setFont(font)
    label.setForegroundRole(QPalette.ColorRole.PlaceholderText)
    return label


def _frame(content: QWidget) -> QFrame:
    frame = QFrame()
    frame.setFrameShape(QFrame.Shape.StyledPanel)
    QVBoxLayout(frame).addWidget(content)
    return frame
