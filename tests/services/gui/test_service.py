"""The program that shows windows, as others talk to it; on the test driver, where no domain has any."""

import asyncio

import pytest

from qubes_manager.core.errors import QubesManagerError
from qubes_manager.services.gui.link import GuiLink
from qubes_manager.services.gui.service import socket_path
from tests.services.gui.conftest import URI, service, until_it_listens

pytestmark = pytest.mark.usefixtures("own_screen")


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
