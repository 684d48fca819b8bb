"""What happens outside of this program is seen by its events, on real guests."""

import asyncio
import os
import signal
import subprocess
from pathlib import Path

import pytest

from qubes_manager.backend.host.private_daemon import PrivateDaemon
from qubes_manager.core.domain import Activity, DomainKey, DomainState
from qubes_manager.core.errors import BadInput, GuestError, Refused
from qubes_manager.core.labels import LABELS
from qubes_manager.services.domains.lifecycle import ShutdownTimedOut
from qubes_manager.services.hosts.store import HostPhase
from tests.integration.conftest import Guest, World
from tests.waiting import GUEST_PATIENCE

pytestmark = pytest.mark.guest


def virsh(daemon: PrivateDaemon, *words: str, data: str | None = None) -> str:
    done = subprocess.run(["virsh", "-c", daemon.uri, *words], input=data, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


async def test_a_start_shows_its_progress_and_then_the_state(world: World, fresh: DomainKey) -> None:
    seen: list[Activity | None] = []
    world.store.on_batch(lambda batch: seen.extend(d.activity for d in batch.changed if d.key == fresh))
    # The first batch has everything as added; what comes now are changes.
    world.store.flush()
    await world.lifecycle.start(fresh)
    await world.until(lambda: world.store.domains[fresh].state is DomainState.RUNNING, "it runs")
    await world.until(lambda: Activity.STARTING in seen, "starting was shown")
    assert world.store.domains[fresh].activity is None
    assert world.store.domains[fresh].id > 0


async def test_a_qemu_that_is_killed_from_outside_shows_as_ended(
    world: World, daemon: PrivateDaemon, fresh: DomainKey
) -> None:
    await world.lifecycle.start(fresh)
    await world.until(lambda: world.store.domains[fresh].state is DomainState.RUNNING, "it runs")
    os.kill(daemon.qemu_pid("fresh"), signal.SIGKILL)
    await world.until(lambda: not world.store.domains[fresh].state.is_active, "the row shows the end")
    assert world.store.domains[fresh].state is DomainState.CRASHED


async def test_a_domain_that_virsh_defines_renames_and_removes_comes_and_goes(
    world: World, daemon: PrivateDaemon, tmp_path: Path
) -> None:
    xml = tmp_path / "d.xml"
    xml.write_text(
        "<domain type='qemu'><name>outside</name><memory unit='MiB'>64</memory>"
        "<os><type arch='x86_64' machine='q35'>hvm</type></os></domain>"
    )
    virsh(daemon, "define", str(xml))
    domain = await world.appears("outside")
    assert domain.klass == "StandaloneVM"
    assert domain.label is None
    await world.properties.set_label(domain.key, "red")
    assert world.store.domains[domain.key].label is LABELS["red"]
    virsh(daemon, "domrename", "outside", "renamed")
    await world.until(lambda: world.named("renamed") and not world.named("outside"), "the new name")
    virsh(daemon, "desc", "renamed", "--config", "a & b")
    await world.until(lambda: world.existing("renamed").config.notes == "a & b", "the notes")
    virsh(daemon, "undefine", "renamed")
    await world.until(lambda: not world.named("renamed"), "the row goes")


async def test_rows_recover_when_libvirtd_is_restarted(world: World, daemon: PrivateDaemon, guest: Guest) -> None:
    shared = await world.appears(guest.name)
    daemon.crash()
    await world.until(lambda: world.store.domains[shared.key].stale, "the rows go stale")
    assert world.store.hosts[daemon.uri].phase is HostPhase.DISCONNECTED
    assert f"connection to {daemon.uri} lost" in world.store.hosts[daemon.uri].message
    daemon.start()
    world.hosts.retry(daemon.uri)
    await world.until(lambda: world.store.hosts[daemon.uri].phase is HostPhase.CONNECTED, "it is connected again")
    await world.until(lambda: not world.store.domains[shared.key].stale, "the rows are true again")
    assert world.store.domains[shared.key].state is DomainState.RUNNING
    assert await world.commands.run(shared.key, "true") == 0


async def test_a_guest_that_does_not_shut_down_is_reported(world: World, fresh: DomainKey) -> None:
    await world.lifecycle.start(fresh)
    # No agent yet and no ACPI daemon: the request goes unheard.
    with pytest.raises(ShutdownTimedOut, match="has not shut down within 1 s"):
        await world.lifecycle.shutdown(fresh, timeout=1)
    assert world.store.domains[fresh].activity is None
    await world.lifecycle.kill(fresh)
    assert world.store.domains[fresh].state is DomainState.HALTED


async def test_a_shutdown_and_a_restart_do_what_they_say(world: World, fresh: DomainKey) -> None:
    assert await world.commands.run(fresh, "true") == 0
    first = world.store.domains[fresh].id
    await world.lifecycle.restart(fresh, timeout=GUEST_PATIENCE)
    await world.until(lambda: world.store.domains[fresh].id not in (-1, first), "a new run")
    assert await world.commands.run(fresh, "true") == 0
    await world.lifecycle.shutdown(fresh, timeout=GUEST_PATIENCE)
    assert world.store.domains[fresh].state is DomainState.HALTED


async def test_the_agent_and_the_figures_of_a_guest_arrive(world: World, guest: Guest) -> None:
    shared = await world.appears(guest.name)
    # It was there before anybody listened.
    await world.until(lambda: world.store.domains[shared.key].agent, "its agent is heard of")
    poller = world.poller
    poller.show([shared.key])
    poller.poll()
    await poller.settled()
    await asyncio.sleep(0.5)
    poller.poll()
    await poller.settled()
    usage = world.store.domains[shared.key].usage
    assert usage.memory_kib == 256 * 1024
    assert usage.cpu_percent is not None
    assert 0 <= usage.cpu_percent <= 100


async def test_a_transient_domain_vanishes_when_it_stops(
    world: World, daemon: PrivateDaemon, fresh: DomainKey, tmp_path: Path
) -> None:
    xml = tmp_path / "t.xml"
    text = virsh(daemon, "dumpxml", "fresh").replace("<name>fresh</name>", "<name>passing</name>")
    xml.write_text("\n".join(line for line in text.splitlines() if "<uuid>" not in line))
    virsh(daemon, "create", str(xml))
    domain = await world.appears("passing")
    assert not domain.persistent
    virsh(daemon, "destroy", "passing")
    await world.until(lambda: not world.named("passing"), "the row goes")


async def test_the_serial_console_is_logged(world: World, guest: Guest) -> None:
    shared = await world.appears(guest.name)
    logs = world.logs
    sources = {source.title: source for source in await logs.sources(shared, world.uri)}
    piece = await logs.read(sources["Console of shared"])
    assert b"tiny guest is up" in piece.data
    assert b"qemu-system-x86_64" in (await logs.read(sources["QEMU log of shared"])).data


async def test_a_rename_keeps_the_domain_and_refuses_taken_names(world: World, guest: Guest, fresh: DomainKey) -> None:
    with pytest.raises(Refused, match="there is a domain “shared” already"):
        await world.properties.rename(fresh, "shared")
    with pytest.raises(BadInput, match="start with a letter"):
        await world.properties.rename(fresh, "1st")
    await world.properties.rename(fresh, "fresher")
    try:
        assert world.store.domains[fresh].name == "fresher"
    finally:
        await world.properties.rename(fresh, "fresh")


async def test_commands_need_an_agent(world: World, fresh: DomainKey) -> None:
    await world.lifecycle.start(fresh)
    await world.lifecycle.pause(fresh)
    with pytest.raises(Refused, match="is paused"):
        await world.commands.run(fresh, "true", autostart=False)
    await world.lifecycle.start(fresh)
    with pytest.raises(GuestError, match="no guest agent answers in “fresh” after 0 s"):
        await world.commands.run(fresh, "true", startup_timeout=0.2)
