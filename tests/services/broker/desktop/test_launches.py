"""Who is told that a domain's next window is awaited."""

from uuid import uuid4

import pytest

from qubes_manager.core.domain import DomainKey
from qubes_manager.core.gui_messages import AnnounceLaunch
from qubes_manager.services.broker.desktop import launches
from qubes_manager.services.broker.desktop.launches import announce_launch
from tests.services.broker.conftest import URI
from tests.services.broker.showing import Showing


async def test_a_launch_is_announced_on_every_screen_and_one_that_hangs_keeps_nobody_waiting_for_long(
    showing: Showing, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(launches, "_PATIENCE", 1.0)
    key = DomainKey(URI, str(uuid4()))
    hung, gone = Showing("hung", answers=False), Showing("gone")
    await hung.open()
    await gone.open()
    gone._server.close()
    try:
        await announce_launch(key)
    finally:
        await hung.close()
        await gone.close()
    assert showing.asked == hung.asked == [AnnounceLaunch(key.uuid, "")]
    assert "does not answer" in caplog.text
