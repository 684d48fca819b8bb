"""Several programs edit one domain at once: nothing that any of them wrote is lost."""

import asyncio
import random
import subprocess
from collections.abc import AsyncIterator, Awaitable, Callable
from uuid import uuid4

import libvirt
import pytest

from qubes_manager.backend.domains.domain_actions import define
from qubes_manager.backend.domains.new_domain import NewDomain
from qubes_manager.backend.host.private_daemon import PrivateDaemon
from qubes_manager.core.domain import Domain, DomainClass, DomainConfig, DomainKey
from qubes_manager.services.domains.properties import Properties
from tests.integration.conftest import COMMANDS, World
from tests.waiting import PATIENCE

ROUNDS = 300
FOREIGN = "https://example.org/notes"
Step = tuple[Callable[[], Awaitable[object]], Callable[[Domain, str], bool]]


@pytest.fixture
async def bare(daemon: PrivateDaemon) -> AsyncIterator[tuple[World, DomainKey]]:
    """A halted domain without disks, and services that know it."""
    world = World(daemon.uri, watch=False)
    await world.hosts.load(daemon.uri)
    new = NewDomain("work", DomainConfig(klass=DomainClass.STANDALONE), str(uuid4()), virt_type="qemu", netvm="user")
    uuid = await define(world.hosts.connection(daemon.uri), "work", new.xml())
    key = DomainKey(daemon.uri, uuid)
    await world.hosts.refresh(key)
    yield world, key
    await world.hosts.connection(daemon.uri).on_domain(uuid, "delete", lambda domain: domain.undefine())
    await world.hosts.close()


async def start(*words: str) -> str:
    process = await asyncio.create_subprocess_exec(
        *words, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
    )
    output, _none = await asyncio.wait_for(process.communicate(), PATIENCE)
    assert process.returncode == 0, output.decode()
    return output.decode()


async def test_commands_that_are_started_at_once_all_have_their_effect(bare: tuple[World, DomainKey]) -> None:
    world, key = bare

    def command(name: str, *words: str) -> Awaitable[object]:
        return start(str(COMMANDS / name), "--connect", world.uri, "work", *words)

    await asyncio.gather(
        *(command("qvm-tags", "add", f"t{i}") for i in range(6)),
        *(command("qvm-features", f"f{i}", str(i)) for i in range(3)),
        command("qvm-prefs", "vcpus", "3"),
        command("qvm-prefs", "label", "blue"),
    )
    await world.hosts.refresh(key)
    config = world.existing("work").config
    assert config.tags == {f"t{i}" for i in range(6)}
    assert config.features == tuple((f"f{i}", str(i)) for i in range(3))
    assert (config.vcpus, config.label and config.label.name) == (3, "blue")


async def test_three_clients_and_virsh_that_edit_at_random_lose_nothing(
    bare: tuple[World, DomainKey],
) -> None:
    world, key = bare
    chance = random.Random(20)
    worlds = [world, World(world.uri, watch=False), World(world.uri, watch=False)]
    for other in worlds[1:]:
        await other.hosts.load(world.uri)
    # Each thing is set by one of them only, so that all must be there in the end, whatever came first.
    expected: dict[str, Callable[[Domain, str], bool]] = {}
    for number in range(ROUNDS):
        steps = [ours(other.properties, key, name, number, chance) for other, name in zip(worlds, "abc", strict=True)]
        steps.append(virsh(world.uri, number, chance))
        await asyncio.gather(*(do() for _name, do, _check in steps))
        expected.update({name: check for name, _do, check in steps})
        await world.hosts.refresh(key)
        text = await world.hosts.connection(world.uri).on_domain(
            key.uuid, "read", lambda domain: domain.XMLDesc(libvirt.VIR_DOMAIN_XML_INACTIVE)
        )
        lost = [name for name, check in expected.items() if not check(world.existing("work"), text)]
        assert not lost, f"round {number}"
    for other in worlds[1:]:
        await other.hosts.close()


def ours(
    properties: Properties, key: DomainKey, client: str, number: int, chance: random.Random
) -> tuple[str, Callable[[], Awaitable[object]], Callable[[Domain, str], bool]]:
    """What one of our clients sets in a round: what it is called, how it is set, and whether it is there."""
    tag, feature, value = f"{client}{number % 20}", f"{client}f", str(number)
    alone: dict[str, tuple[Callable[[], Awaitable[object]], Callable[[Domain, str], bool]]] = {
        "a": (
            lambda: properties.set_vcpus(key, 1 + number % 7),
            lambda domain, _text: domain.config.vcpus == 1 + number % 7,
        ),
        "b": (
            lambda: properties.set_memory(key, 500 + number),
            lambda domain, _text: domain.config.initial_memory_kib == (500 + number) << 10,
        ),
        "c": (lambda: properties.set_notes(key, value), lambda domain, _text: domain.config.notes == value),
    }
    match chance.randrange(3):
        case 0:
            return tag, lambda: properties.change_tags(key, {tag}), lambda domain, _text: tag in domain.config.tags
        case 1:
            return (
                feature,
                lambda: properties.set_feature(key, feature, value),
                lambda domain, _text: dict(domain.config.features).get(feature) == value,
            )
        case _:
            return client, *alone[client]


def virsh(
    uri: str, number: int, chance: random.Random
) -> tuple[str, Callable[[], Awaitable[object]], Callable[[Domain, str], bool]]:
    """What virsh sets in a round."""

    def run(*words: str) -> Awaitable[object]:
        return start("virsh", "-c", uri, *words)

    # Not “virsh edit”: it writes what it has read some time ago, and may undo an edit long after that was made. What we
    # do about that is in tests/backend/domains/test_edits.py.
    match chance.randrange(2):
        case 0:
            return (
                "title",
                lambda: run("desc", "work", "--title", "--config", "--new-desc", f"title {number}"),
                lambda _domain, text: f"<title>title {number}</title>" in text,
            )
        case _:
            element = f"<note number='{number}'/>"
            return (
                "note",
                lambda: run("metadata", "work", "--config", "--uri", FOREIGN, "--key", "n", "--set", element),
                lambda _domain, text: f'number="{number}"' in text or f"number='{number}'" in text,
            )
