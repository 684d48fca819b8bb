"""Other programs make snapshots of running domains and start domains of their own on our volumes; QEMU is real."""

from collections.abc import AsyncIterator
from pathlib import Path

import libvirt
import pytest

from qubes_manager.backend.domains.new_domain import DiskSpec, NewDomain
from qubes_manager.backend.guests.tiny_guest import TinyGuest
from qubes_manager.backend.host.host_tools import run_tool_now
from qubes_manager.backend.host.private_daemon import PrivateDaemon
from qubes_manager.core.creation_request import CreationRequest
from qubes_manager.core.domain import DomainConfig, DomainKey, DomainState
from qubes_manager.core.errors import Refused, UnknownDisk
from qubes_manager.core.settlement import Outcome
from tests.integration.conftest import Run, World, remove_all
from tests.integration.monitor import quit_cleanly, reads_byte, write_byte
from tests.integration.templates import make_tiny_template, pool_files
from tests.integration.test_templates import KEPT, app

pytestmark = pytest.mark.guest
SNAPSHOT = "<domainsnapshot><name>s</name></domainsnapshot>"


@pytest.fixture
async def template(world: World, tiny_guest: TinyGuest, shared_folder: Path) -> AsyncIterator[DomainKey]:
    """A template of a test's own; all that the test makes from it goes too."""
    before = await pool_files(world)
    key = await make_tiny_template(world, tiny_guest, shared_folder)
    yield key
    await remove_all(world, KEPT)
    assert await pool_files(world) == before, "nothing is left in the pool"


async def snapshot(world: World, key: DomainKey) -> str:
    """What “virsh snapshot-create-as … --disk-only” does; returns the overlay's path."""
    flags = libvirt.VIR_DOMAIN_SNAPSHOT_CREATE_DISK_ONLY
    connection = world.hosts.connection(key.connection)
    await connection.on_domain(key.uuid, "snapshot", lambda d: d.snapshotCreateXML(SNAPSHOT, flags))
    await world.hosts.refresh(key)
    return world.store.domains[key].config.disks[0].source


async def merge(world: World, key: DomainKey, overlay: str, base: str) -> None:
    """What the message says: blockcommit of the running domain into the volume, with a pivot."""
    connection = world.hosts.connection(key.connection)

    def commit(domain: libvirt.virDomain) -> None:
        domain.blockCommit("vda", base, None, 0, libvirt.VIR_DOMAIN_BLOCK_COMMIT_ACTIVE)

    def pivot(domain: libvirt.virDomain) -> bool:
        job = domain.blockJobInfo("vda")
        if not job or job["cur"] < job["end"]:
            return False
        try:
            domain.blockJobAbort("vda", libvirt.VIR_DOMAIN_BLOCK_JOB_ABORT_PIVOT)
        except libvirt.libvirtError:
            # The job is not ready in the moment in which it has done all.
            return False
        return True

    await connection.on_domain(key.uuid, "merge", commit)
    for _ in range(200):
        if await connection.on_domain(key.uuid, "merge", pivot):
            break
    await world.hosts.refresh(key)
    assert world.store.domains[key].config.disks[0].source == base
    Path(overlay).unlink()


async def test_a_templates_run_above_which_somebody_made_a_snapshot_waits_until_it_is_merged(
    world: World, daemon: PrivateDaemon, template: DomainKey, run: Run
) -> None:
    work = await world.creation.create(world.uri, app("work"))
    await world.lifecycle.start(template)
    trial = world.store.domains[template].config.disks[0].source
    overlay = await snapshot(world, template)
    await write_byte(world, template, 0x5A)
    await quit_cleanly(world, daemon, template)
    before = await pool_files(world)
    words = f"its disk vda is {overlay}, a snapshot made by another program above tiny"
    with pytest.raises(UnknownDisk, match=words):
        await world.roots.settle(template)
    # Commands say so too, and touch nothing.
    assert words in run("qvm-start", "tiny").stderr
    with pytest.raises(UnknownDisk, match=words):
        await world.roots.tidy(template)
    with pytest.raises(UnknownDisk, match=words):
        await world.cloning.clone(template, "copy")
    assert await pool_files(world) == before
    config = world.store.domains[template].config
    assert (config.revision, config.trial) == (1, 2)
    # Those made from it have the root from before the run, which is whole.
    await world.lifecycle.start(work)
    await world.lifecycle.kill(work)
    # The user does what the message says, and the run is settled as it ended.
    await world.hosts.connection(world.uri).on_domain(template.uuid, "start", lambda d: d.create())
    await merge(world, template, overlay, trial)
    await quit_cleanly(world, daemon, template)
    settlement = await world.roots.settle(template)
    assert settlement and settlement.outcome is Outcome.COMMITTED
    await world.lifecycle.start(template)
    assert await reads_byte(world, template, 0x5A)
    await world.lifecycle.kill(template)


