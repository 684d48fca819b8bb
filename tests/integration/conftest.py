"""Real libvirt, real QEMU guests."""

import asyncio
import contextlib
import subprocess
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import libvirt
import pytest

from qubes_manager.backend.guests.tiny_guest import TinyGuest
from qubes_manager.backend.host.private_daemon import PrivateDaemon
from qubes_manager.core.domain import Domain, DomainKey
from qubes_manager.core.template_recipe import TemplateRecipe
from qubes_manager.services.assembly import Services
from qubes_manager.services.domains.removal import in_removal_order
from qubes_manager.services.hosts.hosts import Hosts
from qubes_manager.services.hosts.store import DomainStore
from tests.conftest import CACHE, first_builds
from tests.integration.crossing import make_crossing_domain, prepare
from tests.strays import brokers, end_strays
from tests.waiting import GUEST_PATIENCE
from tests.xpra_tree import built_xpra

COMMANDS = Path(sys.executable).parent
# Runs a command of ours with its words; *data* is its standard input.
Run = Callable[..., subprocess.CompletedProcess[str]]
# What the tests' Debian guest is made of: as little as serves, since it is built where they run.
DEBIAN = TemplateRecipe("bookworm", packages=("thunar", "xpdf"), size=4 << 30)
# The same of the release whose xpra we build.
TRIXIE = replace(DEBIAN, suite="trixie")


class World(Services):
    """The services over a private libvirtd, hearing its events."""

    def __init__(self, uri: str, *, watch: bool = True) -> None:
        store = DomainStore()
        super().__init__(Hosts(store, watch=watch), store)
        self.uri = uri

    async def ensure_broker(self, uri: str) -> None:
        """None: what it does is done by the test, or by one that the test starts."""

    def named(self, name: str) -> Domain | None:
        return next((d for d in self.store.domains.values() if d.name == name), None)

    def existing(self, name: str) -> Domain:
        """The domain of that name; the test fails where there is none."""
        domain = self.named(name)
        assert domain, f"there is no domain {name}"
        return domain

    async def until(self, check: Callable[[], object], what: str) -> None:
        """Wait until *check* holds."""
        try:
            async with asyncio.timeout(GUEST_PATIENCE):
                while not check():
                    await asyncio.sleep(0.02)
        except TimeoutError:
            pytest.fail(f"not within {GUEST_PATIENCE:.0f} s: {what}; brokers that run: {list(brokers())}")

    async def appears(self, name: str) -> Domain:
        await self.until(lambda: (d := self.named(name)) and d.is_read, f"{name} appears")
        return self.existing(name)


@pytest.fixture
async def world(daemon: PrivateDaemon) -> AsyncIterator[World]:
    """Services that are connected."""
    await asyncio.to_thread(end_strays)
    world = World(daemon.uri)
    world.hosts.follow(daemon.uri)
    await world.until(lambda: world.named("dom0"), "the host's row appears")
    yield world
    await world.hosts.close()


@dataclass(frozen=True)
class Guest:
    """A running tiny guest."""

    name: str
    uuid: str


@pytest.fixture(scope="session")
def guest(daemon: PrivateDaemon, tiny_guest: TinyGuest) -> Iterator[Guest]:
    """One running guest that answers; shared by the tests that leave it running."""

    async def make() -> str:
        world = World(daemon.uri)
        await world.hosts.load(daemon.uri)
        key = await world.demo.create_one(daemon.uri, tiny_guest, "shared", "green", frozenset())
        await world.lifecycle.start(key)
        assert await world.commands.run(key, "true") == 0
        await world.hosts.close()
        return key.uuid

    yield Guest("shared", asyncio.run(make()))
    remove_domain(daemon.uri, "shared")


@pytest.fixture
async def fresh(world: World, daemon: PrivateDaemon, tiny_guest: TinyGuest) -> AsyncIterator[DomainKey]:
    """A halted domain of a test's own."""
    key = await world.demo.create_one(daemon.uri, tiny_guest, "fresh", "orange", frozenset())
    yield key
    remove_domain(daemon.uri, "fresh")


