"""Keys over domains' windows, and what the user is told."""

import asyncio
from typing import Any

from qubes_manager.core.background import Background
from qubes_manager.core.crossing.broker_messages import Request
from qubes_manager.core.crossing.clipboard_messages import CopyClipboard, PasteClipboard
from qubes_manager.core.domain import DomainKey
from qubes_manager.core.viewer_messages import Crossing, Pressed
from qubes_manager.services.gui.clipboard_keys import ClipboardKeys
from tests.broker_stand_in import SilentLink
from tests.waiting import until

WORK = DomainKey("test:///x", "6e1f7b4c-1d7c-4e0d-9f2b-0a0e4f2f6f10")


async def test_the_broker_is_asked_and_the_user_told(told: list[tuple[str, bool]]) -> None:
    link, background = SilentLink("test:///x"), Background()
    keys = ClipboardKeys(link, background)
    keys.on_pressed(WORK, Pressed(Crossing.COPY, 5000, 10))
    await until(lambda: told)
    link.fails = "the policy denies it"
    keys.on_pressed(WORK, Pressed(Crossing.PASTE, 6000, 1500))
    await until(lambda: len(told) == 2)
    # A time of nought would pass for a choice by name.
    keys.on_pressed(WORK, Pressed(Crossing.PASTE, 0, 1500))
    await until(lambda: len(told) == 3)
    assert link.asked == [
        CopyClipboard(WORK.uuid, 5000),
        PasteClipboard(WORK.uuid, 6000, 1500),
        PasteClipboard(WORK.uuid, 1, 1500),
    ]
    assert told[:2] == [("It is done.", False), ("the policy denies it", True)]
    await background.close()


async def test_a_viewer_that_presses_keys_without_end_is_not_heeded_without_end(told: list[tuple[str, bool]]) -> None:
    class Stuck(SilentLink):
        async def ask(self, request: Request, kind: Any, patience: float | None = 0) -> Any:
            self.asked.append(request)
            await asyncio.Event().wait()

    link, background = Stuck("test:///x"), Background()
    keys = ClipboardKeys(link, background)
    for number in range(1000):
        keys.on_pressed(WORK, Pressed(Crossing.COPY, number, 0))
    await asyncio.sleep(0.01)
    assert len(link.asked) == 4
    assert told == []
    await background.close()
