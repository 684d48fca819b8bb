"""Domains that somebody saves (libvirt's managed save): the same run goes on, or is discarded knowingly."""

from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from qubes_manager.backend.guests.tiny_guest import TinyGuest
from qubes_manager.backend.host.private_daemon import PrivateDaemon
from qubes_manager.backend.storage.secrets import drop_secret, hold_secret
from qubes_manager.core.creation_request import CreationRequest
from qubes_manager.core.domain import DomainClass, DomainKey, DomainState
from qubes_manager.core.errors import Refused, StateIsSaved
from qubes_manager.core.labels import LABELS
from qubes_manager.core.settlement import Outcome, Settlement
from qubes_manager.core.volumes import Role
from qubes_manager.services.domains.lifecycle import PassphraseNeeded
from qubes_manager.services.hosts.domain_access import actions_on
from tests.conftest import own_daemon
from tests.integration.conftest import Run, World, remove_all
from tests.integration.templates import make_tiny_template, pool_files, say
from tests.integration.test_templates import KEPT

pytestmark = pytest.mark.guest


@pytest.fixture
async def template(world: World, tiny_guest: TinyGuest, shared_folder: Path) -> AsyncIterator[DomainKey]:
    """A template of a test's own, which goes with all that was made of it."""
    before = await pool_files(world)
    key = await make_tiny_template(world, tiny_guest, shared_folder)
    yield key
    await remove_all(world, KEPT)
    assert await pool_files(world) == before, "nothing is left in the pool"


@pytest.fixture
def own() -> Iterator[PrivateDaemon]:
    """A libvirtd that a test may start anew."""
    with own_daemon() as daemon:
        yield daemon


async def save(world: World, key: DomainKey) -> None:
    """Save a running domain as virsh does, and wait until its row says so."""
    await world.hosts.connection(world.uri).on_domain(key.uuid, "save", lambda d: d.managedSave(), timeout=60)
    await world.until(lambda: world.store.domains[key].state is DomainState.SAVED, "the row says Saved")


async def test_a_saved_template_goes_on_with_the_same_run_and_keeps_its_update(
    world: World, template: DomainKey, run: Run, shared_folder: Path
) -> None:
    heard: list[Settlement] = []
    world.roots.settled.connect(heard.append)
    await world.lifecycle.start(template)
    await say(world, template, "echo first >/sys_root/file; echo kept >/tmp/memory; sync")
    await save(world, template)
    assert "tiny|Saved|" in run("qvm-ls", "--raw-data").stdout
    assert run("qvm-ls", "--raw-list", "--saved").stdout.split() == ["tiny"]
    assert run("qvm-check", "--saved", "tiny").returncode == 0
    assert run("qvm-check", "--running", "tiny").returncode == 1
    files = await pool_files(world)
    for words in (
        ("qvm-prefs", "tiny", "vcpus", "2"),
        ("qvm-prefs", "tiny", "name", "other"),
        ("qvm-volume", "revert", "tiny:root"),
        ("qvm-volume", "extend", "tiny:root", "64M"),
        ("qvm-volume", "export", "tiny:root", shared_folder / "out.qcow2"),
        ("qvm-kill", "tiny"),
    ):
        refused = run(*words)
        assert refused.returncode == 1, words
        assert "“tiny” is saved, to go on as it was" in refused.stderr, words
    assert run("qvm-tags", "tiny", "add", "new").returncode == 0
    assert run("qvm-prefs", "tiny", "label", "purple").returncode == 0
    await world.properties.set_notes(template, "changed while it was saved")
    assert await pool_files(world) == files
    # Nobody has decided about its run, and a start makes no revision.
    await world.lifecycle.start(template)
    config = world.store.domains[template].config
    assert (config.trial, config.revision, heard) == (2, 1, [])
    # Its window wears the colour that it was given, not the one that it was saved with.
    assert (config.label, config.notes) == (LABELS["purple"], "changed while it was saved")
    assert "new" in config.tags
    assert await say(world, template, "cat /tmp/memory /sys_root/file; umount /sys_root; sync") == "kept\nfirst"
    await world.lifecycle.shutdown(template, 60)
    assert [(s.outcome, s.written, s.current) for s in heard] == [(Outcome.COMMITTED, 2, 2)]


@pytest.mark.parametrize("by", ["us", "a command"])
async def test_a_saved_run_that_is_discarded_takes_its_changes_with_it_and_says_so(
    world: World, template: DomainKey, run: Run, by: str
) -> None:
    heard: list[Settlement] = []
    world.roots.settled.connect(heard.append)
    before = await pool_files(world)
    await world.lifecycle.start(template)
    await save(world, template)
    if by == "us":
        await world.lifecycle.discard_saved(template)
        with pytest.raises(Refused, match="“tiny” has no saved state"):
            await world.lifecycle.discard_saved(template)
        assert [(s.outcome, s.current) for s in heard] == [(Outcome.DISCARDED, 1)]
    else:
        done = run("qvm-kill", "--discard-saved", "tiny")
        assert done.returncode == 0
        assert "The saved state of “tiny” was discarded, and what its run had changed went with it" in done.stderr
        await world.hosts.refresh(template)
    config = world.store.domains[template].config
    assert (world.store.domains[template].state, config.trial, config.revision) == (DomainState.HALTED, 0, 1)
    assert await pool_files(world) == before


