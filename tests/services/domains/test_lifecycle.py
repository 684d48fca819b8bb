"""What is started, ended and refused, on the test driver; guests that do not obey are in tests/integration."""

import asyncio
import contextlib
import uuid

import libvirt
import pytest

from qubes_manager.backend.domains.new_domain import DiskSpec, NewDomain
from qubes_manager.backend.user.domain_lock import domain_lock
from qubes_manager.core.domain import DomainClass, DomainConfig, DomainKey, DomainState, Job
from qubes_manager.core.errors import GuestError, HostCallFailed, NotFound, Refused
from qubes_manager.core.events import DomainEvent, DomainEventKind
from qubes_manager.services.domains import lifecycle as module
from qubes_manager.services.domains.lifecycle import Lifecycle, PassphraseNeeded
from qubes_manager.services.hosts.domain_access import actions_on
from tests.driver import FOLDER, PAUSED, RUNNING
from tests.services.conftest import MakeWorld, World
from tests.waiting import soon

SECRET = "33333333-3333-4333-8333-333333333333"
DOMAINS = [
    NewDomain("off", DomainConfig(klass=DomainClass.STANDALONE)),
    NewDomain("runs", DomainConfig()),
    NewDomain("stands", DomainConfig()),
    NewDomain("half", DomainConfig(job=Job.CREATE)),
    NewDomain("orphan", DomainConfig(klass=DomainClass.APP, template="gone", template_uuid=SECRET)),
    NewDomain(
        "safe",
        DomainConfig(),
        disks=(DiskSpec(f"{FOLDER}/root.qcow2"), DiskSpec(f"{FOLDER}/p.qcow2", serial="private", secret=SECRET)),
    ),
    NewDomain("template", DomainConfig(klass=DomainClass.TEMPLATE), gui=True),
]


@pytest.fixture
async def world(driver_world: MakeWorld) -> World:
    return await driver_world(
        DOMAINS, states={"runs": RUNNING, "stands": PAUSED, "template": RUNNING, "safe": RUNNING}, watch=True
    )


def has_no_activity(world: World) -> bool:
    return all(domain.activity is None for domain in world.store.domains.values())


async def test_whatever_its_state_a_domain_that_was_started_runs(world: World) -> None:
    for name in ("off", "runs", "stands"):
        was_halted = await world.lifecycle.start(world.named(name).key)
        assert was_halted is (name == "off")
        assert world.named(name).state is DomainState.RUNNING, name
    assert has_no_activity(world)


@pytest.mark.parametrize(
    ("name", "error", "reason"),
    [
        ("half", Refused, "“half” is being made or removed; it cannot be started"),
        ("orphan", NotFound, "the template of “orphan”, gone, is gone: choose another one for it"),
        ("safe", PassphraseNeeded, "cannot start “safe”: its private volume is encrypted: the passphrase is needed"),
    ],
)
async def test_what_cannot_be_started_says_why_and_stays_off(
    world: World, name: str, error: type[Exception], reason: str
) -> None:
    key = world.named(name).key
    if world.named(name).state.is_active:
        await world.lifecycle.kill(key)
    with pytest.raises(error, match=reason):
        await world.lifecycle.start(key)
    assert world.named(name).state is DomainState.HALTED
    assert has_no_activity(world)


class Encrypted:
    """Stands for libvirt's handle of an encrypted domain; the test driver asks for no passphrase."""

    def __init__(self, handle: libvirt.virDomain, complaint: str) -> None:
        self._handle = handle
        self._complaint = complaint

    def __getattr__(self, name: str) -> object:
        return getattr(self._handle, name)

    def create(self) -> None:
        raise libvirt.libvirtError(self._complaint)


@pytest.mark.parametrize(
    ("complaint", "error", "reason"),
    [
        ("qemu: Invalid password, cannot unlock any keyslot", PassphraseNeeded, "that passphrase is wrong"),
        ("qemu: out of memory", HostCallFailed, "cannot start “safe”: qemu: out of memory"),
    ],
)
async def test_a_wrong_passphrase_is_told_from_other_failures_and_forgotten(
    world: World, monkeypatch: pytest.MonkeyPatch, complaint: str, error: type[Exception], reason: str
) -> None:
    key = world.named("safe").key
    with world.hosts.connection(world.uri).listen() as events:
        await world.lifecycle.kill(key)
        # It brings a handle along, which would take the place of the one below.
        while not isinstance(event := await events.get(), DomainEvent) or event.kind is not DomainEventKind.STOPPED:
            pass
    held: list[str] = []

    # The test driver has no secrets.
    async def hold(_connection: object, uuid: str, passphrase: str) -> None:
        held.append(f"{uuid} {passphrase}")

    async def drop(_connection: object, _uuid: str) -> None:
        held.clear()

    monkeypatch.setattr(module, "hold_secret", hold)
    monkeypatch.setattr(module, "drop_secret", drop)
    handles = world.hosts.connection(world.uri).handles
    handles[key.uuid] = Encrypted(handles[key.uuid], complaint)
    with pytest.raises(error, match=reason):
        await world.lifecycle.start(key, "correct horse")
    assert held == []


async def test_an_encrypted_domain_is_not_restarted_without_its_passphrase(world: World) -> None:
    with pytest.raises(Refused, match="“safe” is encrypted: shut it down, and start it with its passphrase"):
        await world.lifecycle.restart(world.named("safe").key)
    assert world.named("safe").state is DomainState.RUNNING


