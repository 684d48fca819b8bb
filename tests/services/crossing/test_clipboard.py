"""The clipboards of all connections, as the window sees them."""

import asyncio

import pytest

from qubes_manager.core.crossing.clipboard_messages import (
    ClipboardStatus,
    CopyClipboard,
    GiveText,
    PasteClipboard,
    PutClipboard,
    WipeClipboard,
)
from qubes_manager.core.domain import DomainKey
from qubes_manager.core.errors import Refused
from qubes_manager.services.crossing.clipboard import Clipboards, Held
from tests.broker_stand_in import SilentLinks

HERE, THERE = "test:///here", "test:///there"
WORK = DomainKey(HERE, "6e1f7b4c-1d7c-4e0d-9f2b-0a0e4f2f6f10")
MOST = 256_000


async def test_each_domain_s_clipboard_is_its_connection_s() -> None:
    links = SilentLinks()
    clipboards = Clipboards(links)
    assert await clipboards.copy(WORK) == "It is done."
    await clipboards.paste(WORK)
    await clipboards.give(WORK, "text")
    await clipboards.put(THERE, "log")
    assert links.link(HERE).asked == [
        CopyClipboard(WORK.uuid),
        PasteClipboard(WORK.uuid),
        GiveText.holding(WORK.uuid, "text"),
    ]
    assert links.link(THERE).asked == [PutClipboard.holding("log")]


async def test_what_was_copied_last_is_shown_until_it_is_gone() -> None:
    links = SilentLinks()
    clipboards = Clipboards(links)
    heard: list[Held | None] = []
    clipboards.changed.connect(heard.append)
    here, there = links.link(HERE), links.link(THERE)
    here.heard.emit(ClipboardStatus("work", WORK.uuid, size=12, age=30_000))
    there.heard.emit(ClipboardStatus("personal", WORK.uuid, size=1234, age=5000))
    here.heard.emit(ClipboardStatus("work", WORK.uuid, size=12, age=180_000))
    assert clipboards.held
    assert clipboards.held.sentence == "1,234 bytes from personal, 5 s ago"
    # Clear means all of them.
    await clipboards.wipe()
    assert (here.asked, there.asked) == ([WipeClipboard()], [WipeClipboard()])
    there.heard.emit(ClipboardStatus())
    assert clipboards.held.sentence == "12 bytes from work, 3 min ago"
    # What a broker held ends with it.
    here.lost.emit()
    assert clipboards.held is None
    assert heard[-1] is None


async def test_a_text_that_is_too_long_for_any_limit_is_not_even_sent() -> None:
    links = SilentLinks()
    clipboards = Clipboards(links)
    for text in ("x" * (MOST + 1), "ä" * (MOST // 2 + 1)):
        with pytest.raises(Refused, match="more than 256,000 bytes"):
            await clipboards.put(HERE, text)
    await clipboards.put(HERE, "x" * MOST)
    assert len(links.link(HERE).asked) == 1
    # What Qt may hand over that is no text in UTF-8 is no error.
    await clipboards.put(HERE, "\udc80")
    await asyncio.sleep(0)
