"""A port that several services claim; here they are in one process, so that their locks alone tell them apart."""

import asyncio
import os
from collections.abc import Callable
from uuid import uuid4

import pytest

from qubes_manager.backend.user.port_holder import HeldPort, PortHolder
from qubes_manager.core.errors import QubesManagerError
from qubes_manager.core.gui_messages import Port
from qubes_manager.services.gui import port_claim
from qubes_manager.services.gui.port_claim import PortClaim
from tests.services.gui.conftest import URI
from tests.waiting import PATIENCE, until

OTHER = PortHolder(os.getppid(), "another", ":9", "/no/such/socket")


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("_TAKEN_PAUSE", "_SHORT_PAUSE", "_GIVE_WAY"):
        monkeypatch.setattr(port_claim, name, 0.02)
    monkeypatch.setattr(port_claim, "_PATIENCE", 2.0)


def claim(uuid: str, heard: Callable[[PortHolder], object] = lambda _holder: None) -> PortClaim:
    return PortClaim(URI, uuid, Port.WINDOWS, heard)


async def test_a_port_that_another_one_has_is_ours_when_it_lets_go() -> None:
    uuid, heard = str(uuid4()), list[PortHolder]()
    other = HeldPort(uuid, Port.WINDOWS, OTHER)
    ours = claim(uuid, heard.append)
    holding = asyncio.create_task(ours.hold())
    assert await ours.settled() == OTHER
    await until(lambda: heard)
    # It has no service that could be asked.
    with pytest.raises(QubesManagerError, match="did not change hands"):
        await ours.take_over()
    other.close()
    await holding
    assert ours.is_held and await ours.settled() is None
    ours.let_go()


async def test_what_this_program_is_just_closing_is_not_said_to_be_elsewhere() -> None:
    uuid, heard = str(uuid4()), list[PortHolder]()
    before = HeldPort(uuid, Port.WINDOWS, PortHolder(os.getpid(), "us", ":9", "/sock"))
    ours = claim(uuid, heard.append)
    holding = asyncio.create_task(ours.hold())
    await asyncio.sleep(0.1)
    before.close()
    await holding
    assert heard == []
    ours.let_go()


async def test_what_is_released_is_let_go_of_before_that_is_said() -> None:
    ours = claim(str(uuid4()))
    await ours.hold()
    releasing = asyncio.create_task(ours.release())
    await asyncio.wait_for(ours.is_given_away.wait(), PATIENCE)
    assert not releasing.done()
    ours.let_go()
    await releasing
    # Whoever has it here may be stuck: that is said.
    await ours.hold()
    with pytest.raises(QubesManagerError, match="the windows did not change hands within"):
        await ours.release()
    ours.let_go()
