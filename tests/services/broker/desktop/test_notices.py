"""Notices of domains' doing: few at a time, and none more for what their disposables do."""

import asyncio
from collections.abc import Mapping
from uuid import uuid4

import pytest

from qubes_manager.core.crossing.broker_messages import OfferScreen
from qubes_manager.core.domain import DomainKey
from qubes_manager.services.broker.desktop import notices
from qubes_manager.services.broker.desktop.notices import Notices, Topic
from qubes_manager.services.broker.desktop.screens import Screens
from qubes_manager.services.broker.lineage import Lineage
from qubes_manager.services.hosts.store import DomainStore
from qubes_manager.services.programs.client import Client


class World:
    def __init__(self) -> None:
        self.shown: list[str] = []
        screens = Screens()
        screens.offer(Client(asyncio.StreamReader(), None), OfferScreen(":7"))  # type: ignore[arg-type]
        self.lineage = Lineage(DomainStore())
        self.notices = Notices(screens, self.lineage)
        self.evil = DomainKey("test:///x", str(uuid4()))

    def show(self, title: str, _text: str, *, environment: Mapping[str, str]) -> str:
        assert environment["DISPLAY"] == ":7"
        self.shown.append(title)
        return ""


@pytest.fixture
async def world(monkeypatch: pytest.MonkeyPatch) -> World:
    world = World()
    monkeypatch.setattr(notices, "show_notice", world.show)
    return world


async def test_disposables_of_one_domains_making_share_what_one_may_say(world: World) -> None:
    for _ in range(8):
        made = DomainKey("test:///x", str(uuid4()))
        with world.lineage.place(world.evil) as note:
            note(made)
        await world.notices.show("look here", "", made, Topic.MESSAGE)
    assert len(world.shown) == 5
    assert await world.notices.show("evil itself", "", world.evil, Topic.MESSAGE)


async def test_a_domain_hides_nothing_behind_many_notices_about_something_else(world: World) -> None:
    for _ in range(8):
        await world.notices.show("evil: my.Service", "refused", world.evil, Topic.REFUSED)
        await world.notices.show("Message from evil", "look here", world.evil, Topic.MESSAGE)
    assert await world.notices.show("evil: qubes.Filecopy", "allowed", world.evil, Topic.ALLOWED)
    assert len(world.shown) == 11
    world.notices.forget(world.evil)
    assert await world.notices.show("evil: my.Service", "refused", world.evil, Topic.REFUSED)
