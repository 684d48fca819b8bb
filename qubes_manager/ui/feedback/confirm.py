"""Asking before something happens."""

import asyncio
from collections.abc import Sequence

from PySide6.QtWidgets import QCheckBox, QDialog, QMessageBox, QWidget

from qubes_manager.core.domain import Domain
from qubes_manager.core.operations import Operation, Risk


async def finished(dialog: QDialog) -> int:
    """Open *dialog* without a loop of its own and return its result when the user has closed it."""
    answer: asyncio.Future[int] = asyncio.get_running_loop().create_future()
    dialog.finished.connect(lambda code: None if answer.done() else answer.set_result(code))
    dialog.open()
    try:
        return await answer
    finally:
        dialog.deleteLater()


class Confirmation:
    """Asks in plain words; the default button is the safe one.

    *unasked* are the operations that the user does not want to be asked about; what loses data is always asked.
    """

    def __init__(self, parent: QWidget, unasked: set[str]) -> None:
        self._parent = parent
        self.unasked = unasked

    async def ask(self, operation: Operation, domains: Sequence[Domain], extra: str = "") -> bool:
        """Return whether the user wants it. *extra* is a further sentence on what is lost."""
        if operation.risk is Risk.NONE or (operation.risk is Risk.STATE and operation.id in self.unasked):
            return True
        question, _, consequence = operation.sentence(domains).partition("? ")
        box = QMessageBox(self._parent)
        box.setIcon(QMessageBox.Icon.Warning if operation.risk is Risk.DATA else QMessageBox.Icon.Question)
        box.setWindowTitle(operation.verb)
        box.setText(question.rstrip("?") + "?")
        box.setInformativeText(" ".join(filter(None, (extra, consequence))))
        go = box.addButton(operation.verb.split(" of")[0], QMessageBox.ButtonRole.AcceptRole)
        safe = box.addButton(QMessageBox.StandardButton.Cancel)
        box.setDefaultButton(safe)
        box.setEscapeButton(safe)
        again = QCheckBox("Don’t ask again for this")
        if operation.risk is Risk.STATE:
            box.setCheckBox(again)
        await finished(box)
        agreed = box.clickedButton() is go
        if agreed and again.isChecked():
            self.unasked.add(operation.id)
        return agreed
