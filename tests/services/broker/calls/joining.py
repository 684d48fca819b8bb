"""Two guests with a call between them."""

from tests.services.broker.conftest import Crossing
from tests.services.broker.fake_guest import FakeGuest, FakePort


async def joined(crossing: Crossing) -> tuple[FakeGuest, FakePort, FakeGuest, FakePort, int]:
    """A call that both have begun: caller (its number is 7) with its port, callee with its port and number."""
    work, vault = await crossing.guest("work"), await crossing.guest("vault")
    await work.ask(7, "my.Service", "vault", argument="arg")
    start, callee = await vault.started()
    caller = await work.accepted(7)
    assert (start.service, start.argument, start.source, start.target) == ("my.Service", "arg", "work", "vault")
    return work, caller, vault, callee, start.call
