"""Questions before something is done."""

import asyncio

import qasync
from PySide6.QtWidgets import QCheckBox, QWidget

from qubes_manager.core.operations import OPERATIONS
from qubes_manager.ui.feedback.confirm import Confirmation
from tests.build import domain
from tests.ui.conftest import press, run, shown_box

WORK = domain()


def test_the_safe_button_is_the_default_and_a_tick_is_remembered(loop: qasync.QEventLoop, parent: QWidget) -> None:
    confirmation = Confirmation(parent, set())

    async def work() -> None:
        asking = asyncio.ensure_future(confirmation.ask(OPERATIONS["pause"], [WORK]))
        box = await shown_box()
        assert box.text() == "Pause “work”?"
        assert box.informativeText() == "Its programs stand still until it is resumed."
        assert box.defaultButton().text().replace("&", "") == "Cancel"
        press(box, "Cancel")
        assert await asking is False
        assert confirmation.unasked == set()
        asking = asyncio.ensure_future(confirmation.ask(OPERATIONS["pause"], [WORK]))
        box = await shown_box()
        [again] = box.findChildren(QCheckBox)
        again.setChecked(True)
        press(box, "Pause")
        assert await asking is True
        assert confirmation.unasked == {"pause"}
        assert await confirmation.ask(OPERATIONS["pause"], [WORK]) is True

    run(loop, work())


def test_what_loses_data_is_asked_whatever_the_settings_say(loop: qasync.QEventLoop, parent: QWidget) -> None:
    confirmation = Confirmation(parent, set(OPERATIONS))

    async def work() -> None:
        asking = asyncio.ensure_future(confirmation.ask(OPERATIONS["kill"], [WORK]))
        box = await shown_box()
        assert not box.findChildren(QCheckBox)
        press(box, "Cancel")
        assert await asking is False

    run(loop, work())
