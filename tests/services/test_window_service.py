"""The program that shows windows, as others talk to it; on the test driver, where no domain has any."""

import asyncio
import os

import pytest

from qubes_manager.core.errors import QubesManagerError
from qubes_manager.services.assembly import Services
from qubes_manager.services.gui.link import GuiLink
from qubes_manager.services.gui.service import GuiService, socket_path

URI = "test:///default"


@pytest.fixture(autouse=True)
def own_screen(monkeypatch: pytest.MonkeyPatch) -> None:
    # Nothing is drawn here; the name alone keeps this service apart from others.
    monkeypatch.setenv("DISPLAY", f":{os.getpid()}")


def service(grace: float) -> GuiService:
    return Services.connecting(watch=True).gui_service(URI, grace)


async def until_it_listens() -> None:
    async with asyncio.timeout(10):
        while not socket_path(URI).exists():
            await asyncio.sleep(0.02)


async def test_one_serves_says_what_it_could_not_do_and_ends_by_itself() -> None:
    serving = asyncio.create_task(service(0.5).run())
    await until_it_listens()
    assert await service(20).run() is False
    link = GuiLink(URI)
    await link.ask({"do": "reload"})
    for wrong in ({"do": "console", "uuid": "x", "kind": "nonsense"}, {"nothing": "to do"}):
        with pytest.raises(QubesManagerError, match="could not do that"):
            await link.ask(wrong)
    async with asyncio.timeout(10):
        assert await serving is True
    assert not socket_path(URI).exists()
    # One that does not run has nothing to be told.
    await link.ask({"do": "reload"})


async def test_who_follows_keeps_it_and_hears_what_went_wrong() -> None:
    serving = asyncio.create_task(service(0.3).run())
    await until_it_listens()
    link, notices = GuiLink(URI), []
    link.on_notice(notices.append)
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