@pytest.fixture(scope="session")
def two_guests(daemon: PrivateDaemon, python_guest: TinyGuest) -> Iterator[tuple[DomainKey, DomainKey]]:
    """Two running guests that the tests here share: one calls, one serves."""
    with _running_pair(daemon, python_guest, ("caller", "callee"), 256, prepare) as keys:
        yield keys


@pytest.fixture(scope="session")
def debian(daemon: PrivateDaemon) -> Iterator[DomainKey]:
    """The full Debian template, built by the project; cached until its recipe changes."""
    with _built_template(daemon, "debian", DEBIAN) as key:
        yield key


@pytest.fixture(scope="session")
def trixie(daemon: PrivateDaemon) -> Iterator[DomainKey]:
    """The same of Debian 13."""
    with _built_template(daemon, "trixie", TRIXIE) as key:
        yield key


@contextlib.contextmanager
def _built_template(daemon: PrivateDaemon, name: str, recipe: TemplateRecipe) -> Iterator[DomainKey]:
    async def make() -> DomainKey:
        world = World(daemon.uri)
        await world.hosts.load(daemon.uri)
        key = await world.templates.build(daemon.uri, name, recipe, cache=CACHE, memory=1024)
        await world.hosts.close()
        return key

    async def take_away() -> None:
        world = World(daemon.uri)
        await world.hosts.load(daemon.uri)
        await remove_all(world)
        await world.hosts.close()

    if recipe.source_build:
        built_xpra()
    with first_builds(name):
        key = asyncio.run(make())
    yield key
    asyncio.run(take_away())


async def remove_all(world: World, kept: Iterable[str] = ()) -> None:
    """Kill and remove all domains but those *kept*, the ones that stand on others first."""
    going = [d for d in world.store.domains.values() if not d.is_host and d.name not in kept]
    for domain in in_removal_order(going):
        await world.hosts.refresh(domain.key)
        now = world.store.get(domain.key)
        if now is None:
            continue
        if now.state.is_active:
            await world.lifecycle.kill(domain.key)
        if world.store.get(domain.key):
            await world.removal.remove(domain.key)


def remove_domain(uri: str, name: str) -> None:
    """End and undefine a domain, if it is there."""
    connection = libvirt.open(uri)
    for domain in connection.listAllDomains():
        if domain.name() == name:
            if domain.isActive():
                domain.destroy()
            if domain.isPersistent():
                domain.undefine()
    connection.close()


@pytest.fixture(scope="session")
def homes(daemon: PrivateDaemon, python_guest: TinyGuest) -> Iterator[tuple[DomainKey, DomainKey]]:
    """Two running guests that send to each other; shared, and left empty."""
    with _running_pair(daemon, python_guest, ("sender", "receiver"), 768) as keys:
        yield keys


@contextlib.contextmanager
def _running_pair(
    daemon: PrivateDaemon,
    guest: TinyGuest,
    names: tuple[str, str],
    memory: int,
    prepare: Callable[..., Awaitable[None]] | None = None,
) -> Iterator[tuple[DomainKey, DomainKey]]:
    """Two running guests with our tools, of so many MiB each."""

    async def make() -> tuple[DomainKey, DomainKey]:
        world = World(daemon.uri)
        await world.hosts.load(daemon.uri)
        one, other = [await make_crossing_domain(world, daemon.uri, guest, name, memory=memory) for name in names]
        if prepare:
            await prepare(world, one, other)
        await world.hosts.close()
        return one, other

    yield asyncio.run(make())
    for name in names:
        remove_domain(daemon.uri, name)


@pytest.fixture
def run(daemon: PrivateDaemon) -> Run:
    """Run a command of ours on the private libvirtd, as a user would type it."""

    def run(*words: object, data: str | None = None) -> subprocess.CompletedProcess[str]:
        command, *rest = map(str, words)
        return subprocess.run(
            [COMMANDS / command, "--connect", daemon.uri, *rest],
            input=data,
            stdin=subprocess.DEVNULL if data is None else None,
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )

    return run
