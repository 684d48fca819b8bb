"""Following the program that shows windows."""

import asyncio

import pytest

from qubes_manager.services.gui.link import GuiLink
from tests.services.gui.conftest import URI, service, until_it_listens

pytestmark = pytest.mark.usefixtures("own_screen")


async def test_who_follows_keeps_it_and_hears_what_went_wrong() -> None:
    serving = asyncio.create_task(service(0.3).run())
    await until_it_listens()
    link, notices = GuiLink(URI), []
    link.noticed.connect(notices.append)
    following = asyncio.create_task(link.follow())
    await asyncio.sleep(1)
    assert not serving.done()
    await link.ask({"do": "console", "uuid": "gone", "kind": "screen"})
    async with asyncio.timeout(10):
        while not notices:
            await asyncio.sleep(0.02)
    assert notices == ["the domain does not exist any more"]
    following.cancel()
    async with asyncio.timeout(10):
        assert await serving is True
