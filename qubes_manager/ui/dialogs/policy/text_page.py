"""The policy files as text, with their errors by line."""

import asyncio
from collections.abc import Callable, Coroutine, Sequence
from typing import Any

from PySide6.QtCore import Qt, QTimer, Signal
from PySide6.QtGui import QFontDatabase, QHideEvent, QShowEvent, QTextCursor
from PySide6.QtWidgets import (
    QDialog,
    QHBoxLayout,
    QLineEdit,
    QListWidget,
    QListWidgetItem,
    QPlainTextEdit,
    QPushButton,
    QVBoxLayout,
    QWidget,
)

from qubes_manager.core.errors import NotFound, Refused
from qubes_manager.core.policy.rules import Fault
from qubes_manager.core.text import one_cell
from qubes_manager.services.crossing.policy_files import (
    DEFAULT_FILE,
    INCLUDE,
    NEW,
    SUFFIX,
    PolicyFiles,
    PolicyText,
    check_policy_name,
    default_text,
)
from qubes_manager.ui.dialogs.form_dialog import FormDialog
from qubes_manager.ui.dialogs.policy.cells import chosen, new_choice, offer
from qubes_manager.ui.dialogs.policy.highlighter import Highlighter
from qubes_manager.ui.feedback.confirm import finished

# Where the user's own rules go when he has no file yet.
_FIRST = "30-user"
# Stands for the default policy among the files; no file may be called so.
_DEFAULT = "/default"
_PATIENCE_MS = 300
_LINE = Qt.ItemDataRole.UserRole


