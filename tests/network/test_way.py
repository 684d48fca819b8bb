"""One way out at a time, whatever is asked meanwhile."""

import asyncio
from collections.abc import Callable
from pathlib import Path

import pytest

from qubes_manager.network import way as way_module
from qubes_manager.network.inside import Inside, outcome
from qubes_manager.network.way import NOWHERE, Way

VIA = "0a7b6c5d-0000-4000-8000-0123456789ab"
RUNNING: list[str] = []


class Kind:
    """Stands for what runs a way: it is known while it runs, and takes a while to end."""

    name = "this machine"

    def __init__(self, *_words: object) -> None:
        self.trouble = ""

    def set_versions(self, versions: frozenset[int]) -> None:
        pass

    async def run(self) -> None:
        RUNNING.append(self.name)
        try:
            await asyncio.Event().wait()
        finally:
            await asyncio.sleep(0.01)
            RUNNING.remove(self.name)


class Through(Kind):
    name = "a domain"


class Room(Inside):
    """A namespace in which each step takes a while, and fails where it is told to."""

    def __init__(self) -> None:
        super().__init__(1)
        self.fails = False

    async def answer_dns(self, wanted: bool) -> None:
        await asyncio.sleep(0.01)
        if self.fails:
            raise OSError("ip refuses")

    async def run(self, *words: str, feed: str = "", known: object = ()) -> bytes:
        await asyncio.sleep(0.01)
        return b""


@pytest.fixture
def room(monkeypatch: pytest.MonkeyPatch) -> Room:
    monkeypatch.setattr(way_module, "Uplink", Kind)
    monkeypatch.setattr(way_module, "Upstream", Through)
    RUNNING.clear()
    return Room()


def make(room: Room, log: Callable[[str], None] = print) -> Way:
    return Way(Path("/nowhere"), "own", room, log)


async def test_nothing_leads_out_before_it_is_opened(room: Room) -> None:
    way = make(room)
    await way.lead(VIA)
    await asyncio.sleep(0.05)
    assert RUNNING == []
    await way.open(frozenset({4}))
    await asyncio.sleep(0.05)
    assert RUNNING == ["a domain"]
    await way.close()
    assert RUNNING == []


async def test_whatever_is_asked_at_once_one_way_is_left(room: Room) -> None:
    way = make(room)
    await way.lead("")
    asked = [way.lead(VIA), way.open(frozenset({4})), way.lead(""), way.open(frozenset({4, 6})), way.lead(VIA)]
    await asyncio.gather(*asked)
    await asyncio.sleep(0.05)
    assert RUNNING == ["a domain"]
    assert way.via == VIA
    await way.close()


async def test_a_change_that_fails_leaves_no_way_and_can_be_asked_for_again(room: Room) -> None:
    way = make(room)
    await way.lead("")
    await way.open(frozenset({4}))
    room.fails = True
    with pytest.raises(OSError, match="ip refuses"):
        await way.lead(VIA)
    assert RUNNING == []
    assert way.via is NOWHERE
    assert way.trouble
    await way.open(frozenset({4}))
    assert RUNNING == []
    room.fails = False
    await way.lead(VIA)
    await asyncio.sleep(0.05)
    assert RUNNING == ["a domain"]
    await way.close()


async def test_a_way_that_fails_is_tried_again(room: Room, monkeypatch: pytest.MonkeyPatch) -> None:
    said: list[str] = []

    async def fail(_self: Kind) -> None:
        raise ValueError("no address")

    monkeypatch.setattr(Kind, "run", fail)
    way = make(room, said.append)
    await way.lead("")
    await way.open(frozenset({4}))
    await asyncio.sleep(0.05)
    assert said == ["the way out has failed: ValueError: no address"]
    await way.close()


async def test_a_tool_ends_with_who_has_asked_for_it() -> None:
    pipe = asyncio.subprocess.PIPE
    process = await asyncio.create_subprocess_exec("sleep", "600", stdin=pipe, stdout=pipe, stderr=pipe)
    asked = asyncio.create_task(outcome(process, "sleep", ""))
    await asyncio.sleep(0.05)
    asked.cancel()
    await asyncio.wait([asked])
    assert process.returncode == -9
