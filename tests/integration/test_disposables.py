"""Disposables on real guests: what they start from, when they end, and what a crash leaves."""

import asyncio
import os
import signal
import subprocess
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

from qubes_manager.backend.guests.tiny_guest import TinyGuest
from qubes_manager.backend.host.private_daemon import PrivateDaemon
from qubes_manager.backend.storage import volume_store
from qubes_manager.core.disposables import PRELOAD_MAX, disposable_number
from qubes_manager.core.domain import Disposal, Domain, DomainClass, DomainKey, DomainState
from qubes_manager.core.errors import NotFound, Refused
from qubes_manager.core.sound import SILENT, sound_text
from qubes_manager.core.volumes import Role, frozen_copies
from qubes_manager.services.broker.disposables.preload import PreloadKeeper
from qubes_manager.services.files.host_paths import console_log_path
from tests.integration.conftest import COMMANDS, Run, World, remove_all
from tests.integration.disposables import keeping, layers
from tests.integration.templates import make_tiny_template, pool_files, say
from tests.integration.test_templates import KEPT, app
from tests.sound import sound_server
from tests.waiting import PATIENCE

pytestmark = [pytest.mark.guest, pytest.mark.timeout(400)]
WRITE = "printf {} | dd of=/dev/vdb conv=fsync 2>/dev/null"
READ = "head -c 4 /dev/vdb"


@pytest.fixture
async def template(world: World, tiny_guest: TinyGuest, shared_folder: Path) -> AsyncIterator[DomainKey]:
    """A TemplateVM of a test's own; nothing that is made of it stays behind."""
    before = await pool_files(world)
    yield await make_tiny_template(world, tiny_guest, shared_folder)
    await remove_all(world, KEPT)
    assert await pool_files(world) == before, "nothing is left in the pool"


@pytest.fixture
async def base(world: World, template: DomainKey) -> DomainKey:
    """An AppVM that disposables are made of, with the port that windows come through."""
    await world.properties.set_feature(template, "gui", "1")
    return await world.creation.create(world.uri, app("base", template_for_dispvms=True))


@pytest.fixture
async def plain(world: World, template: DomainKey) -> DomainKey:
    """The same without windows: the small guest has no session to wait for."""
    return await world.creation.create(world.uri, app("base", template_for_dispvms=True))


async def test_disposables_start_from_the_last_state_of_an_appvm_that_runs_and_changes(
    world: World, base: DomainKey, template: DomainKey
) -> None:
    await world.lifecycle.start(base)
    with pytest.raises(Refused, match="shut “base” down once"):
        await world.disposables.make(base)
    await say(world, base, WRITE.format("old!"))
    await world.lifecycle.shutdown(base, 60)
    one = await world.disposables.make(base)
    await world.lifecycle.start(base)
    two = await world.disposables.make(base, name="bank")
    await say(world, base, WRITE.format("new!"))
    assert await say(world, one, READ) == await say(world, two, READ) == "old!"
    await say(world, one, WRITE.format("lost") + "; echo x >/sys_root/lost; sync")
    assert await say(world, two, f"{READ}; ls /sys_root") == "old!lost+found"
    domain = world.existing("bank")
    assert (domain.klass, domain.is_disposable, domain.state) == (DomainClass.DISPOSABLE, True, DomainState.RUNNING)
    assert domain.config.template == domain.config.default_dispvm == "base"
    assert domain.config.disposal is Disposal.KEPT
    assert domain.label == world.existing("base").label
    assert disposable_number(world.store.domains[one].name) is not None
    await _stands_while_in_use(world, base, template)
    await world.properties.change_tags(two, ["money"])
    assert "money" in world.existing("bank").config.tags
    with pytest.raises(Refused, match="keeps its name"):
        await world.properties.rename(two, "other")
    await world.properties.set_title(two, "Letter")
    assert world.existing("bank").shown_name == "Letter (bank)"
    await world.lifecycle.shutdown(base, 60)
    # The AppVM has run since: the next one has what it left; the old copy stays for those who run from it.
    three = await world.disposables.make(base)
    assert await say(world, three, READ) == "new!"
    assert [v.revision for v in frozen_copies(world.existing("base").config.volumes)] == [1, 2]
    for key in (one, two, three):
        await world.disposables.end(key)
        assert world.store.get(key) is None
    assert [v.revision for v in frozen_copies(world.existing("base").config.volumes)] == [2]
    await world.properties.set_template_for_dispvms(base, False)
    assert not [name for name in await pool_files(world) if ".frozen" in name], "the copy is of no use any more"
    assert layers(world) == []
    assert not list(Path(console_log_path(world.uri, one.uuid)).parent.glob(f"{one.uuid}*")), "its log is gone"


