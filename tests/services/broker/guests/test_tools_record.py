"""What guests say of their tools, as it is kept with their domains."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace

import pytest

from qubes_manager.core.crossing.guest_messages import Hello
from qubes_manager.core.domain import DomainClass, DomainKey, DomainState
from qubes_manager.core.errors import QubesManagerError
from qubes_manager.services.broker.guests import tools_record
from qubes_manager.services.broker.guests.tools_record import ToolsRecord
from tests.services.broker.conftest import Crossing, key_of
from tests.services.broker.fake_guest import FakeGuest
from tests.waiting import until


class Records:
    """What was recorded."""

    def __init__(self) -> None:
        self.kept: list[tuple[DomainKey, str]] = []
        self.troubles: list[QubesManagerError] = []

    async def record(self, key: DomainKey, digest: str) -> None:
        if self.troubles:
            raise self.troubles.pop()
        self.kept.append((key, digest))


@pytest.fixture
async def records(crossing: Crossing) -> AsyncIterator[Records]:
    records = Records()
    task = asyncio.create_task(ToolsRecord(crossing.broker.sessions, records.record).run())
    yield records
    task.cancel()


async def template(crossing: Crossing, klass: DomainClass) -> FakeGuest:
    guest = await crossing.guest("debian", begin=False)
    domain = crossing.services.store.require(key_of(guest))
    crossing.services.store.put([replace(domain, config=replace(domain.config, klass=klass))])
    crossing.services.store.flush()
    assert domain.state is DomainState.RUNNING
    return guest


async def test_a_template_is_believed_once_a_run(crossing: Crossing, records: Records) -> None:
    guest = await template(crossing, DomainClass.TEMPLATE)
    await guest.begin()
    for tools in ("one", "two", "three"):
        await guest.say(Hello(tools=tools))
        await until(lambda tools=tools: crossing.session(guest).tools == tools)  # type: ignore[misc]
    assert len(records.kept) == 1
    assert records.kept[0][0] == key_of(guest)


async def test_what_could_not_be_kept_is_tried_again(
    crossing: Crossing, records: Records, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tools_record, "_RETRY", 0.05)
    records.troubles = [QubesManagerError("another program changes it"), QubesManagerError("the host is gone")]
    guest = await template(crossing, DomainClass.TEMPLATE)
    await guest.begin()
    await guest.say(Hello(tools="one"))
    await until(lambda: records.kept)
    assert not records.troubles


async def test_what_comes_from_a_template_says_nothing_of_it(crossing: Crossing, records: Records) -> None:
    guest = await template(crossing, DomainClass.APP)
    await guest.begin()
    await guest.say(Hello(tools="one"))
    await until(lambda: crossing.session(guest).tools == "one")
    await asyncio.sleep(0)
    assert records.kept == []
