"""Guest tools that are renewed through the agent of a real guest."""

import asyncio
import gzip
import hashlib
from collections.abc import AsyncIterator, Iterator
from importlib import resources

import pytest

from qubes_manager.backend.guests.guest_tools import LIST, tools_digest
from qubes_manager.backend.guests.tiny_guest import TinyGuest
from qubes_manager.backend.guests.tools_archive import tools_archive
from qubes_manager.backend.host.private_daemon import PrivateDaemon
from qubes_manager.core.domain import DomainKey, DomainState
from qubes_manager.core.errors import Cancelled, GuestError
from qubes_manager.services.domains.tool_versions import tools_text
from tests.heard_progress import HeardProgress
from tests.integration.conftest import Run, World, remove_domain
from tests.integration.crossing import HostEnd, make_crossing_domain

pytestmark = pytest.mark.guest
OTHER = "0123456789abcdef"


@pytest.fixture(scope="session")
def running(daemon: PrivateDaemon, python_guest: TinyGuest) -> Iterator[DomainKey]:
    """A running guest, whose tools may be spoilt."""

    async def make() -> DomainKey:
        world = World(daemon.uri)
        await world.hosts.load(daemon.uri)
        key = await make_crossing_domain(world, daemon.uri, python_guest, "old")
        await world.hosts.close()
        return key

    yield asyncio.run(make())
    remove_domain(daemon.uri, "old")


@pytest.fixture
async def old(world: World, running: DomainKey) -> DomainKey:
    await world.until(lambda: (d := world.store.get(running)) and d.is_read, "it is read")
    return running


@pytest.fixture
async def halted(world: World, python_guest: TinyGuest) -> AsyncIterator[DomainKey]:
    yield await make_crossing_domain(world, world.uri, python_guest, "halted", start=False)
    remove_domain(world.uri, "halted")


async def tell(world: World, key: DomainKey, line: str, data: bytes = b"") -> str:
    """What a line for root's shell says in the guest."""
    said = bytearray()
    await world.commands.run(key, line, user="root", data=data, out=said.extend, err=said.extend)
    return said.decode()


async def test_tools_are_renewed_whole_and_used_at_once(world: World, old: DomainKey) -> None:
    assert tools_text(world.store.require(old)) == "none"
    spoil = (
        f"cd /; sed 1d {LIST} | grep ^usr/bin | xargs rm; mv usr/lib/qubes-manager/python-* usr/lib/qubes-manager/x; "
        "mv usr/lib/qubes-manager/x usr/lib/qubes-manager/python-feed; "
        f"echo feed >{LIST}; echo usr/bin/qvm-gone >>{LIST}; touch usr/bin/qvm-gone usr/bin/mine"
    )
    await tell(world, old, spoil)
    progress = HeardProgress()
    await world.guest_tools.update(old, progress)
    assert progress.steps == ["Installing the guest tools"]
    assert tools_text(world.store.require(old)) == "current"
    assert world.store.require(old).state is DomainState.RUNNING
    assert "FILE" in await tell(world, old, "su user -c 'qvm-copy --help'")
    kept = await tell(world, old, "ls -A /usr/lib/qubes-manager; ls /usr/bin/qvm-gone /usr/bin/mine 2>&1")
    assert {"crossing", "python-feed", f"python-{tools_digest()}", "tools"} <= set(kept.split())
    assert "qvm-gone: No such file" in kept
    # The service program of the small guest is started again by its init.
    await tell(world, old, "pkill -f lib/qubes-manager/crossing")
    with HostEnd(world, old) as host:
        assert (await host.connect()).tools == tools_digest()


async def test_a_guest_without_python_says_so_and_keeps_what_it_has(world: World, old: DomainKey) -> None:
    await tell(world, old, "mv /usr/bin/python3 /usr/bin/p")
    with pytest.raises(GuestError, match=r"not installed in “old”: it has no Python 3\.11 or later: install python3"):
        await world.guest_tools.update(old)
    await tell(world, old, "mv /usr/bin/p /usr/bin/python3")
    assert "FILE" in await tell(world, old, "qvm-copy --help")


async def test_an_update_that_is_cancelled_leaves_a_halted_domain_halted(world: World, halted: DomainKey) -> None:
    progress = HeardProgress(stop_at="Installing the guest tools")
    with pytest.raises(Cancelled):
        await world.guest_tools.update(halted, progress)
    assert world.store.require(halted).state is DomainState.HALTED
    assert tools_text(world.store.require(halted)) == "none"


async def test_a_halted_domain_is_halted_again_when_it_has_them(world: World, halted: DomainKey, run: Run) -> None:
    done = await asyncio.to_thread(run, "qvm-template", "update-tools", "halted")
    assert done.returncode == 0, done.stderr
    assert "Installing the guest tools" in done.stderr
    await world.hosts.refresh(halted)
    assert world.store.require(halted).state is DomainState.HALTED
    assert tools_text(world.store.require(halted)) == "current"


async def test_killed_at_any_moment_it_leaves_tools_that_work(world: World, old: DomainKey) -> None:
    script = (resources.files("qubes_manager.guest") / "install_tools.sh").read_text()
    for number, version in enumerate((OTHER, tools_digest())):
        archive = gzip.compress(gzip.decompress(tools_archive()).replace(tools_digest().encode(), version.encode()))
        head = f"version={version}\nsum={hashlib.sha256(archive).hexdigest()}\nlist={LIST}\n"
        await tell(world, old, f"cat >/tmp/install{number}", (head + script).encode())
        await tell(world, old, f"cat >/tmp/archive{number}", archive)
    loop = """
    for pause in 0.5 1.5 4; do
      for number in 0 1; do
        # What its killed predecessor left running has another file.
        rm -f /tmp/said; sh /tmp/install$number </tmp/archive$number >/tmp/said 2>&1 &
        sleep $pause
        kill -KILL $! 2>/dev/null && echo killed
        wait
        qvm-copy --help >/dev/null || echo broken after $pause
        grep -q "python-$(head -n 1 /usr/lib/qubes-manager/tools)" /usr/bin/qvm-copy && echo agree
      done
    done
    cat /tmp/said
    """
    said = (await tell(world, old, loop)).splitlines()
    assert "killed" in said and "agree" in said
    assert not [line for line in said if line not in ("killed", "agree")]