async def test_a_disposable_has_the_sound_of_its_appvm_and_its_mute(
    world: World, plain: DomainKey, monkeypatch: pytest.MonkeyPatch
) -> None:
    with sound_server() as server:
        monkeypatch.setenv("PULSE_SERVER", server.address)
        await world.properties.set_muted(plain, True)
        for audiovm, words in (("", "muted"), (SILENT, "")):
            await world.properties.set_audiovm(plain, audiovm)
            domain = world.store.require(await world.disposables.make(plain))
            assert sound_text(domain) == words
            assert server.streams() == ([f"[{domain.name}]"] if words else [])
            assert ("Mute: yes" in server.pactl("list", "sink-inputs")) is bool(words)
            await world.disposables.end(domain.key)


async def test_a_copy_that_somebody_else_deleted_is_made_anew(world: World, plain: DomainKey) -> None:
    connection = world.hosts.connection(world.uri)
    one = await world.disposables.make(plain)
    copy = frozen_copies(world.existing("base").config.volumes)[-1]
    Path((await volume_store.volume_paths(connection, [copy]))[Role.FROZEN]).unlink()
    await world.lifecycle.start(plain)
    with pytest.raises(Refused, match="shut “base” down once"):
        await world.disposables.make(plain)
    assert await say(world, one, "echo well") == "well"
    await world.lifecycle.kill(plain)
    await world.frozen_copies.renew(plain)
    copy = frozen_copies(world.existing("base").config.volumes)[-1]
    await volume_store.delete_volume(connection, copy.pool, copy.name)
    two = await world.disposables.make(plain)
    assert await say(world, two, "echo well") == "well"
    for key in (one, two):
        await world.disposables.end(key)


async def _stands_while_in_use(world: World, base: DomainKey, template: DomainKey) -> None:
    """What disposables run from is neither changed nor removed."""
    with pytest.raises(Refused, match=r"disposables of “base” run, .*bank"):
        await world.properties.set_template_for_dispvms(base, False)
    with pytest.raises(Refused, match="its template cannot be changed"):
        await world.properties.set_template(base, "tiny")
    await world.roots.tidy(template)
    with pytest.raises(Refused):
        await world.removal.remove(base)


async def test_a_disposable_ends_with_its_last_window(world: World, base: DomainKey) -> None:
    windows: dict[str, int] = {}
    async with keeping(world, windows) as keeper:
        async with world.disposables.new(base) as key:
            windows[key.uuid] = 2
            await asyncio.sleep(2)
        assert not keeper.is_idle
        await asyncio.sleep(2)
        assert world.store.get(key), "it has windows, whatever has become of its program"
        windows[key.uuid] = 0
        await world.until(lambda: world.store.get(key) is None, "it ends with its last window")
        await world.until(lambda: keeper.is_idle, "it is cleared up")
        assert layers(world) == []


async def test_a_disposable_that_failed_or_was_given_up_is_gone_at_once(world: World, base: DomainKey) -> None:
    with pytest.raises(NotFound):
        async with world.disposables.new(base) as key:
            raise NotFound("what was to be done in it")
    assert world.store.get(key) is None
    assert layers(world) == []


async def test_whatever_is_killed_a_disposable_lives_as_long_as_its_program(
    world: World, base: DomainKey, daemon: PrivateDaemon
) -> None:
    command = subprocess.Popen(
        [COMMANDS / "qvm-run", "--connect", world.uri, "--dispvm=base", "--no-gui", "exec sleep 1000"]
    )
    await world.until(lambda: _held(world) and _held(world)[0].config.program, "its program runs")
    key = _held(world)[0].key
    command.kill()
    command.wait()
    # It was started by the command, and has no windows to keep it.
    broker = _broker(world.uri)
    assert broker
    os.kill(broker[0], signal.SIGKILL)
    daemon.crash()
    daemon.start()
    with _new_broker(world.uri):
        await asyncio.sleep(5)
        await world.until(lambda: (d := world.store.get(key)) and not d.stale, "it is seen again")
        assert world.store.domains[key].state is DomainState.RUNNING
        await world.commands.run(key, "killall sleep", user="root")
        await world.until(lambda: world.store.get(key) is None, "it ends with its program")
        # libvirt was started anew in between, and does not know of its files any more.
        await world.until(lambda: not layers(world), "its files are gone")
        # A power cut: libvirt and QEMU at once.
        lost = await world.disposables.make(base)
        name = world.store.domains[lost].name
        pid = daemon.qemu_pid(name)
        daemon.crash()
        os.kill(pid, signal.SIGKILL)
        daemon.start()
        assert len(layers(world)) == 2
        await world.until(lambda: world.store.get(lost) is None, "libvirt has forgotten it")
        await world.until(lambda: not layers(world), "its files are gone")


