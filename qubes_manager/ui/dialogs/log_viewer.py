"""Viewing logs. Its Copy is the only way that host text gets onto the inter-domain clipboard."""

import asyncio
import contextlib
from collections.abc import Callable, Coroutine, Iterator
from pathlib import Path
from typing import Any

from PySide6.QtCore import Qt
from PySide6.QtGui import QFontDatabase, QKeySequence, QShortcut, QTextCursor, QTextDocument
from PySide6.QtWidgets import (
    QDialog,
    QFileDialog,
    QHBoxLayout,
    QLineEdit,
    QPlainTextEdit,
    QToolButton,
    QVBoxLayout,
    QWidget,
)

from qubes_manager.core.domain import Domain
from qubes_manager.core.errors import QubesManagerError
from qubes_manager.core.sizes import format_size
from qubes_manager.core.text import make_visible, plain_tip
from qubes_manager.services.crossing.clipboard import Clipboards
from qubes_manager.services.files.logs import Logs, LogSource, Piece
from qubes_manager.ui.look.fields import ComboBox
from qubes_manager.ui.look.icons import icon
from qubes_manager.ui.look.plain import PlainLabel, window_title

_FOLLOW_SECONDS = 0.5
# A text this long goes into the view in one turn of the event loop: about 2 ms.
_SLICE = 24 << 10
# Qt lays out a paragraph at once, so a log without line ends must not become one.
_MAX_LINE = 2000
_MAX_BLOCKS = 400_000
# Bytes that following a log gathers before it begins with the last MiB again.
_MOST = 32 << 20
_NOTHING = Piece(b"", 0, 0, 0)


def as_lines(data: bytes) -> str:
    """Return log bytes as visible text, with over-long lines broken."""
    text = make_visible(data)
    if max(map(len, text.split("\n")), default=0) <= _MAX_LINE:
        return text
    return "\n".join(
        "\n".join(line[i : i + _MAX_LINE] for i in range(0, len(line), _MAX_LINE)) or "" for line in text.split("\n")
    )


