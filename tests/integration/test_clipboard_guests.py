"""The inter-domain clipboard through the real broker and real ports; the guests say what a test lets them say."""

import asyncio
import time
import tracemalloc
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from qubes_manager.backend.guests.tiny_guest import TinyGuest
from qubes_manager.backend.host.private_daemon import PrivateDaemon
from qubes_manager.core.crossing.clipboard_messages import (
    ClipboardSaid,
    ClipboardStatus,
    CopyClipboard,
    PasteClipboard,
    ReadClipboard,
)
from qubes_manager.core.crossing.services import CLIPBOARD_COPY, CLIPBOARD_PASTE
from qubes_manager.core.domain import DomainKey
from qubes_manager.core.errors import QubesManagerError
from qubes_manager.services.broker.clipboard import clipboard
from qubes_manager.services.broker_assembly import BrokerParts
from qubes_manager.services.crossing.link import BrokerLink
from tests.integration.conftest import World, remove_domain
from tests.integration.crossing import make_crossing_domain, put_service

pytestmark = pytest.mark.guest
NAMES = ("holder", "taker")
MIB = 1 << 20


@pytest.fixture(scope="module")
def guests(daemon: PrivateDaemon, python_guest: TinyGuest) -> Iterator[dict[str, DomainKey]]:
    """Two running guests; what they hold is /tmp/clip, and what they get is /tmp/got."""

    async def make() -> dict[str, DomainKey]:
        world = World(daemon.uri)
        await world.hosts.load(daemon.uri)
        keys = {}
        for name in NAMES:
            keys[name] = key = await make_crossing_domain(world, daemon.uri, python_guest, name)
            await put_service(world, key, CLIPBOARD_COPY, "sh /tmp/says")
            await put_service(world, key, CLIPBOARD_PASTE, "cat >/tmp/got")
        await world.hosts.close()
        return keys

    yield asyncio.run(make())
    for name in NAMES:
        remove_domain(daemon.uri, name)


@pytest.fixture
async def link(
    world: World, guests: dict[str, DomainKey], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[BrokerLink]:
    """The way to a broker that runs in this process."""
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    parts = BrokerParts(world, world.uri)
    broker = parts.program(60)
    running = asyncio.create_task(broker.run())
    try:
        sessions = parts.sessions
        await world.until(
            lambda: all((s := sessions.find(key)) and s.is_ready for key in guests.values()), "they answer"
        )
        yield BrokerLink(world.uri)
    finally:
        broker.stop()
        await running


async def says(world: World, key: DomainKey, script: str) -> None:
    """Let a guest answer as *script* does when its clipboard is copied."""
    assert await world.commands.run(key, "cat >/tmp/says", data=f"{script}\n".encode()) == 0


async def got(world: World, key: DomainKey) -> bytes:
    parts: list[bytes] = []
    assert await world.commands.run(key, "cat /tmp/got; rm -f /tmp/got", out=parts.append) == 0
    return b"".join(parts)


async def test_a_text_goes_there_and_back_whole(world: World, link: BrokerLink, guests: dict[str, DomainKey]) -> None:
    holder, taker = guests["holder"], guests["taker"]
    await says(world, holder, "printf 'größe\\033[31m\\tשלום\\n'")
    times = []
    for _ in range(3):
        start = time.monotonic()
        await link.ask(CopyClipboard(holder.uuid), ClipboardSaid)
        await link.ask(PasteClipboard(taker.uuid), ClipboardSaid)
        times.append(time.monotonic() - start)
    print(f"copy and paste, guests in software emulation: {1000 * min(times):.0f} ms")
    assert (await got(world, taker)).decode() == "größe[31m\tשלום\n"


@pytest.mark.parametrize(
    ("script", "words"),
    [
        ("exec head -c 1073741824 /dev/zero", "more than"),
        ("printf '\\377\\376'", "no text in UTF-8"),
        ("printf ''", "there is no text"),
        ("echo no display >&2; exit 1", "no display"),
    ],
    ids=["a gigabyte", "no UTF-8", "nothing", "fails"],
)
async def test_a_hostile_guest_gets_no_memory_and_nothing_is_held(
    world: World, link: BrokerLink, guests: dict[str, DomainKey], script: str, words: str
) -> None:
    await says(world, guests["holder"], script)
    tracemalloc.start()
    with pytest.raises(QubesManagerError, match=words):
        await link.ask(CopyClipboard(guests["holder"].uuid), ClipboardSaid)
    _now, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    print(f"memory that the broker took: {peak >> 10} KiB at most")
    assert peak < 8 * MIB
    assert (await link.ask(ReadClipboard(), ClipboardStatus)).is_empty
    # It is served again at once.
    await says(world, guests["holder"], "printf again")
    await link.ask(CopyClipboard(guests["holder"].uuid), ClipboardSaid)


async def test_a_guest_that_never_answers_keeps_nobody_else_waiting(
    world: World, link: BrokerLink, guests: dict[str, DomainKey], monkeypatch: pytest.MonkeyPatch
) -> None:
    holder, taker = guests["holder"], guests["taker"]
    await says(world, holder, "exec sleep 1000")
    await says(world, taker, "printf quick")
    with monkeypatch.context() as impatient:
        impatient.setattr(clipboard, "GUEST_PATIENCE", 4.0)
        stuck = asyncio.create_task(link.ask(CopyClipboard(holder.uuid), ClipboardSaid))
        await asyncio.sleep(0.5)
    await link.ask(CopyClipboard(taker.uuid), ClipboardSaid)
    assert (await link.ask(ReadClipboard(), ClipboardStatus)).source == "taker"
    with pytest.raises(QubesManagerError, match="holder"):
        await stuck
    assert (await link.ask(ReadClipboard(), ClipboardStatus)).source == "taker"
