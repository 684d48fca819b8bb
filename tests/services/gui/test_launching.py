"""Starting an application: the guest and what shows its windows are waited for together."""

import asyncio
from types import SimpleNamespace
from unittest.mock import AsyncMock

import pytest

from qubes_manager.core.domain import Domain, DomainConfig, DomainKey, DomainState
from qubes_manager.core.errors import GuestError, QubesManagerError, Refused, TimedOut
from qubes_manager.core.gui_messages import AnnounceLaunch
from qubes_manager.services.gui import launching as launching_module
from qubes_manager.services.gui.launching import Launching
from qubes_manager.services.gui.links import GuiLinks
from qubes_manager.services.hosts.store import DomainStore
from tests.waiting import PATIENCE, soon

KEY = DomainKey("test:///x", "11111111-1111-4111-8111-111111111111")


class ReadyGuest:
    """Stands for a guest whose session has started what it was told to."""

    def __init__(self) -> None:
        self.orders: list[str] = []

    async def ready(self, _key: DomainKey) -> "ReadyGuest":
        return self

    async def patience(self, _domain: Domain) -> float:
        return 60

    async def ensure(self) -> None:
        return

    async def write_pipe(self, _path: str, order: str) -> bool:
        self.orders.append(order)
        return True

    async def read_small_file(self, _path: str) -> bytes:
        return b"started"


class BusyGuest(ReadyGuest):
    """Stands for one whose session comes late, and whose agent does not get to everything meanwhile."""

    def __init__(self, looks: int) -> None:
        super().__init__()
        self.looks = looks

    async def write_pipe(self, path: str, order: str) -> bool:
        self.looks -= 1
        return self.looks < 0 and await super().write_pipe(path, order)

    async def read_small_file(self, path: str) -> bytes:
        self.looks -= 1
        if self.looks > -4:
            raise TimedOut("it did not answer")
        return await super().read_small_file(path)


class SlowGuest:
    """Stands for a guest that boots for long, or that fails."""

    def __init__(self, error: Exception | None = None) -> None:
        self._error = error
        self.given_up = False

    async def ready(self, _key: DomainKey) -> None:
        if self._error:
            raise self._error
        try:
            await asyncio.sleep(10 * PATIENCE)
        finally:
            self.given_up = True


def launching(guest: SlowGuest | ReadyGuest) -> Launching:
    store = DomainStore()
    store.put([Domain(KEY, "work", id=1, state=DomainState.RUNNING, config=DomainConfig(gui_port=True))])
    return Launching(store, guest, SimpleNamespace(), GuiLinks(store), SimpleNamespace())  # type: ignore[arg-type]


async def test_that_no_window_can_come_is_said_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("DISPLAY", "WAYLAND_DISPLAY"):
        monkeypatch.delenv(name, raising=False)
    guest = SlowGuest()
    async with soon():
        with pytest.raises(Refused, match="there is no screen"):
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

    guest, link = ReadyGuest(), Unwilling()
    work = launching(guest)
    monkeypatch.setattr(work, "_links", SimpleNamespace(link=lambda _uri: link))
    await work.application(KEY, "xterm", startup_id=startup_id)
    assert [order.split()[1] for order in guest.orders] == ["xterm"]
    # The window of a launch without a name has the keyboard all the same.
    assert [request.startup_id for request in link.asked] == ["plain_TIME2" if startup_id == "plain_TIME2" else ""]
    assert "not now" in caplog.text


async def test_a_session_may_take_as_long_to_come_as_the_user_s_options_give_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(launching_module, "_ANSWER_PATIENCE", 1.0)
    monkeypatch.setattr(launching_module, "_LONG_PAUSE", 0.25)
    guest = BusyGuest(looks=5)
    work = launching(guest)
    link = SimpleNamespace(ensure=guest.ensure, ask=AsyncMock())
    monkeypatch.setattr(work, "_links", SimpleNamespace(link=lambda _uri: link))
    await work.application(KEY, "xterm")
    assert len(guest.orders) == 1, "it is started once"
