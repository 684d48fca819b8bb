"""Asking before something happens."""

import asyncio
from collections.abc import Sequence

from PySide6.QtWidgets import QCheckBox, QDialog, QWidget

from qubes_manager.core.domain import Domain
from qubes_manager.core.operations import Operation, Risk
from qubes_manager.ui.look.plain import PlainBox


async def finished(dialog: QDialog, *, modal: bool = True) -> int:
    """Open *dialog* without a loop of its own and return its result when the user has closed it.

    One that is not *modal* leaves the window to the user meanwhile, to drag something onto it.
    """
    answer: asyncio.Future[int] = asyncio.get_running_loop().create_future()
    dialog.finished.connect(lambda code: None if answer.done() else answer.set_result(code))
    dialog.open() if modal else dialog.show()
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

    async def ask(
        self,
        operation: Operation,
        domains: Sequence[Domain],
        extra: str = "",
        *,
        risk: Risk | None = None,
        anyway: bool = False,
    ) -> bool:
        """Return whether the user wants it. *extra* is a further sentence on what is lost, or what it takes.

        *risk* is what it means for these domains, where that is more than it commonly does; *anyway* asks also where
        the user does not want to be asked, since this time it is more than usual.
        """
        risk = risk or operation.risk
        if risk is Risk.NONE or (risk is Risk.STATE and operation.id in self.unasked and not anyway):
            return True
        question, _, consequence = operation.sentence(domains).partition("? ")
        box = PlainBox(
            self._parent, operation.verb, question.rstrip("?") + "?", " ".join(filter(None, (extra, consequence)))
        )
        box.setIcon(PlainBox.Icon.Warning if risk is Risk.DATA else PlainBox.Icon.Question)
        go = box.addButton(operation.verb.split(" of")[0], PlainBox.ButtonRole.AcceptRole)
        safe = box.addButton(PlainBox.StandardButton.Cancel)
        box.setDefaultButton(safe)
        box.setEscapeButton(safe)
        again = QCheckBox("Don’t ask again for this")
        if risk is Risk.STATE:
            box.setCheckBox(again)
        await finished(box)
        agreed = box.clickedButton() is go
        if agreed and again.isChecked():
            self.unasked.add(operation.id)
        return agreed
