"""Colours in the text of a policy file: comments, what is decided, and lines that are wrong."""

import re
from collections.abc import Iterable

from PySide6.QtGui import QColor, QGuiApplication, QSyntaxHighlighter, QTextCharFormat, QTextDocument

_ACTIONS = re.compile(r"(?<=\s)(?:allow|ask|deny)(?=\s|$)")
_ON_LIGHT = {"allow": QColor("#3c7a04"), "ask": QColor("#b34e00"), "deny": QColor("#cc0000")}
_ON_DARK = {"allow": QColor("#8ae234"), "ask": QColor("#fcaf3e"), "deny": QColor("#ff8f8f")}
_COMMENT, _WRONG = QColor("#888a85"), QColor(204, 0, 0, 60)


class Highlighter(QSyntaxHighlighter):
    """Colours a document; ``mark`` says which lines, from 1 on, are wrong."""

    def __init__(self, document: QTextDocument) -> None:
        super().__init__(document)
        self.wrong: frozenset[int] = frozenset()

    def mark(self, lines: Iterable[int]) -> None:
        """Let just these lines be shown as wrong."""
        wrong = frozenset(lines)
        if wrong != self.wrong:
            self.wrong = wrong
            self.rehighlight()

    def highlightBlock(self, text: str) -> None:
        """Colour one line."""
        whole = QTextCharFormat()
        if self.currentBlock().blockNumber() + 1 in self.wrong:
            whole.setBackground(_WRONG)
        if text.lstrip().startswith("#"):
            whole.setForeground(_COMMENT)
            self.setFormat(0, len(text), whole)
            return
        self.setFormat(0, len(text), whole)
        # What stands after it are options; before it an action's word may be a domain's name.
        if action := _ACTIONS.search(text):
            shown = QTextCharFormat(whole)
            is_dark = QGuiApplication.palette().base().color().lightness() < 128
            shown.setForeground((_ON_DARK if is_dark else _ON_LIGHT)[action[0]])
            self.setFormat(action.start(), len(action[0]), shown)
