"""Each part of what crosses is killed while moves, and an edit, stand at each of their steps, between real guests."""

import asyncio
import os
import shutil
import signal
import tempfile
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from pathlib import Path

import pytest

from qubes_manager.backend.guests.tiny_guest import TinyGuest
from qubes_manager.backend.host.private_daemon import PrivateDaemon
from qubes_manager.core.domain import DomainKey
from tests.asked_user import AskedUser
from tests.asked_user import bare_screen as bare_screen
from tests.integration.conftest import World, remove_all
from tests.integration.crossing import make_crossing_domain
from tests.integration.held_moves import BEGIN, EDITOR, FULL, HELD, KILL, POLICY, PREPARE, SERVICE, Moves
from tests.integration.templates import make_tiny_template
from tests.integration.test_crossing_calls import Brokers, run_in
from tests.integration.test_templates import KEPT, app
from tests.python_guest import with_files
from tests.screen import Screen

pytestmark = [
    pytest.mark.guest,
    pytest.mark.skipif(not (shutil.which("Xvfb") and shutil.which("xdotool")), reason="needs Xvfb and xdotool"),
]


@pytest.fixture(scope="module")
def domains(
    daemon: PrivateDaemon, homes: tuple[DomainKey, DomainKey], python_guest: TinyGuest, tiny_guest: TinyGuest
) -> Iterator[tuple[DomainKey, ...]]:
    """Two running guests, one that has nothing to answer with, and an AppVM for disposables that open files."""
    folder = Path(tempfile.mkdtemp(prefix="qm-", dir="/var/tmp"))
    folder.chmod(0o755)

    async def make() -> DomainKey:
        world = World(daemon.uri)
        await world.hosts.load(daemon.uri)
        mute = with_files(tiny_guest, folder, {"init": b"#!/bin/sh\nsleep 100000\n"})
        late = await make_crossing_domain(world, daemon.uri, mute, "late", memory=192, start=False)
        opener = with_files(python_guest, folder, {"etc/qubes-rpc/qubes.OpenInVM": EDITOR.encode()})
        await make_tiny_template(world, opener, folder, "opening")
        await world.creation.create(world.uri, app("opener", "opening", template_for_dispvms=True))
        await _prepare(world, *homes)
        await world.hosts.close()
        return late

    async def take_away() -> None:
        world = World(daemon.uri)
        await world.hosts.load(daemon.uri)
        await remove_all(world, (*KEPT, "sender", "receiver"))
        await world.hosts.close()

    yield (*homes, asyncio.run(make()))
    asyncio.run(take_away())
    shutil.rmtree(folder)


async def _prepare(world: World, *keys: DomainKey) -> None:
    for key in keys:
        for path, text in ((SERVICE, HELD), ("/tmp/begin", BEGIN), ("/tmp/full.py", FULL), ("/tmp/kill.py", KILL)):
            line = f"mkdir -p /etc/qubes-rpc && cat >{path} && chmod 644 {path}"
            assert await world.commands.run(key, line, user="root", data=text.encode()) == 0


@pytest.fixture
async def moves(
    world: World,
    daemon: PrivateDaemon,
    domains: tuple[DomainKey, ...],
    bare_screen: Screen,
    monkeypatch: pytest.MonkeyPatch,
) -> AsyncIterator[Moves]:
    monkeypatch.setenv("DISPLAY", bare_screen.environment["DISPLAY"])
    for key in domains:
        await world.until(lambda key=key: key in world.store.domains and world.store.require(key).is_read, "it is read")  # type: ignore[misc]
    moves = Moves(world, daemon, Brokers(world), AskedUser(bare_screen), *domains)
    world.policy_files.replace("20-test", POLICY)
    yield moves
    for key in domains[:2]:
        await run_in(world, key, "chmod 755 locked; rm -rf ~/* ~/.config; true")
    await moves.brokers.close()


async def commands(moves: Moves) -> None:
    """What the sender's user has started."""
    await moves.here("python3 /tmp/kill.py bin/qvm-move bin/qvm-move-to-vm bin/qvm-open-in-dvm")


async def senders_program(moves: Moves) -> None:
    await moves.here("python3 /tmp/kill.py lib/qubes-manager/crossing")


async def receivers_programs(moves: Moves) -> None:
    """What serves there, and what it has started."""
    await moves.there(
        "python3 /tmp/kill.py lib/qubes-manager/crossing crossing/serve.py qubes.Filecopy+allow-all-names"
    )


async def broker(moves: Moves) -> None:
    await moves.brokers.end(signal.SIGKILL)


async def libvirtd(moves: Moves) -> None:
    world = moves.world
    moves.daemon.crash()
    await world.until(lambda: world.store.require(moves.sender).stale, "it is seen to be gone")
    moves.daemon.start()
    await world.until(lambda: not world.store.require(moves.sender).stale, "it is seen again")


@pytest.mark.parametrize("kill", [commands, senders_program, receivers_programs, broker, libvirtd])
async def test_whatever_is_killed_files_are_whole_at_the_one_or_at_the_other(
    kill: Callable[[Moves], Awaitable[None]], moves: Moves
) -> None:
    await moves.begin()
    await kill(moves)
    outcome = await moves.end()
    print(outcome)
    outcome.check()
    await moves.can_copy()


async def test_a_receiver_that_loses_its_power_takes_nothing_with_it_that_it_has_not_stored(moves: Moves) -> None:
    await moves.begin()
    for key in (moves.receiver, moves.disposable()):
        os.kill(moves.daemon.qemu_pid(moves.world.store.require(key).name), signal.SIGKILL)
    await moves.world.until(
        lambda: not moves.world.store.require(moves.receiver).state.is_active, "libvirt says that it has gone"
    )
    await moves.world.lifecycle.start(moves.receiver)
    await _prepare(moves.world, moves.receiver)
    await moves.there(PREPARE)
    outcome = await moves.end()
    print(outcome)
    outcome.check(forgot=True)
    assert outcome.there == {}
    assert outcome.codes["edited"]
    await moves.can_copy()
