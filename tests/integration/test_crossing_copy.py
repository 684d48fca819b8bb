"""Files between real guests, by the commands that their users have."""

from collections.abc import AsyncIterator

import pytest

from qubes_manager.core.domain import DomainKey
from qubes_manager.guest.crossing.client import SOCKET
from tests.integration.conftest import World
from tests.integration.test_crossing_calls import Brokers, Said, run_in

pytestmark = pytest.mark.guest
LARGE = 4_000_000
MAKE = f"rm -rf ~/* && mkdir -p papers/sub && echo one >papers/one && head -c {LARGE} /dev/urandom >papers/sub/large"
# Names and contents of all that a user sees.
TREE = "find . -type f ! -path '*/.*' -exec sha256sum {} + | sort -k2"


class Two:
    """Two guests: their users' homes, and commands there."""

    def __init__(self, world: World, sender: DomainKey, receiver: DomainKey, brokers: Brokers) -> None:
        self.world, self.sender, self.receiver, self.brokers = world, sender, receiver, brokers

    async def here(self, line: str) -> Said:
        return await run_in(self.world, self.sender, line)

    async def tree(self) -> str:
        """What is in the sender's home."""
        return (await self.here(TREE)).out

    async def arrived(self) -> str:
        """What the receiver's user sees of it."""
        there = f"mkdir -p QubesIncoming/sender; cd QubesIncoming/sender; {TREE}"
        return (await run_in(self.world, self.receiver, there)).out


@pytest.fixture
async def two(world: World, homes: tuple[DomainKey, DomainKey]) -> AsyncIterator[Two]:
    for key in homes:
        await world.until(lambda key=key: key in world.store.domains and world.store.require(key).is_read, "it is read")  # type: ignore[misc]
    both = Two(world, *homes, Brokers(world))
    # The guest's agent answers before its service program does.
    assert (await both.here(f"until test -S {SOCKET}; do sleep 0.1; done; {MAKE}")).code == 0
    yield both
    for key in homes:
        await run_in(world, key, "rm -rf ~/*")
    await both.brokers.close()


async def test_a_folder_is_copied_then_moved_and_a_name_that_exists_is_numbered(two: Two) -> None:
    before = await two.tree()
    said = await two.here("qvm-copy-to-vm receiver papers")
    assert said.code == 0, said
    assert await two.arrived() == before
    said = await two.here("qvm-move-to-vm receiver papers")
    assert said.code == 0, said
    assert await two.tree() == ""
    assert await two.arrived() == "".join(sorted([before, before.replace("./papers/", "./papers (2)/")]))


async def test_what_the_policy_refuses_stays_and_says_so(two: Two) -> None:
    policy = two.world.policy_files
    policy.replace("20-test", "qubes.Filecopy +allow-all-names * @anyvm deny\n")
    try:
        said = await two.here("touch odd$(printf '\\001'); qvm-move-to-vm receiver odd*")
    finally:
        policy.remove("20-test")
    assert said.code == 126, said
    assert "not allowed" in said.err
    assert "odd" in await two.tree()


async def test_a_receiver_without_room_says_so_before_anything_goes(two: Two) -> None:
    said = await two.here('python3 -c \'open("huge", "wb").truncate(1 << 40)\' && qvm-move-to-vm receiver huge')
    assert said.code == 1, said
    assert "there is no room: 1.0 TiB are needed" in said.err
    assert (await two.here("test -e huge")).code == 0