def _held(world: World) -> list[Domain]:
    return [d for d in world.store.domains.values() if d.config.disposal is Disposal.HELD]


def _broker(uri: str) -> list[int]:
    """The processes that are the broker of a connection."""
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        with suppress(OSError):
            words = path.read_bytes().decode().split("\0")
            if "broker" in words and uri in words:
                found.append(int(path.parent.name))
    return found


@contextmanager
def _new_broker(uri: str) -> Iterator[None]:
    broker = subprocess.Popen([COMMANDS / "qubes-manager", "broker", "--connect", uri])
    try:
        yield
    finally:
        broker.terminate()
        broker.wait(PATIENCE)


async def test_a_named_disposable_stays_in_the_list_and_forgets_what_it_wrote(
    world: World, base: DomainKey, template: DomainKey, run: Run
) -> None:
    words = ("--class", "DispVM", "--template", "base", "--property", "memory=200", "--label", "green", "printer")
    made = await asyncio.to_thread(run, "qvm-create", *words)
    assert made.returncode == 0, made.stderr
    printer = (await world.appears("printer")).key
    config = world.existing("printer").config
    assert (config.klass, config.template, config.initial_memory_kib) == (DomainClass.DISPOSABLE, "base", 200 << 10)
    assert config.label
    assert config.label.name == "green"
    await world.lifecycle.start(printer)
    await say(world, printer, WRITE.format("lost"))
    await world.lifecycle.kill(printer)
    assert world.existing("printer").state is DomainState.HALTED
    # Its AppVM has run since, and so has the template: it starts from what they left.
    await world.lifecycle.start(base)
    await say(world, base, WRITE.format("new!"))
    await world.lifecycle.shutdown(base, 60)
    await world.lifecycle.start(template)
    await say(world, template, "echo new >/sys_root/file; umount /sys_root; sync")
    await world.lifecycle.shutdown(template, 60)
    await world.lifecycle.start(printer)
    assert await say(world, printer, f"{READ}; cat /sys_root/file") == "new!new"
    await world.lifecycle.kill(printer)
    with pytest.raises(Refused, match="“base” is the template of printer"):
        await world.removal.remove(base)
    await world.removal.remove(printer)


async def test_some_are_kept_ready_and_come_at_once(world: World, plain: DomainKey, run: Run) -> None:
    world.defaults.set("preload_dispvm_delay", "0")
    world.defaults.set("preload_dispvm_threshold", "1")
    await world.properties.set_feature(plain, PRELOAD_MAX, "1")
    services = (world.disposable_starts, world.preloaded, world.disposables, world.defaults)
    keeper = PreloadKeeper(world.uri, world.hosts, world.store, *services, look=0.5)
    task = asyncio.create_task(keeper.run())
    try:
        first = await _ready(world, plain)
        assert first.is_internal
        assert not keeper.is_idle
        for words, is_listed in (((), False), (("--all",), True)):
            listed = await asyncio.to_thread(run, "qvm-ls", "--raw-list", *words)
            assert (first.name in listed.stdout.split()) is is_listed
        async with world.disposables.new(plain) as key:
            assert key == first.key
            assert not world.store.domains[key].is_internal
            assert await say(world, key, "echo well") == "well"
            second = await _ready(world, plain)
            assert second.key != key
        # What its template has now, it would not have.
        await world.properties.set_label(plain, "purple")
        third = await _ready(world, plain, "purple")
        assert world.store.get(second.key) is None
        await world.lifecycle.start(third.key)
        await world.until(lambda: world.store.domains[third.key].config.disposal is Disposal.KEPT, "it is in use")
        await world.properties.set_feature(plain, PRELOAD_MAX, None)
        await world.until(lambda: not any(d.only_waits for d in world.store.domains.values()), "none waits")
        assert world.store.get(third.key)
        await world.until(lambda: keeper.is_idle, "it has come to rest")
        # One that only waits keeps nobody from removing what it was made of.
        await world.disposables.end(third.key)
        await world.properties.set_feature(plain, PRELOAD_MAX, "1")
        last = await _ready(world, plain, "purple")
        assert last.name not in await world.removal.describe_loss(world.store.domains[plain])
        await world.removal.remove(plain)
        assert world.store.get(last.key) is None
    finally:
        task.cancel()
        for name in ("preload_dispvm_delay", "preload_dispvm_threshold"):
            world.defaults.set(name, None)
    assert layers(world) == []


async def _ready(world: World, base: DomainKey, label: str = "blue") -> Domain:
    """A disposable that waits, as soon as there is one of that label."""

    def found() -> list[Domain]:
        return [d for d in world.preloaded.of(base) if d.label and d.label.name == label]

    await world.until(found, "one is ready")
    return found()[0]
