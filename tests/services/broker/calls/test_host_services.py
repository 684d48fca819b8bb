"""What this machine itself serves to guests: the time, and notices of theirs on the user's desktop."""

import asyncio
from collections.abc import Mapping
from datetime import UTC, datetime

import pytest

from qubes_manager.core.crossing.broker_messages import OfferScreen
from qubes_manager.core.crossing.guest_messages import REFUSED, End, Ended
from qubes_manager.core.crossing.services import GET_DATE, MAX_NOTICE, NOTIFICATIONS
from qubes_manager.services.broker.desktop import notices
from qubes_manager.services.programs.client import Client
from tests.services.broker.conftest import Crossing
from tests.services.broker.fake_guest import FakeGuest


class Desktop:
    """The user's: what is shown there."""

    def __init__(self) -> None:
        self.shown: list[tuple[str, str]] = []

    def show(self, title: str, text: str, *, environment: Mapping[str, str]) -> str:
        assert environment["DISPLAY"] == ":7"
        self.shown.append((title, text))
        return ""


@pytest.fixture
async def desktop(crossing: Crossing, monkeypatch: pytest.MonkeyPatch) -> Desktop:
    found = Desktop()
    monkeypatch.setattr(notices, "show_notice", found.show)
    crossing.broker.screens.offer(Client(asyncio.StreamReader(), None), OfferScreen(":7"))  # type: ignore[arg-type]
    return found


async def notify(guest: FakeGuest, data: bytes, number: int = 1) -> Ended:
    """A program of a guest shows a notice; returns what it is told."""
    await guest.ask(number, NOTIFICATIONS, "@default")
    port = await guest.accepted(number)
    await guest.send(port, number, data)
    ended = await guest.hear_until(Ended)
    port.close()
    return ended


async def test_a_notice_is_shown_in_words_that_none_of_ours_begins_with_and_nothing_in_it_deceives(
    crossing: Crossing, desktop: Desktop
) -> None:
    work = await crossing.guest("work")
    data = "dom0: \x1b[31mnew\u202e mail\n<b>From</b>\x07 \u200bAlice\nwork: more\n".encode() + b"\xff"
    assert await notify(work, data) == Ended(1, 0)
    assert desktop.shown == [("Message from work: dom0: new mail", "<b>From</b> Alice\nwork: more\n\ufffd")]


async def test_a_title_is_short_and_a_notice_has_only_so_many_bytes(crossing: Crossing, desktop: Desktop) -> None:
    work = await crossing.guest("work")
    assert await notify(work, b"x" * MAX_NOTICE) == Ended(1, 0)
    [(title, text)] = desktop.shown
    assert (len(title), text) == (len("Message from work: ") + 80, "")
    ended = await notify(work, b"x" * (MAX_NOTICE + 1), 2)
    assert (ended.code, ended.reason) == (1, "a notice has at most 4096 bytes")
    assert len(desktop.shown) == 1


async def test_one_domain_shows_few_at_once_and_others_are_shown_all_the_same(
    crossing: Crossing, desktop: Desktop
) -> None:
    work, vault = await crossing.guest("work"), await crossing.guest("vault")
    codes = [(await notify(work, b"look", number)).code for number in range(7)]
    assert codes == [0] * 5 + [1] * 2
    assert (await notify(vault, b"look")).code == 0
    assert [title for title, _text in desktop.shown] == ["Message from work: look"] * 5 + ["Message from vault: look"]


async def test_without_a_screen_a_program_is_told_that_nobody_has_seen_it(crossing: Crossing) -> None:
    work = await crossing.guest("work")
    ended = await notify(work, b"look")
    assert (ended.code, "there is no screen" in ended.reason) == (1, True)


async def test_a_rule_keeps_a_domain_from_it(crossing: Crossing, desktop: Desktop) -> None:
    work = await crossing.guest("work")
    crossing.let("qubes.Notifications * work @anyvm deny notify=no\n")
    await work.ask(1, NOTIFICATIONS, "@default")
    assert (await work.hear(Ended)).code == REFUSED
    assert desktop.shown == []


async def test_the_time_is_told_as_a_guests_command_reads_it(crossing: Crossing) -> None:
    work = await crossing.guest("work")
    await work.ask(1, GET_DATE, "@default")
    port = await work.accepted(1)
    told = datetime.fromisoformat((await port.read_exactly(26)).decode().strip())
    assert abs((told - datetime.now(UTC)).total_seconds()) < 60
    assert await work.hear(End) == End(1, 26)
