"""A dialog that works while it is open, and says how that goes in a line of its own."""

from collections.abc import Callable, Coroutine
from typing import Any

from PySide6.QtWidgets import QDialog, QWidget

from qubes_manager.core.errors import QubesManagerError
from qubes_manager.core.text import plain_tip
from qubes_manager.ui.look.plain import PlainLabel

Spawn = Callable[[Coroutine[Any, Any, Any]], object]


class HintDialog(QDialog):
    """Has ``hint``, a line to put into the layout; ``start`` runs work whose errors are said there."""

    def __init__(self, parent: QWidget | None, spawn: Spawn) -> None:
        super().__init__(parent)
        self._spawn = spawn
        self.hint = PlainLabel()
        self.hint.setWordWrap(True)

    def start(self, work: Coroutine[Any, Any, None]) -> object:
        """Run *work*; what goes wrong is said here, where the user looks. Returns what runs it."""

        async def guarded() -> None:
            try:
                await work
            except QubesManagerError as error:
                self.hint.setText(f"⚠ {error}")
                self.hint.setToolTip(plain_tip(error.details))

        return self._spawn(guarded())
