"""Guests whose agents do not answer cost their own cells and nothing else; real ones, whose agents were replaced."""

import asyncio
import time
from collections.abc import AsyncIterator, Iterator

import pytest

from qubes_manager.backend.connection.agent_calls import SLOTS
from qubes_manager.backend.connection.connection import LibvirtConnection
from qubes_manager.backend.guests.tiny_guest import TinyGuest
from qubes_manager.backend.host.private_daemon import PrivateDaemon
from qubes_manager.core.domain import DomainKey
from qubes_manager.core.errors import GuestError
from qubes_manager.services.hosts import usage_poller
from tests.integration.conftest import Guest, Run, World, remove_domain
from tests.waiting import PATIENCE

pytestmark = pytest.mark.guest
# In the guest, once its agent has told that this was begun: nothing answers any more, or only libvirt's greeting is.
SILENT = "kill -STOP $(pidof qemu-ga)"
GREETING = r"""
agent=$(pidof qemu-ga)
read -r stat </proc/$agent/stat
set -- ${stat##*) }
port=$(tr "\\0" " " </proc/$agent/cmdline); port=${port##*-p }; port=${port%% *}
kill -9 $2 $agent
exec 3<>$port
while read -r line; do
  case $line in *guest-sync*) id=${line##*:}; echo "{\"return\": ${id%%\}*}}" >&3;; esac
done <&3
"""
MUTE = {"silent": SILENT, "greeting": GREETING}


@pytest.fixture(scope="module")
def mute(daemon: PrivateDaemon, tiny_guest: TinyGuest) -> Iterator[list[DomainKey]]:
    """Running domains of both kinds."""

    async def make() -> list[DomainKey]:
        world = World(daemon.uri)
        await world.hosts.load(daemon.uri)
        keys = []
        for name in MUTE:
            keys.append(await world.demo.create_one(daemon.uri, tiny_guest, name, "red", frozenset()))
            await world.lifecycle.start(keys[-1])
        for key, script in zip(keys, MUTE.values(), strict=True):
            later = f"""echo '{script}' >/tmp/mute; setsid sh -c 'sleep 1; . /tmp/mute' </dev/null >/dev/null 2>&1 &"""
            assert await world.commands.run(key, later, user="root") == 0
        await asyncio.sleep(2)
        await world.hosts.close()
        return keys

    yield asyncio.run(make())
    for name in MUTE:
        remove_domain(daemon.uri, name)


@pytest.fixture
async def heard(world: World, mute: list[DomainKey], guest: Guest) -> AsyncIterator[World]:
    """Services that know of the mute domains and of one that answers."""
    for name in (*MUTE, guest.name):
        await world.appears(name)
    yield world


def test_the_list_with_addresses_comes_all_the_same(run: Run, mute: list[DomainKey], guest: Guest) -> None:
    assert mute
    begun = time.monotonic()
    run("qvm-ls", "--help")
    alone = time.monotonic() - begun
    for form in ("simple", "network"):
        begun = time.monotonic()
        done = run("qvm-ls", "--format", form, "--running")
        assert (done.returncode, done.stderr) == (0, "")
        # Other tests may have guests that run, too.
        assert {line.split()[0] for line in done.stdout.splitlines()[1:]} >= {"dom0", *MUTE, guest.name}
        assert time.monotonic() - begun < 10 + 5 * alone, form


class Pace:
    """Counts how often a while passes, as fast as this machine lets it."""

    def __init__(self, seconds: float) -> None:
        self.count = 0
        self._seconds = seconds

    async def run(self) -> None:
        while True:
            await asyncio.sleep(self._seconds)
            self.count += 1


async def test_figures_of_others_keep_their_pace(
    heard: World, mute: list[DomainKey], guest: Guest, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(usage_poller, "INTERVAL", 0.5)
    poller = heard.poller
    poller.show([*mute, heard.existing(guest.name).key])
    keys = (*mute, heard.existing(guest.name).key)
    pace = Pace(usage_poller.INTERVAL)
    polling, counting = asyncio.create_task(poller.run()), asyncio.create_task(pace.run())
    try:
        await heard.until(
            lambda: all(len(heard.store.domains[key].usage.cpu_history) >= 4 for key in keys), "figures of all"
        )
    finally:
        polling.cancel()
        counting.cancel()
    # Agents that are waited for would take two seconds of each.
    assert pace.count <= 3 * 4


async def _list(connection: LibvirtConnection) -> float:
    """Have libvirt list its domains; returns the seconds that it takes."""
    begun = time.monotonic()
    await connection.call("list", lambda raw: raw.listAllDomains())
    return time.monotonic() - begun


async def test_more_mute_agents_than_there_are_threads_leave_threads_free(heard: World, mute: list[DomainKey]) -> None:
    connection = heard.hosts.connection(heard.uri)
    calm = max([await _list(connection) for _ in range(5)])
    waits = [asyncio.create_task(heard.commands.ready(key, startup_timeout=20)) for key in mute * SLOTS * 2]
    slowest = 0.0
    for _ in range(20):
        slowest = max(slowest, await _list(connection))
        await asyncio.sleep(0.2)
    assert slowest < 1 + 4 * calm
    for wait in waits:
        wait.cancel()
    await asyncio.gather(*waits, return_exceptions=True)


async def test_a_mute_guest_is_said_to_be_so_and_shuts_down_by_its_power_button(
    heard: World, mute: list[DomainKey]
) -> None:
    for key in mute:
        begun = time.monotonic()
        with pytest.raises(GuestError, match="no guest agent answers"):
            await heard.commands.run(key, "true", startup_timeout=3)
        assert time.monotonic() - begun < 20
        begun = time.monotonic()
        await heard.lifecycle.request_shutdown(key)
        assert time.monotonic() - begun < PATIENCE
