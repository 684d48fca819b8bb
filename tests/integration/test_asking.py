"""From a guest's call to the user's answer: the real policy, the real window on a real screen, answered by keys."""

import asyncio
import shutil
import time

import pytest

from qubes_manager.core.crossing.broker_messages import OfferScreen
from qubes_manager.core.crossing.guest_messages import REFUSED, Ended
from qubes_manager.services.crossing.audit import Decider, Outcome
from qubes_manager.services.programs.client import Client
from tests.asked_user import AskedUser
from tests.asked_user import bare_screen as bare_screen
from tests.screen import PICTURES, Screen
from tests.services.broker.conftest import Crossing
from tests.services.broker.conftest import crossing as crossing
from tests.services.broker.fake_guest import FakeGuest
from tests.waiting import until

pytestmark = [
    pytest.mark.e2e,
    pytest.mark.skipif(not (shutil.which("Xvfb") and shutil.which("xdotool")), reason="needs Xvfb and xdotool"),
]
TITLE = "“work” asks: my.Service"


def user_of(crossing: Crossing, screen: Screen) -> AskedUser:
    """Whom the broker asks: his screen is the one that was offered."""
    client = Client(asyncio.StreamReader(), None)  # type: ignore[arg-type]
    crossing.broker.screens.offer(client, OfferScreen(screen.environment["DISPLAY"]))
    return AskedUser(screen)


async def two(crossing: Crossing) -> tuple[FakeGuest, FakeGuest]:
    work, vault = await crossing.guest("work"), await crossing.guest("vault")
    crossing.let("my.Service * @anyvm @anyvm ask\n")
    return work, vault


def decided(crossing: Crossing) -> list[tuple[Outcome, Decider, str]]:
    return [(d.outcome, d.by, d.went_to) for d in crossing.decisions()]


async def test_what_the_user_allows_goes_ahead_and_the_pair_is_not_asked_again(
    crossing: Crossing, bare_screen: Screen
) -> None:
    work, vault = await two(crossing)
    user = user_of(crossing, bare_screen)
    began = time.monotonic()
    await work.ask(1, "my.Service", "@default", names=("a.txt",), count=1)
    await user.sees(TITLE)
    print(f"the window is there after {time.monotonic() - began:.2f} s")
    bare_screen.picture(PICTURES / "ask.png")

    # Found by typing, and then Tab twice to the tick for the session.
    await user.presses("v", "a", "u", "Down", "Tab", "Tab", "space", "Return")

    start, _port = await vault.started()
    assert start.source == "work"
    await work.ask(2, "my.Service", "@default")
    await vault.started()
    assert decided(crossing) == [
        (Outcome.ALLOWED, Decider.USER, "vault"),
        (Outcome.ALLOWED, Decider.GRANT, "vault"),
    ]


async def test_a_no_and_a_block_refuse(crossing: Crossing, bare_screen: Screen) -> None:
    work, _vault = await two(crossing)
    user = user_of(crossing, bare_screen)
    await work.ask(1, "my.Service", "vault")
    await user.sees(TITLE)
    await user.presses("Escape")
    assert await work.hear(Ended) == Ended(1, REFUSED, "the user said no")

    await work.ask(2, "my.Service", "vault")
    await user.sees(TITLE)
    await user.presses("Tab", "Tab", "space")
    assert await work.hear(Ended) == Ended(2, REFUSED, "the user said no")
    await work.ask(3, "my.Service", "vault")
    assert await work.hear(Ended) == Ended(3, REFUSED, "you have blocked the requests of this domain")
    assert crossing.broker.session.rules.blocked == ("work",)
    assert decided(crossing)[-1] == (Outcome.REFUSED, Decider.BLOCK, "")


async def test_more_requests_than_three_are_refused_at_once(crossing: Crossing, bare_screen: Screen) -> None:
    work, _vault = await two(crossing)
    user = user_of(crossing, bare_screen)
    for number in range(4):
        await work.ask(number, "my.Service", "vault")

    ended = await work.hear(Ended)
    assert (ended.code, ended.reason) == (REFUSED, "3 requests of “work” wait for you already")
    await user.sees(TITLE, 3)
    await crossing.broker.calls.close()
    await user.sees(TITLE, 0)
    await until(lambda: not crossing.broker.transfers.statuses)