class LogViewer(QDialog):
    """Shows the last MiB of a log, older text on demand, and follows it as it grows."""

    def __init__(
        self,
        parent: QWidget,
        logs: Logs,
        clipboards: Clipboards,
        spawn: Callable[[Coroutine[Any, Any, Any]], Any],
        domain: Domain | None,
        uri: str,
        first: str = "",
    ) -> None:
        super().__init__(parent)
        self._logs, self._clipboards, self._spawn, self._uri = logs, clipboards, spawn, uri
        self._source: LogSource | None = None
        self._first: Piece | None = None
        self._last: Piece | None = None
        self._lock = asyncio.Lock()
        self.setWindowTitle(window_title(f"Logs of {domain.name}" if domain else "Logs"))
        self.resize(860, 520)
        self.text = QPlainTextEdit()
        self.text.setReadOnly(True)
        self.text.setMaximumBlockCount(_MAX_BLOCKS)
        self.text.setLineWrapMode(QPlainTextEdit.LineWrapMode.NoWrap)
        self.text.setFont(QFontDatabase.systemFont(QFontDatabase.SystemFont.FixedFont))
        self.text.setAccessibleName("Log")
        self.text.setPlaceholderText("This log is empty so far.")
        self.status = PlainLabel()
        layout = QVBoxLayout(self)
        layout.addLayout(self._top())
        layout.addWidget(self.text, 1)
        layout.addWidget(self.status)
        QShortcut(QKeySequence.StandardKey.Find, self, self.search.setFocus)
        self._task = spawn(self._open(domain, uri, first))
        self.finished.connect(lambda _code: self._task.cancel())

    def _top(self) -> QHBoxLayout:
        self.choice = ComboBox()
        self.choice.setAccessibleName("Which log")
        self.choice.setMinimumContentsLength(20)
        self.choice.activated.connect(lambda i: self._spawn(self.show_source(self.choice.itemData(i))))
        self.search = QLineEdit()
        self.search.setPlaceholderText("Search")
        self.search.setAccessibleName("Search in the log")
        self.search.setClearButtonEnabled(True)
        self.search.returnPressed.connect(self.find_next)
        self.follow = self._button("follow", "Follow", "Show what is added as it comes", checkable=True)
        self.follow.setChecked(True)
        self.follow.toggled.connect(lambda on: self._jump_to_end() if on else None)
        wrap = self._button("wrap", "Wrap", "Break long lines", checkable=True)
        wrap.toggled.connect(self._set_wrap)
        self.older = self._button("older", "Older", "Load the MiB before the first line")
        self.older.clicked.connect(lambda: self._spawn(self.load_older()))
        end = self._button("follow", "End", "Jump to the end")
        end.clicked.connect(self._jump_to_end)
        copy = self._button("copy", "Copy", "Put the selection, or all, on the inter-domain clipboard")
        copy.clicked.connect(lambda: self._spawn(self.copy()))
        save = self._button("save", "Save as…", "Write the whole log to a file")
        save.clicked.connect(self._choose_target)
        row = QHBoxLayout()
        row.addWidget(self.choice)
        row.addWidget(self.search, 1)
        for button in (self.follow, wrap, self.older, end, copy, save):
            row.addWidget(button)
        return row

    def _button(self, picture: str, name: str, tip: str, *, checkable: bool = False) -> QToolButton:
        button = QToolButton()
        button.setIcon(icon(picture))
        button.setText(name)
        button.setToolButtonStyle(Qt.ToolButtonStyle.ToolButtonTextBesideIcon)
        button.setToolTip(plain_tip(tip))
        button.setAccessibleName(name)
        button.setCheckable(checkable)
        button.setAutoRaise(True)
        return button

    # Reading.

    async def _open(self, domain: Domain | None, uri: str, first: str) -> None:
        for source in await self._logs.sources(domain, uri):
            self.choice.offer(source.title, source)
        self.choice.setCurrentIndex(max(self.choice.findText(first), 0))
        with self._absence_told():
            await self.show_source(self.choice.currentData())
        while True:
            await asyncio.sleep(_FOLLOW_SECONDS)
            if self.follow.isChecked() and self.isVisible():
                with self._absence_told():
                    await self._grow()

    @contextlib.contextmanager
    def _absence_told(self) -> Iterator[None]:
        """A log that is not there, or may not be read, may come back: whoever follows it goes on."""
        try:
            yield
        except QubesManagerError as error:
            self.status.setText(f"{error}; it is looked for again each second while it is followed.")

    async def show_source(self, source: LogSource) -> None:
        """Show the end of another log."""
        async with self._lock:
            self.text.clear()
            self._source = source
            self._first = self._last = _NOTHING
            self._first = self._last = piece = await self._logs.read(source)
            await self._insert(piece.data, QTextCursor.MoveOperation.End)
            self._jump_to_end()
            self._update_status()

    async def load_older(self) -> None:
        """Put the MiB before the first line in front."""
        async with self._lock:
            if not self._source or not self._first or not self._first.start:
                return
            piece = await self._logs.read(self._source, self._first.start)
            await self._insert(piece.data, QTextCursor.MoveOperation.Start)
            self._first = piece
            self._update_status()

    async def _grow(self) -> None:
        async with self._lock:
            if not self._source or not self._last:
                return
            piece = await self._logs.read_growth(self._source, self._last)
            if piece.start < self._last.end or piece.inode != self._last.inode:
                # It was begun anew.
                self.text.clear()
                self._first = piece
            elif piece.end - self._first_start() > _MOST:
                # Nobody reads back that far; “Older” does.
                self.text.clear()
                self._first = piece = await self._logs.read(self._source)
            if piece.data:
                await self._insert(piece.data, QTextCursor.MoveOperation.End)
                self._jump_to_end()
            self._last = piece
            if piece.data:
                self._update_status()

    def _first_start(self) -> int:
        return self._first.start if self._first else 0

    async def _insert(self, data: bytes, where: QTextCursor.MoveOperation) -> None:
        """Put text into the view slice by slice, so that the window stays alive."""
        text = await asyncio.to_thread(as_lines, data)
        cursor = QTextCursor(self.text.document())
        cursor.movePosition(where)
        for start in range(0, len(text), _SLICE):
            cursor.insertText(text[start : start + _SLICE])
            await asyncio.sleep(0)

    def _update_status(self) -> None:
        first, last = self._first, self._last
        if first and last:
            shown = format_size(max(last.end - first.start, 0))
            more = f"; {format_size(first.start)} before that" if first.start else ""
            note = f" ({self._source.note})" if self._source and self._source.note else ""
            self.status.setText(f"{shown} shown{more}{note}")
            self.older.setEnabled(bool(first.start))

    # What the user does.

    async def copy(self) -> None:
        """Put the selection, or all that is shown, on the inter-domain clipboard."""
        # Qt separates a selection's lines with U+2029.
        text = self.text.textCursor().selectedText().replace("\u2029", "\n") or self.text.toPlainText()
        try:
            said = await self._clipboards.put(self._uri, text)
        except QubesManagerError as error:
            said = f"Not copied: {error}."
        with contextlib.suppress(RuntimeError):
            # The window may have been closed meanwhile.
            self.status.setText(said)

    def find_next(self) -> None:
        """Go to the next place that has what is searched for; from the top again after the last."""
        wanted = self.search.text()
        if wanted and not self.text.find(wanted):
            self.text.moveCursor(QTextCursor.MoveOperation.Start)
            if not self.text.find(wanted, QTextDocument.FindFlag(0)):
                self.status.setText(f"“{wanted}” is not in what is shown.")
        self.follow.setChecked(False)

    def _choose_target(self) -> None:
        dialog = QFileDialog(self, "Save the log as")
        dialog.setAcceptMode(QFileDialog.AcceptMode.AcceptSave)
        dialog.fileSelected.connect(lambda path: self._spawn(self._save(Path(path))))
        dialog.open()

    async def _save(self, target: Path) -> None:
        if self._source:
            try:
                count = await self._logs.save(self._source, target)
            except OSError as error:
                raise QubesManagerError(f"cannot write {target}: {error.strerror}") from error
            self.status.setText(f"{format_size(count)} written to {target}")

    def _set_wrap(self, on: bool) -> None:
        mode = QPlainTextEdit.LineWrapMode
        self.text.setLineWrapMode(mode.WidgetWidth if on else mode.NoWrap)

    def _jump_to_end(self) -> None:
        bar = self.text.verticalScrollBar()
        bar.setValue(bar.maximum())
