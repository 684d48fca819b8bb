"""Widgets that show text as it is. Qt guesses what is markup, and markup of a guest's could open any file.

No other module of the window makes labels, boxes or tool tips of text that it did not write itself; a test holds that.
"""

import re
from math import ceil

from PySide6.QtCore import QSize, Qt
from PySide6.QtGui import QResizeEvent, QTextOption
from PySide6.QtWidgets import QFrame, QLabel, QMessageBox, QSizePolicy, QTextEdit, QWidget

from qubes_manager.core.text import harmless

# Laying out more than this takes so long that the window stands still, and nobody reads it.
_MOST = 4000
# Qt breaks lines between words alone, so that a long one makes its window as wide.
_LONG = re.compile(r"\S{40}")


def shown(text: str) -> str:
    """Return *text* harmless, and bounded."""
    return harmless(text) if len(text) <= _MOST else f"{harmless(text[:_MOST])}…"


def window_title(text: str) -> str:
    """Return the title of a window; “[*]” in it would be Qt's place for the sign of unsaved changes."""
    return shown(" ".join(text.split())).replace("[*]", "[*][*]")


def menu_text(text: str) -> str:
    """Return a menu's text in which an ampersand is one, and no key."""
    return " ".join(shown(text).split()).replace("&", "&&")


class PlainLabel(QLabel):
    """A label that takes nothing for markup. One that *wraps* breaks words too that are very long."""

    def __init__(self, text: str = "", *, wraps: bool = False) -> None:
        super().__init__()
        self.setTextFormat(Qt.TextFormat.PlainText)
        self.setWordWrap(wraps)
        self.setText(text)

    def setText(self, text: str) -> None:
        text = shown(text)
        super().setText(_LONG.sub("\\g<0>\u200b", text) if self.wordWrap() else text)


class PlainBox(QMessageBox):
    """A question or a message that takes nothing for markup."""

    def __init__(self, parent: QWidget, title: str, text: str, more: str = "") -> None:
        super().__init__(parent)
        self.setWindowTitle(window_title(title))
        self.setTextFormat(Qt.TextFormat.PlainText)
        self.setText(shown(text))
        self.setInformativeText(shown(more))
        # The format of the box is not that of its second label.
        for label in self.findChildren(QLabel):
            label.setTextFormat(Qt.TextFormat.PlainText)


class PlainField(QTextEdit):
    """Text to select and copy, to the letter. It breaks where it must, since paths and UUIDs have no blanks."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.setReadOnly(True)
        self.setFrameShape(QFrame.Shape.NoFrame)
        self.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self.setVerticalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self.setWordWrapMode(QTextOption.WrapMode.WrapAtWordBoundaryOrAnywhere)
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)
        self.setFocusPolicy(Qt.FocusPolicy.ClickFocus)
        # It looks like a label.
        self.viewport().setAutoFillBackground(False)
        self.document().setDocumentMargin(0)
        self.setPlainText(shown(text))

    def sizeHint(self) -> QSize:
        return QSize(ceil(self.document().idealWidth()), ceil(self.document().size().height()))

    def minimumSizeHint(self) -> QSize:
        return QSize(0, self.sizeHint().height())

    def resizeEvent(self, event: QResizeEvent) -> None:
        super().resizeEvent(event)
        # As high as its lines are at this width.
        self.setFixedHeight(ceil(self.document().size().height()))
