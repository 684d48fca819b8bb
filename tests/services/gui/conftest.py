"""The program that shows windows, on the test driver, where no domain has any."""

import asyncio
import os

import pytest

from qubes_manager.services.assembly import Services
from qubes_manager.services.gui.service import GuiService, socket_path

URI = "test:///default"


@pytest.fixture
def own_screen(monkeypatch: pytest.MonkeyPatch) -> None:
    # Nothing is drawn here; the name alone keeps this service apart from others.
    monkeypatch.setenv("DISPLAY", f":{os.getpid()}")


def service(grace: float) -> GuiService:
    return Services.connecting(watch=True).gui_service(URI, grace)


async def until_it_listens() -> None:
    async with asyncio.timeout(10):
        while not socket_path(URI).exists():
            await asyncio.sleep(0.02)
