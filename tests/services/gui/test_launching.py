"""Starting an application: the guest and what shows its windows are waited for together."""

import asyncio
from types import SimpleNamespace

import pytest

from qubes_manager.core.domain import Domain, DomainConfig, DomainKey, DomainState
from qubes_manager.core.errors import GuestError, Refused
from qubes_manager.services.gui.launching import Launching
from qubes_manager.services.gui.links import GuiLinks
from qubes_manager.services.hosts.store import DomainStore

KEY = DomainKey("test:///x", "11111111-1111-4111-8111-111111111111")


class SlowGuest:
    """Stands for a guest that boots for a minute, or that fails."""

    def __init__(self, error: Exception | None = None) -> None:
        self._error = error
        self.given_up = False

    async def ready(self, _key: DomainKey) -> None:
        if self._error:
            raise self._error
        try:
            await asyncio.sleep(60)
        finally:
            self.given_up = True


def launching(guest: SlowGuest) -> Launching:
    store = DomainStore()
    store.put([Domain(KEY, "work", id=1, state=DomainState.RUNNING, config=DomainConfig(gui_port=True))])
    return Launching(store, guest, SimpleNamespace(), GuiLinks(store))  # type: ignore[arg-type]


async def test_that_no_window_can_come_is_said_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("DISPLAY", raising=False)
    guest = SlowGuest()
    async with asyncio.timeout(5):
        with pytest.raises(Refused, match="there is no X display"):
            await launching(guest).application(KEY, "xterm")
    assert guest.given_up


async def test_a_guest_that_fails_says_why(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("DISPLAY", raising=False)
    with pytest.raises(GuestError, match="no agent"):
        await launching(SlowGuest(GuestError("no agent"))).application(KEY, "xterm")
    assert asyncio.all_tasks() == {asyncio.current_task()}
