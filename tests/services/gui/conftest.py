"""The program that shows windows, on the test driver, where no domain has any."""

import os

import pytest

from qubes_manager.services.assembly import Services
from qubes_manager.services.gui.address import socket_path
from qubes_manager.services.gui.service import GuiService
from tests.waiting import until

URI = "test:///default"
NOBODY = "00000000-0000-4000-8000-000000000000"


@pytest.fixture
def own_screen(monkeypatch: pytest.MonkeyPatch) -> None:
    # Nothing is drawn here; the name alone keeps this service apart from others.
    monkeypatch.setenv("DISPLAY", f":{os.getpid()}")


def service(grace: float, uri: str = URI) -> GuiService:
    return Services.connecting(watch=True).gui_service(uri, grace)


async def until_it_listens(uri: str = URI) -> None:
    await until(lambda: socket_path(uri).exists())
