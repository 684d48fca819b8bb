"""Starting an application: the guest and what shows its windows are waited for together."""

import asyncio
from types import SimpleNamespace

import pytest

from qubes_manager.core.domain import Domain, DomainConfig, DomainKey, DomainState
from qubes_manager.core.errors import GuestError, QubesManagerError, Refused
from qubes_manager.core.gui_messages import AnnounceLaunch
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


@pytest.mark.parametrize(
    "startup_id", ["gnome\xa0terminal_TIME1", "a\udcffb", "tab\there", "x" * 10_000, "plain_TIME2"]
)
async def test_no_name_that_the_desktop_has_for_a_launch_keeps_it_from_starting(
    startup_id: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    class Unwilling:
        """Stands for a service that answers what it does not like."""

        def __init__(self) -> None:
            self.asked: list[AnnounceLaunch] = []

        async def ensure(self) -> None:
            return

        async def ask(self, request: AnnounceLaunch) -> None:
            self.asked.append(request)
            raise QubesManagerError("not now")

    class ReadyGuest:
        """Stands for a guest whose session has started what it was told to."""

        def __init__(self) -> None:
            self.orders: list[str] = []

        async def ready(self, _key: DomainKey) -> "ReadyGuest":
            return self

        async def write_pipe(self, _path: str, order: str) -> bool:
            self.orders.append(order)
            return True

        async def read_small_file(self, _path: str) -> bytes:
            return b"started"

    guest, link = ReadyGuest(), Unwilling()
    work = launching(guest)  # type: ignore[arg-type]
    monkeypatch.setattr(work, "_links", SimpleNamespace(link=lambda _uri: link))
    await work.application(KEY, "xterm", startup_id=startup_id)
    assert [order.split()[1] for order in guest.orders] == ["xterm"]
    assert [request.startup_id for request in link.asked] == (["plain_TIME2"] if startup_id == "plain_TIME2" else [])
    assert ("not now" in caplog.text) is bool(link.asked)