async def test_a_restart_is_a_new_run(world: World) -> None:
    first = world.named("runs").id
    await world.lifecycle.restart(world.named("runs").key, timeout=10)
    assert world.named("runs").state is DomainState.RUNNING
    assert world.named("runs").id != first
    assert has_no_activity(world)


async def test_who_waits_for_one_that_has_ended_already_does_not_wait(world: World) -> None:
    async with soon():
        await world.lifecycle.wait_halted(world.named("off").key)
    assert has_no_activity(world)


async def test_a_shutdown_of_one_that_has_just_ended_is_done_and_waits_for_nothing(driver_world: MakeWorld) -> None:
    # Without events nobody here knows of the end, as between an end and its event.
    world = await driver_world(DOMAINS, states={"runs": RUNNING})
    key = world.named("runs").key
    await world.hosts.connection(world.uri).on_domain(key.uuid, "end", lambda domain: domain.destroy())
    assert world.named("runs").state is DomainState.RUNNING
    async with soon():
        await world.lifecycle.shutdown(key)
    assert world.named("runs").state is DomainState.HALTED


class Standing:
    """Stands for libvirt's handle of a domain that stands still for a *reason*; the test driver has only one."""

    def __init__(self, handle: libvirt.virDomain, reason: int) -> None:
        self._handle = handle
        self._reason = reason

    def __getattr__(self, name: str) -> object:
        return getattr(self._handle, name)

    def state(self) -> list[int]:
        return [libvirt.VIR_DOMAIN_PAUSED, self._reason]

    def resume(self) -> None:
        if self._reason != libvirt.VIR_DOMAIN_PAUSED_WATCHDOG:
            raise AssertionError("nobody else lets it go on")


@pytest.mark.parametrize(
    ("reason", "complaint"),
    [
        (libvirt.VIR_DOMAIN_PAUSED_SAVE, "“stands” stands still: its state is being saved; wait until that is over"),
        (libvirt.VIR_DOMAIN_PAUSED_POSTCOPY, "it runs on another host while its memory is moved; wait"),
        (libvirt.VIR_DOMAIN_PAUSED_WATCHDOG, "“stands” paused again at once: its watchdog has run out; put that right"),
        (libvirt.VIR_DOMAIN_PAUSED_STARTING_UP, ""),
    ],
    ids=["saved", "moved", "again", "started"],
)
async def test_who_is_at_work_on_a_domain_is_waited_for_and_what_stops_it_again_is_said(
    driver_world: MakeWorld, reason: int, complaint: str
) -> None:
    world = await driver_world(DOMAINS, states={"stands": PAUSED})
    key = world.named("stands").key
    handles = world.hosts.connection(world.uri).handles
    handles[key.uuid] = Standing(handles[key.uuid], reason)
    with pytest.raises(Refused, match=complaint) if complaint else contextlib.nullcontext():
        await world.lifecycle.start(key)


async def test_a_saved_state_is_discarded_only_where_there_is_one(world: World) -> None:
    key = world.named("runs").key
    with pytest.raises(Refused, match="“runs” has no saved state"):
        await world.lifecycle.discard_saved(key)
    connection = world.hosts.connection(world.uri)
    await connection.on_domain(key.uuid, "save", lambda domain: domain.managedSave())
    await world.hosts.refresh(key)
    assert world.named("runs").state is DomainState.SAVED
    await world.lifecycle.discard_saved(key)
    assert world.named("runs").state is DomainState.HALTED


class Words:
    """What a template is asked before it shuts down."""

    def __init__(self, error: Exception | None = None, seconds: float = 0) -> None:
        self.heard: list[DomainKey] = []
        self._error = error
        self._seconds = seconds

    async def __call__(self, key: DomainKey) -> None:
        self.heard.append(key)
        await asyncio.sleep(self._seconds)
        if self._error:
            raise self._error


@pytest.mark.parametrize("words", [Words(), Words(GuestError("it says nothing")), Words(seconds=60)])
async def test_a_template_has_its_last_words_and_no_guest_can_keep_it_from_its_end(
    world: World, words: Words, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "_LAST_WORDS", 0.05)
    lifecycle = Lifecycle(
        world.hosts,
        world.store,
        world.roots,
        world.sound,
        world.isolation,
        world.firewalls,
        world.assigned_devices,
        words,
    )
    template, other = world.named("template").key, world.named("runs").key
    for key in (template, other):
        await lifecycle.shutdown(key, timeout=10)
    assert words.heard == [template]
    assert world.named("template").state is world.named("runs").state is DomainState.HALTED


async def test_who_is_changing_a_domains_volumes_is_waited_for(driver_world: MakeWorld) -> None:
    own = str(uuid.uuid4())
    world = await driver_world([NewDomain("vault", DomainConfig(), own)])
    key = world.named("vault").key
    async with domain_lock(own, "vault"):
        starting = asyncio.create_task(world.lifecycle.start(key))
        async with soon():
            while world.named("vault").activity is None:
                await asyncio.sleep(0.01)
        # Another program removes it; it died before the end.
        await actions_on(world.hosts, world.named("vault")).edit_metadata(lambda edit: edit.set_job(Job.REMOVE))
    with pytest.raises(Refused, match="“vault” is being made or removed; it cannot be started"):
        await starting
    assert world.named("vault").state is DomainState.HALTED