async def test_a_kill_after_a_snapshot_deletes_nothing_that_the_disk_stands_on(
    world: World, template: DomainKey
) -> None:
    await world.lifecycle.start(template)
    trial = world.store.domains[template].config.disks[0].source
    overlay = await snapshot(world, template)
    before = await pool_files(world)
    with pytest.raises(UnknownDisk, match="a snapshot made by another program"):
        await world.lifecycle.kill(template)
    assert await pool_files(world) == before
    # It starts with all that it stands on.
    await world.hosts.connection(world.uri).on_domain(template.uuid, "start", lambda d: d.create())
    await merge(world, template, overlay, trial)
    await world.lifecycle.kill(template)


async def test_a_volume_that_a_running_domain_of_somebody_else_stands_on_stays(
    world: World, daemon: PrivateDaemon, shared_folder: Path
) -> None:
    image = shared_folder / "system.qcow2"
    run_tool_now(["qemu-img", "create", "-f", "qcow2", image, "64M"])
    request = CreationRequest("own", "blue", image=image, netvm="", memory=64, graphics=False)
    own = await world.creation.create(world.uri, request)
    root = world.store.domains[own].config.disks[0].source
    overlay = shared_folder / "above.qcow2"
    run_tool_now(["qemu-img", "create", "-f", "qcow2", "-b", root, "-F", "qcow2", overlay])
    overlay.chmod(0o666)
    disks = (DiskSpec(str(overlay)),)
    foreign = NewDomain("foreign", DomainConfig(), memory=64, virt_type="qemu", graphics=False, disks=disks)
    # A transient one: libvirt has no stored XML of it, and forgets it when it ends.
    connection = world.hosts.connection(world.uri)
    handle = await connection.call("start", lambda raw: raw.createXML(foreign.xml()))
    try:
        domain = world.store.domains[own]
        for work in (world.removal.describe_loss(domain), world.removal.remove(own)):
            with pytest.raises(Refused, match="“foreign” runs with it, or what stands on it, as vda"):
                await work
        assert Path(root).exists()
        assert world.store.domains[own].config.job is None
        # Nor does anybody write below it.
        await connection.on_domain(own.uuid, "start", lambda d: d.isActive())
        with pytest.raises(Refused, match="“foreign” runs with it"):
            await world.volumes.resize(own, "root", 128 << 20)
    finally:
        await connection.call("end", lambda _raw: handle.destroy())
    await world.removal.remove(own)
    assert not Path(root).exists()


async def test_a_snapshot_of_a_running_domain_is_not_left_out_of_its_copy(world: World, shared_folder: Path) -> None:
    image = shared_folder / "system.qcow2"
    run_tool_now(["qemu-img", "create", "-f", "qcow2", image, "64M"])
    request = CreationRequest("own", "blue", image=image, netvm="", memory=64, graphics=False)
    own = await world.creation.create(world.uri, request)
    await world.lifecycle.start(own)
    root = world.store.domains[own].config.disks[0].source
    overlay = await snapshot(world, own)
    await write_byte(world, own, 0x5A)
    await world.lifecycle.kill(own)
    with pytest.raises(UnknownDisk, match=f"its disk vda is {overlay}"):
        await world.cloning.clone(own, "copy")
    await world.lifecycle.start(own)
    await merge(world, own, overlay, root)
    await world.lifecycle.kill(own)
    copy = await world.cloning.clone(own, "copy")
    await world.removal.remove(own)
    # The copy stands on nothing of the one that is gone, and has what was written above the snapshot.
    await world.lifecycle.start(copy)
    assert world.store.domains[copy].state is DomainState.RUNNING
    assert await reads_byte(world, copy, 0x5A)
    await world.lifecycle.kill(copy)
    await world.removal.remove(copy)
