"""A list that does not come is still a list: libvirtd, or one QEMU, that stands still."""

import asyncio
import os
import signal
import subprocess
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from qubes_manager.backend.connection import connection, pulse
from qubes_manager.backend.domains import domain_names
from qubes_manager.backend.guests.tiny_guest import TinyGuest
from qubes_manager.backend.host.private_daemon import PrivateDaemon
from qubes_manager.cli.domain_list import list_domains
from qubes_manager.cli.ls_options import ls_parser
from qubes_manager.core.domain import DomainKey
from qubes_manager.core.errors import HostUnreachable
from qubes_manager.services.hosts import usage_poller
from qubes_manager.services.hosts.store import HostPhase
from tests.conftest import own_daemon
from tests.integration.conftest import COMMANDS, World, remove_domain
from tests.waiting import PATIENCE

pytestmark = pytest.mark.guest


@contextmanager
def stopped(pid: int) -> Iterator[None]:
    """Let a process stand still within."""
    os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        os.kill(pid, signal.SIGCONT)


@pytest.fixture(scope="module")
def daemon() -> Iterator[PrivateDaemon]:
    """A libvirtd that other tests do not wait for."""
    with own_daemon() as private:
        yield private


@pytest.fixture
async def two(world: World, daemon: PrivateDaemon, tiny_guest: TinyGuest) -> AsyncIterator[list[DomainKey]]:
    """Two running domains, of which the first will hang."""
    keys = []
    for name in ("hung", "well"):
        keys.append(await world.demo.create_one(daemon.uri, tiny_guest, name, "gray", frozenset()))
        await world.lifecycle.start(keys[-1])
    yield keys
    for name in ("hung", "well"):
        remove_domain(daemon.uri, name)


def listed(*words: str) -> tuple[subprocess.CompletedProcess[str], float]:
    """What qvm-ls says, and in which time."""
    begun = time.monotonic()
    command: list[str | Path] = [COMMANDS / "qvm-ls", *words]
    done = subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE, check=False)
    return done, time.monotonic() - begun


async def test_a_libvirtd_that_stands_still_is_named_and_other_hosts_are_listed(
    daemon: PrivateDaemon, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(connection, "OPEN_TIMEOUT", 1.0)
    monkeypatch.setattr(domain_names, "_TIMEOUT", 1.0)
    options = ls_parser().parse_args(["-c", daemon.uri, "-c", "test:///default", "--raw-list"])
    with stopped(daemon.pid):
        assert await asyncio.to_thread(list_domains, options, {}) == 1
    told = capsys.readouterr()
    assert f"cannot connect to {daemon.uri}: the host did not answer within 1 s" in told.err
    assert told.out.split() == ["dom0", "test"]


async def test_a_window_says_what_hangs_and_tries_on_beside_that(
    daemon: PrivateDaemon, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connection, "OPEN_TIMEOUT", 1.0)
    monkeypatch.setattr(domain_names, "_TIMEOUT", 0.2)
    world, phases = World(daemon.uri), list[HostPhase]()
    world.store.on_host(lambda status: phases.append(status.phase))
    with stopped(daemon.pid):
        world.hosts.follow(daemon.uri)
        await world.until(lambda: phases[-1:] == [HostPhase.DISCONNECTED], "it is said")
        assert "did not answer within 1 s" in world.store.hosts[daemon.uri].message
        await asyncio.sleep(2.5)
    await world.until(lambda: phases[-1] is HostPhase.CONNECTED, "it comes back")
    assert phases == [HostPhase.CONNECTING, HostPhase.DISCONNECTED, HostPhase.CONNECTED]
    await world.hosts.close()


async def test_a_libvirtd_that_stands_still_under_many_calls_is_left_and_comes_back(
    daemon: PrivateDaemon, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connection, "OPEN_TIMEOUT", 1.0)
    monkeypatch.setattr(domain_names, "_TIMEOUT", 0.2)
    monkeypatch.setattr(pulse, "INTERVAL", 0.1)
    monkeypatch.setattr(pulse, "PATIENCE", 1.0)
    world, phases = World(daemon.uri), list[HostPhase]()
    world.store.on_host(lambda status: phases.append(status.phase))
    world.hosts.follow(daemon.uri)
    await world.until(lambda: phases[-1:] == [HostPhase.CONNECTED], "it is connected")
    line = world.hosts.connection(daemon.uri)
    with stopped(daemon.pid):
        calls = [asyncio.create_task(line.call("ask", lambda raw: raw.listAllDomains())) for _ in range(3)]
        await world.until(lambda: phases[-1] is HostPhase.DISCONNECTED, "it is said")
        assert "the host does not answer" in world.store.hosts[daemon.uri].message
        for call in calls:
            with pytest.raises(HostUnreachable, match="cannot ask: the connection to the host is gone"):
                await asyncio.wait_for(call, PATIENCE)
    # libvirt's own keepalive would end the process here.
    await world.until(lambda: phases[-1] is HostPhase.CONNECTED, "it comes back")
    await world.hosts.close()


async def test_a_qemu_that_stands_still_holds_up_nothing_of_others(
    world: World, daemon: PrivateDaemon, two: list[DomainKey], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(usage_poller, "INTERVAL", 0.5)
    world.poller.show(two)
    with stopped(daemon.qemu_pid("hung")):
        polling = asyncio.create_task(world.poller.run())
        _help, alone = await asyncio.to_thread(listed, "--help")
        for form in ("simple", "network"):
            done, seconds = await asyncio.to_thread(listed, "-c", daemon.uri, "--format", form)
            assert {line.split()[0] for line in done.stdout.splitlines()[1:]} == {"dom0", "hung", "well"}
            assert seconds < 15 + 5 * alone, form
        well = world.store.domains[two[1]].key
        before = len(world.store.domains[well].usage.cpu_history)
        await world.until(
            lambda: len(world.store.domains[well].usage.cpu_history) > max(before, 3), "figures of the other one"
        )
        polling.cancel()
