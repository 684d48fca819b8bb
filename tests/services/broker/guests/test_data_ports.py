"""Which data ports are free: QEMU's word comes late, and is of the last state only."""

from typing import cast

import pytest

from qubes_manager.backend.connection.connection import LibvirtConnection
from qubes_manager.backend.guests.guest_port import GuestPort
from qubes_manager.core.crossing.ports import DATA_PORTS
from qubes_manager.services.broker.guests import data_ports
from qubes_manager.services.broker.guests.data_ports import DataPorts
from tests.waiting import soon


@pytest.fixture
async def ports() -> DataPorts:
    known = {name: GuestPort(name, "", False) for name in DATA_PORTS}
    return DataPorts(cast(LibvirtConnection, None), "uuid", known)


async def test_one_that_the_guest_was_told_of_may_still_be_opened_by_it(
    ports: DataPorts, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(data_ports, "SETTLING", 0.2)
    port = ports.take(0)
    port.is_told = True
    port.close()
    assert ports.free == 1
    async with soon():
        while ports.free != 0:
            ports.moved.clear()
            await ports.moved.wait()


async def test_one_that_it_was_not_told_of_or_has_closed_again_is_free_at_once(ports: DataPorts) -> None:
    ports.take(0).close()
    assert ports.free == 0
    port = ports.take(0)
    port.is_told = True
    for is_open in (True, False):
        ports.on_change(DATA_PORTS[0], is_open=is_open)
    port.close()
    assert ports.free == 0


async def test_one_that_was_opened_after_it_had_been_given_up_is_not_free(ports: DataPorts) -> None:
    port = ports.take(0)
    port.is_told = True
    port.close()
    ports.on_change(DATA_PORTS[0], is_open=True)
    ports._settle(0)
    assert ports.free == 1
    ports.on_change(DATA_PORTS[0], is_open=False)
    assert ports.free == 0


async def test_the_end_of_an_earlier_use_that_is_heard_of_late_is_not_that_of_this_one(ports: DataPorts) -> None:
    port = ports.take(0)
    port.is_told = True
    ports.on_change(DATA_PORTS[0], is_open=False)
    assert not port.is_left.is_set()
    port.was_opened = True
    ports.on_change(DATA_PORTS[0], is_open=False)
    assert port.is_left.is_set()
    # What comes a second later is how it is by then.
    ports.on_change(DATA_PORTS[0], is_open=True)
    assert not port.is_left.is_set()
