"""What may be set of a domain, on the test driver."""

from collections.abc import Awaitable, Callable

import pytest

from qubes_manager.backend.domains.new_domain import NewDomain
from qubes_manager.core.domain import DomainClass, DomainConfig, DomainKey
from qubes_manager.core.errors import BadInput, QubesManagerError, Refused
from qubes_manager.core.labels import LABELS
from qubes_manager.services.domains.properties import MAX_NOTES, Properties
from tests.driver import RUNNING
from tests.services.conftest import MakeWorld, World

DOMAINS = [
    NewDomain("debian", DomainConfig(klass=DomainClass.TEMPLATE)),
    NewDomain("other", DomainConfig(klass=DomainClass.TEMPLATE)),
    NewDomain("app", DomainConfig(klass=DomainClass.APP, template="debian", tags=frozenset({"a"}))),
    NewDomain("own", DomainConfig(klass=DomainClass.STANDALONE)),
]
Change = Callable[[Properties, DomainKey], Awaitable[None]]


@pytest.fixture
async def world(driver_world: MakeWorld) -> World:
    return await driver_world(DOMAINS, states={"app": RUNNING})


@pytest.mark.parametrize(
    ("name", "change", "error", "reason"),
    [
        ("own", lambda p, k: p.set_label(k, "pink"), BadInput, "label: 'pink' cannot be used; use one of red"),
        ("own", lambda p, k: p.set_tags(k, frozenset({"ok", "a b"})), BadInput, "tag: 'a b' cannot be used"),
        ("own", lambda p, k: p.set_features(k, {"a b": "1"}), BadInput, "feature: 'a b' cannot be used"),
        ("own", lambda p, k: p.set_features(k, {"a": "\x1b"}), BadInput, "feature a: .* use at most 255 printable"),
        ("own", lambda p, k: p.set_features(k, {"a": "x" * 256}), BadInput, "feature a: .* use at most 255 printable"),
        ("own", lambda p, k: p.set_menu(k, ["../x"]), BadInput, "application: '../x' cannot be used"),
        ("own", lambda p, k: p.set_menu(k, None, ["a/b"]), BadInput, "application: 'a/b' cannot be used"),
        ("own", lambda p, k: p.set_default_dispvm(k, "nobody"), BadInput, "default_dispvm: 'nobody' cannot be used"),
        ("own", lambda p, k: p.set_template(k, "debian"), Refused, "“own” owns its system; only an AppVM has a"),
        ("app", lambda p, k: p.set_template(k, "own"), BadInput, "template: 'own' cannot be used; name a TemplateVM"),
        ("app", lambda p, k: p.set_template(k, "nobody"), BadInput, "template: 'nobody' cannot be used; name a domain"),
        ("own", lambda p, k: p.set_template_for_dispvms(k, True), Refused, "“own” is no AppVM"),
        ("own", lambda p, k: p.set_memory(k, 15), BadInput, "memory: '15' cannot be used; give 16 MiB or more"),
        ("own", lambda p, k: p.set_vcpus(k, 0), BadInput, "vcpus: '0' cannot be used; give 1 to 512"),
        ("own", lambda p, k: p.set_netvm(k, "a b"), BadInput, "netvm: 'a b' cannot be used"),
        ("own", lambda p, k: p.set_virt_mode(k, "xen"), BadInput, "virt_mode: 'xen' cannot be used; use kvm or qemu"),
        ("own", lambda p, k: p.set_kernelopts(k, "x"), Refused, "“own” boots by itself"),
        ("own", lambda p, k: p.set_notes(k, "x" * (MAX_NOTES + 1)), BadInput, "notes: '256001 characters' cannot"),
        ("own", lambda p, k: p.rename(k, "app"), Refused, "there is a domain “app” already"),
        ("own", lambda p, k: p.rename(k, "1st"), BadInput, "name: '1st' cannot be used"),
        ("app", lambda p, k: p.rename(k, "new"), Refused, "“app” is running: shut it down before it is renamed"),
    ],
)
async def test_what_cannot_be_set_is_refused_and_nothing_changes(
    world: World, name: str, change: Change, error: type[QubesManagerError], reason: str
) -> None:
    before = world.named(name)
    with pytest.raises(error, match=reason):
        await change(world.properties, before.key)
    await world.hosts.refresh(before.key)
    assert world.named(name) == before


@pytest.mark.parametrize(
    "change",
    [
        lambda p, k: p.set_label(k, "red"),
        lambda p, k: p.set_notes(k, "x"),
        lambda p, k: p.set_vcpus(k, 2),
        lambda p, k: p.set_autostart(k, True),
        lambda p, k: p.rename(k, "dom1"),
    ],
)
async def test_dom0_has_nothing_to_set(world: World, change: Change) -> None:
    with pytest.raises(Refused, match="dom0 is this machine; it has no properties to set"):
        await change(world.properties, world.named("dom0").key)


async def test_a_label_adopts_a_domain_that_nobody_of_ours_made(driver_world: MakeWorld) -> None:
    foreign = NewDomain("foreign", DomainConfig())
    world = await driver_world([foreign])
    await world.properties.set_label(world.named("foreign").key, "purple")
    assert world.named("foreign").label is LABELS["purple"]


async def test_another_template_is_remembered_by_what_does_not_change(world: World) -> None:
    await world.properties.set_template(world.named("app").key, "other")
    assert world.named("app").config.template_uuid == world.named("other").key.uuid
    # A dispvm may be taken back; what else is there stays.
    await world.properties.set_default_dispvm(world.named("app").key, "app")
    assert world.named("app").config.default_dispvm_uuid == world.named("app").key.uuid
    await world.properties.set_default_dispvm(world.named("app").key, "")
    config = world.named("app").config
    assert (config.default_dispvm, config.default_dispvm_uuid, set(config.tags)) == ("", "", {"a"})


async def test_a_rename_takes_the_options_of_its_windows_along(driver_world: MakeWorld) -> None:
    world = await driver_world([NewDomain("own", DomainConfig())])
    world.gui_options.put({"border_width": 9}, "own")
    own = world.named("own").key
    await world.properties.rename(own, "own")
    await world.properties.rename(own, "mine")
    assert await world.names() == {"mine"}
    options, _trouble = world.gui_options.load()
    assert (options.value("border_width", "mine"), options.value("border_width", "own")) == (9, 6)
