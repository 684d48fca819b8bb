"""A wait for a transfer lasts as long as the transfer moves."""

import asyncio

import pytest

from qubes_manager.backend.connection.movement import Movement
from qubes_manager.core.errors import NotFound, TimedOut


async def test_what_moves_may_take_longer_than_the_limit() -> None:
    movement = Movement(1.0)

    async def transfer() -> str:
        for _ in range(25):
            movement.on()
            await asyncio.sleep(0.05)
        return "whole"

    assert await movement.wait_for("copy", transfer()) == "whole"


async def test_what_has_not_begun_does_not_stand_still() -> None:
    movement = Movement(0.05)

    async def transfer() -> str:
        await asyncio.sleep(0.3)
        movement.on()
        return "whole"

    assert await movement.wait_for("copy", transfer()) == "whole"


async def test_what_stands_still_is_given_up_and_hears_of_it() -> None:
    movement = Movement(0.05)
    movement.on()
    with pytest.raises(TimedOut, match="cannot copy"):
        await movement.wait_for("copy", asyncio.sleep(60))
    with pytest.raises(TimedOut):
        movement.on()


async def test_a_failure_is_that_of_the_transfer() -> None:
    async def transfer() -> None:
        raise NotFound("no such volume")

    with pytest.raises(NotFound, match="no such volume"):
        await Movement().wait_for("copy", transfer())
