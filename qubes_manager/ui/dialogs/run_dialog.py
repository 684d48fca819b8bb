"""Running a command in domains and seeing what it says."""

from collections.abc import Callable, Coroutine, Sequence
from typing import Any

from PySide6.QtGui import QFontDatabase
from PySide6.QtWidgets import QDialog, QHBoxLayout, QLineEdit, QPlainTextEdit, QPushButton, QVBoxLayout, QWidget

from qubes_manager.core.domain import Domain
from qubes_manager.core.errors import QubesManagerError
from qubes_manager.core.text import strip_escapes
from qubes_manager.services.domains.guest_commands import GuestCommands
from qubes_manager.ui.look.plain import window_title

# Lines of output that are kept on screen; a guest may send without end.
_MAX_LINES = 5000
_MAX_LINE = 4000


class RunDialog(QDialog):
    """A command line, and the output of every domain behind its name."""

    def __init__(
        self,
        parent: QWidget,
        commands: GuestCommands,
        domains: Sequence[Domain],
        spawn: Callable[[Coroutine[Any, Any, Any]], Any],
    ) -> None:
        super().__init__(parent)
        self._commands, self._domains, self._spawn = commands, domains, spawn
        self._task: Any = None
        names = ", ".join(domain.name for domain in domains)
        self.setWindowTitle(window_title(f"Run a command in {names}"))
        self.resize(680, 400)
        self.command = QLineEdit()
        self.command.setPlaceholderText("a command line, for instance: uname -a")
        self.command.setAccessibleName("Command")
        self.user = QLineEdit()
        self.user.setPlaceholderText("as user")
        self.user.setAccessibleName("User")
        self.user.setMaximumWidth(120)
        self.output = QPlainTextEdit()
        self.output.setReadOnly(True)
        self.output.setMaximumBlockCount(_MAX_LINES)
        self.output.setFont(QFontDatabase.systemFont(QFontDatabase.SystemFont.FixedFont))
        self.output.setAccessibleName("Output")
        self.output.setPlaceholderText("What the command prints appears here.")
        self.button = QPushButton("Run")
        self.button.setDefault(True)
        self.button.clicked.connect(self._toggle)
        row = QHBoxLayout()
        row.addWidget(self.command, 1)
        row.addWidget(self.user)
        row.addWidget(self.button)
        layout = QVBoxLayout(self)
        layout.addLayout(row)
        layout.addWidget(self.output, 1)
        self.finished.connect(lambda _code: self._stop())

    def _toggle(self) -> None:
        if self._task:
            self._stop()
        elif self.command.text().strip():
            self._task = self._spawn(self._run(self.command.text(), self.user.text().strip()))

    def _stop(self) -> None:
        if self._task:
            self._task.cancel()

    async def _run(self, line: str, user: str) -> None:
        self.button.setText("Stop")
        try:
            for domain in self._domains:
                await self._run_in(domain, line, user)
        finally:
            self._task = None
            self.button.setText("Run")

    async def _run_in(self, domain: Domain, line: str, user: str) -> None:
        self.output.appendPlainText(f"[{domain.name}] $ {line}")
        try:
            code = await self._commands.run(domain.key, line, user=user, out=self._show, err=self._show)
        except QubesManagerError as error:
            self.output.appendPlainText(f"[{domain.name}] {error}")
        else:
            self.output.appendPlainText(f"[{domain.name}] exit code {code}")

    def _show(self, data: bytes) -> None:
        text = strip_escapes(data.decode("utf-8", "replace")).rstrip("\n")
        self.output.appendPlainText("\n".join(line[:_MAX_LINE] for line in text.split("\n")))
