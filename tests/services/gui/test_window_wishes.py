"""What is chosen from the menu of a domain's window."""

import asyncio

import pytest

from qubes_manager.core.background import Background
from qubes_manager.core.domain import DomainKey
from qubes_manager.core.errors import Refused
from qubes_manager.core.viewer_messages import Wish, Wished
from qubes_manager.services.domains.lifecycle import Lifecycle
from qubes_manager.services.gui import window_wishes
from qubes_manager.services.gui.window_wishes import WindowWishes
from tests.waiting import until

WORK = DomainKey("test:///x", "6e1f7b4c-1d7c-4e0d-9f2b-0a0e4f2f6f10")


class Ends(Lifecycle):
    """Notes what is ended; a kill goes on until it is let go."""

    def __init__(self) -> None:
        self.asked: list[str] = []
        self.go_on = asyncio.Event()

    async def kill(self, key: DomainKey) -> None:
        self.asked.append(f"kill {key.uuid}")
        await self.go_on.wait()

    async def request_shutdown(self, key: DomainKey) -> None:
        self.asked.append(f"shut down {key.uuid}")
        raise Refused("it is paused")


async def test_the_window_s_own_domain_is_ended_and_what_fails_is_told(told: list[tuple[str, bool]]) -> None:
    lifecycle, background = Ends(), Background()
    wishes = WindowWishes(lifecycle, background)
    wishes.on_wished(WORK, Wished(Wish.SHUT_DOWN))
    await until(lambda: told)
    assert (lifecycle.asked, told) == ([f"shut down {WORK.uuid}"], [("it is paused", True)])
    await background.close()


async def test_a_viewer_that_wishes_without_end_gets_one_at_a_time(
    told: list[tuple[str, bool]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(window_wishes, "_PAUSE", 0.01)
    lifecycle, background = Ends(), Background()
    wishes = WindowWishes(lifecycle, background)
    for _ in range(1000):
        wishes.on_wished(WORK, Wished(Wish.KILL))
    await until(lambda: lifecycle.asked)
    await asyncio.sleep(0.01)
    assert lifecycle.asked == [f"kill {WORK.uuid}"]
    lifecycle.go_on.set()
    await until(lambda: not background.running)
    wishes.on_wished(WORK, Wished(Wish.KILL))
    await until(lambda: len(lifecycle.asked) == 2)
    await background.close()
    assert told == []


async def test_what_fails_is_not_tried_again_at_once(
    told: list[tuple[str, bool]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(window_wishes, "_PAUSE", 60)
    lifecycle, background = Ends(), Background()
    lifecycle.go_on.set()
    wishes = WindowWishes(lifecycle, background)
    for wish in (Wish.SHUT_DOWN, Wish.KILL):
        wishes.on_wished(WORK, Wished(wish))
        await until(lambda: told and lifecycle.asked)
        for _ in range(100):
            wishes.on_wished(WORK, Wished(wish))
            await asyncio.sleep(0)
    # Each kind for itself: what cannot be shut down may be killed.
    assert (lifecycle.asked, len(told)) == ([f"shut down {WORK.uuid}", f"kill {WORK.uuid}"], 1)
    await background.close()