class TextPage(QWidget):
    """Edits one file at a time; *start* runs the work. ``saved`` tells that the policy is another now."""

    saved = Signal()

    def __init__(self, files: PolicyFiles, start: Callable[[Coroutine[Any, Any, None]], object]) -> None:
        super().__init__()
        self._files, self._start = files, start
        self._name = ""
        self._read = PolicyText("", NEW)
        self._round = 0
        self._checked = ""
        self._opening = asyncio.Lock()
        self.file = new_choice("Policy file")
        self.file.currentIndexChanged.connect(lambda _index: self._start(self.open_file(chosen(self.file))))
        self.text = QPlainTextEdit()
        self.text.setFont(QFontDatabase.systemFont(QFontDatabase.SystemFont.FixedFont))
        self.text.setLineWrapMode(QPlainTextEdit.LineWrapMode.NoWrap)
        self.text.setAccessibleName("Text of the policy file")
        self.highlighter = Highlighter(self.text.document())
        self.problems = QListWidget()
        self.problems.setAccessibleName("Errors")
        self.problems.setMaximumHeight(90)
        self.problems.itemActivated.connect(lambda item: self._go_to(item.data(_LINE)))
        self._timer = QTimer(self)
        self._timer.setSingleShot(True)
        self._timer.setInterval(_PATIENCE_MS)
        self._timer.timeout.connect(lambda: self._start(self.check()))
        self.text.textChanged.connect(self._on_text)
        self.new = self._button("New file…", lambda: self._start(self._make_new()))
        self.remove = self._button("Remove", lambda: self._start(self._remove()))
        self.discard = self._button("Discard changes", lambda: self._start(self.open_file(self._name)))
        self.save = self._button("Save", lambda: self._start(self.save_file()))
        layout = QVBoxLayout(self)
        for widgets in ((self.file, self.new, self.remove), (self.discard, self.save)):
            row = QHBoxLayout()
            row.addStretch(1)
            for widget in widgets:
                row.addWidget(widget, 2 if widget is self.file else 0)
            layout.addLayout(row)
        layout.insertWidget(1, self.text, 1)
        layout.insertWidget(2, self.problems)

    def _button(self, words: str, work: Callable[[], object]) -> QPushButton:
        button = QPushButton(words)
        button.setAutoDefault(False)
        button.clicked.connect(lambda _checked=False: work())
        return button

    @property
    def is_changed(self) -> bool:
        """Whether there is something that is not saved."""
        return not self.text.isReadOnly() and self.text.document().isModified()

    async def update_files(self) -> None:
        """Read again which files there are; the one that is open stays as it is while it is changed."""
        own = {_FIRST, *await asyncio.to_thread(self._files.names)}
        included = await asyncio.to_thread(lambda: self._files.names(include=True))
        others = {INCLUDE + name for name in included}
        if self._name not in ("", _DEFAULT):
            # It may be new, or somebody else may have taken it away.
            (others if self._name.startswith(INCLUDE) else own).add(self._name)
        default = (f"{DEFAULT_FILE}, which comes with the program", _DEFAULT)
        offer(self.file, [*((name, name) for name in (*sorted(own), *sorted(others))), default])
        await self.open_file(chosen(self.file), over_changes=False)

    async def open_file(self, name: str, *, over_changes: bool = True) -> None:
        """Show a file as it is now; without *over_changes* what is not saved stays. Raises QubesManagerError."""
        async with self._opening:
            read = await self._read_file(name)
            if self.is_changed and not over_changes:
                return
            # Who reads it stays where he is, as long as it says the same.
            if self.is_changed or (name, read) != (self._name, self._read):
                self._name, self._read = name, read
                self.text.setPlainText(read.text)
                self.text.setReadOnly(name == _DEFAULT)
                self.text.document().setModified(False)
            await self.check()

    async def _read_file(self, name: str) -> PolicyText:
        try:
            if name == _DEFAULT:
                return PolicyText(await asyncio.to_thread(default_text), NEW)
            return await asyncio.to_thread(self._files.read, name)
        except NotFound:
            return PolicyText("", NEW)

    async def go_to(self, file: str, line: int) -> None:
        """Show a line of a file, called as rules and faults call it; raises NotFound, Refused."""
        index = self.file.findData(_DEFAULT if file == DEFAULT_FILE else file.removesuffix(SUFFIX))
        if index < 0:
            raise NotFound(f"{file} is not edited here, but with any editor for text: it is below {self._files.folder}")
        if self.is_changed:
            raise Refused("save or discard your changes first")
        self.file.blockSignals(True)
        self.file.setCurrentIndex(index)
        self.file.blockSignals(False)
        await self.open_file(chosen(self.file))
        self._go_to(line)

    async def check(self) -> None:
        """Say what is wrong with the text as it stands."""
        self._round += 1
        now, name, text = self._round, self._name, self._written()
        self._checked = text
        faults: Sequence[Fault] = ()
        if name and name != _DEFAULT:
            faults = await asyncio.to_thread(self._files.check, name, text)
        if now == self._round:
            self._show_faults(faults)

    async def save_file(self) -> None:
        """Put the text in its place; raises QubesManagerError."""
        text = self._written()
        token = await asyncio.to_thread(self._files.replace, self._name, text, self._read.token)
        self._read = PolicyText(text, token)
        if self._written() == text:
            self.text.document().setModified(False)
        self._update_buttons()
        self.saved.emit()

    async def _remove(self) -> None:
        await asyncio.to_thread(self._files.remove, self._name, self._read.token)
        self._name = ""
        self.saved.emit()

    async def _make_new(self) -> None:
        dialog = FileNameDialog(self)
        if await finished(dialog) == QDialog.DialogCode.Accepted:
            name = dialog.name.text()
            if self.file.findData(name) < 0:
                self.file.blockSignals(True)
                self.file.offer(name)
                self.file.blockSignals(False)
            self.file.setCurrentIndex(self.file.findData(name))

    def _written(self) -> str:
        # toPlainText makes other spaces of what was written.
        return self.text.document().toRawText().replace("\u2029", "\n")

    def hideEvent(self, event: QHideEvent) -> None:
        """Nobody looks: nothing is checked."""
        self._timer.stop()
        super().hideEvent(event)

    def showEvent(self, event: QShowEvent) -> None:
        """Check what was written before it was hidden."""
        if self.is_changed:
            self._timer.start()
        super().showEvent(event)

    def _on_text(self) -> None:
        # Colours count as changes too.
        if self.isVisible() and self._written() != self._checked:
            self._timer.start()
        self._update_buttons()

    def _show_faults(self, faults: Sequence[Fault]) -> None:
        self.problems.clear()
        mine = self._name if self._name.startswith(INCLUDE) else self._name + SUFFIX
        for fault in faults:
            item = QListWidgetItem(one_cell(str(fault)))
            item.setData(_LINE, fault.line if fault.file == mine else 0)
            self.problems.addItem(item)
        self.problems.setVisible(bool(faults))
        self.highlighter.mark(fault.line for fault in faults if fault.file == mine)
        self._update_buttons()

    def _update_buttons(self) -> None:
        changed, is_own = self.is_changed, self._name not in ("", _DEFAULT)
        self.save.setEnabled(changed and not self.highlighter.wrong)
        self.discard.setEnabled(changed)
        self.remove.setEnabled(is_own and not changed and self._read.token != NEW)
        for widget in (self.file, self.new):
            widget.setEnabled(not changed)

    def _go_to(self, line: int) -> None:
        if line:
            block = self.text.document().findBlockByNumber(line - 1)
            self.text.setTextCursor(QTextCursor(block))
            self.text.centerCursor()
            self.text.setFocus()


class FileNameDialog(FormDialog):
    """Asks what a new policy file is to be called."""

    def __init__(self, parent: QWidget) -> None:
        super().__init__(parent, "New policy file", "Make")
        self.name = QLineEdit()
        self.add_note("Files hold in the order of their names. One of include/ holds where another takes it in.")
        self.add_field("Name", self.name, lambda: check_policy_name(self.name.text()))
        self.name.textChanged.connect(self.validate)
        self.finish(self.name)
        self.validate()