async def test_a_run_that_others_discard_or_save_to_a_file_is_kept_beside_and_goes_on_from_there(
    world: World, template: DomainKey, shared_folder: Path
) -> None:
    heard: list[Settlement] = []
    world.roots.settled.connect(heard.append)
    connection = world.hosts.connection(world.uri)
    await world.lifecycle.start(template)
    await save(world, template)
    await connection.on_domain(template.uuid, "discard", lambda domain: domain.managedSaveRemove())
    # libvirt has no event for it; the window looks again when people come back to it.
    world.hosts.refresh_flags()
    await world.until(lambda: world.store.domains[template].state is DomainState.HALTED, "it is halted")
    await world.roots.settle(template)
    await world.lifecycle.start(template)
    folder = shared_folder / "saved"
    folder.mkdir()
    folder.chmod(0o777)
    file = str(folder / "state")
    await connection.on_domain(template.uuid, "save", lambda domain: domain.save(file), timeout=60)
    await world.hosts.refresh(template)
    await world.roots.settle(template)
    assert [(s.outcome, s.written, s.current) for s in heard] == [(Outcome.PUT_AWAY, 2, 1), (Outcome.PUT_AWAY, 3, 1)]
    assert "Another program saved the run of “tiny” to a file, or discarded it" in heard[0].sentence
    await connection.call("restore", lambda raw: raw.restore(file), timeout=60)
    await world.hosts.refresh(template)
    running = world.store.domains[template]
    root = running.config.disk(Role.ROOT)
    assert running.state is DomainState.RUNNING
    assert root and "root@3" in root.source and not running.stray_run


async def test_a_saved_state_outlives_libvirtd_and_what_hangs_on_it_goes_knowingly(
    own: PrivateDaemon, tiny_guest: TinyGuest, shared_folder: Path
) -> None:
    world = World(own.uri, watch=False)
    await world.hosts.load(own.uri)
    key = await make_tiny_template(world, tiny_guest, shared_folder)
    await world.lifecycle.start(key)
    await world.hosts.connection(own.uri).on_domain(key.uuid, "save", lambda d: d.managedSave(), timeout=60)
    await world.hosts.close()
    own.stop()
    own.start()
    later = World(own.uri, watch=False)
    await later.hosts.load(own.uri)
    saved = later.existing("tiny")
    assert saved.state is DomainState.SAVED
    await later.recovery.recover_all(own.uri)
    assert later.existing("tiny").config.trial == 2, "nobody decides about a run that goes on"
    loss = await later.removal.describe_loss(saved)
    assert loss.startswith("Its saved state is lost, with the programs and unsaved work in it.")
    await later.lifecycle.discard_saved(key)
    assert (later.existing("tiny").config.trial, later.existing("tiny").state) == (0, DomainState.HALTED)
    await later.lifecycle.start(key)
    await later.hosts.connection(own.uri).on_domain(key.uuid, "save", lambda d: d.managedSave(), timeout=60)
    await later.hosts.refresh(key)
    await later.removal.remove(key)
    assert await pool_files(later) == []
    await later.hosts.close()


async def test_an_encrypted_domain_that_was_saved_asks_for_its_passphrase_and_keeps_its_state_until_it_has_it(
    world: World, template: DomainKey
) -> None:
    request = CreationRequest(
        "safe",
        "red",
        klass=DomainClass.APP,
        template="tiny",
        memory=256,
        vcpus=1,
        netvm="",
        graphics=False,
        private_size=64 << 20,
        passphrase="correct horse",
    )
    key = await world.creation.create(world.uri, request)

    actions = actions_on(world.hosts, world.store.domains[key])
    # libvirt saves no domain that has a throw-away disk: somebody else takes that word out, and starts it.
    await actions.edit_config(lambda document: document.set_disk_transient("vda", False))
    await hold_secret(world.hosts.connection(world.uri), key.uuid, "correct horse")
    await actions.start()
    await drop_secret(world.hosts.connection(world.uri), key.uuid)
    await world.hosts.refresh(key)
    await save(world, key)
    with pytest.raises(StateIsSaved):
        await world.volumes.clear(key, "private")
    with pytest.raises(PassphraseNeeded, match="the passphrase is needed"):
        await world.lifecycle.start(key)
    with pytest.raises(PassphraseNeeded, match="that passphrase is wrong"):
        await world.lifecycle.start(key, "battery staple")
    assert world.store.domains[key].state is DomainState.SAVED
    await world.lifecycle.start(key, "correct horse")
    assert world.store.domains[key].state is DomainState.RUNNING
