"""The table of properties: what is written is what is read."""

import pytest

from qubes_manager.backend.domains.new_domain import NewDomain
from qubes_manager.core.domain import DomainClass, DomainConfig
from qubes_manager.core.errors import BadInput, QubesManagerError, Refused
from qubes_manager.services.domains.property_table import PROPERTIES, find_property
from tests.services.conftest import MakeWorld, World

# A value of each that a halted AppVM with a kernel from outside can have.
VALUES = {
    "audiovm": "none",
    "autostart": "True",
    "default_dispvm": "app",
    "include_in_backups": "False",
    "devices_denied": "u03**** p02****",
    "kernelopts": "quiet ro",
    "label": "red",
    "maxmem": "3000",
    "memory": "300",
    "muted": "True",
    "netvm": "default",
    "template": "debian",
    "template_for_dispvms": "True",
    "vcpus": "1",
}


@pytest.fixture
async def world(driver_world: MakeWorld) -> World:
    app = NewDomain("app", DomainConfig(klass=DomainClass.APP), kernel="/k", netvm="user")
    return await driver_world([app, NewDomain("debian", DomainConfig(klass=DomainClass.TEMPLATE))])


def test_each_property_that_can_be_set_is_tried() -> None:
    # The test driver has one mode only, a handle of libvirt's keeps the name that it came with, and only disposables
    # have a title. Only a network that is kept apart is given to others (tests/integration/test_network_of_domains.py).
    not_here = {"virt_mode", "name", "title", "provides_network"}
    assert {p.name for p in PROPERTIES.values() if p.write} == {*VALUES, *not_here}


async def test_who_has_no_network_kept_apart_gives_none_to_others(world: World) -> None:
    write, app = find_property("provides_network").write, world.named("app")
    assert write
    with pytest.raises(Refused, match="“app” has no network of its own to give"):
        await write(world.properties, app.key, "True")
    assert not world.store.require(app.key).config.provides_network


@pytest.mark.parametrize("name", VALUES)
async def test_what_is_written_is_read_and_its_default_can_be_written_again(world: World, name: str) -> None:
    prop, key = find_property(name), world.named("app").key
    assert prop.write

    def read() -> str:
        domain = world.store.require(key)
        return prop.read(domain, domain.config)

    def others() -> dict[str, str]:
        domain = world.store.require(key)
        return {p.name: p.read(domain, domain.config) for p in PROPERTIES.values() if p.name != name}

    before = others()
    assert read() != VALUES[name]
    await prop.write(world.properties, key, VALUES[name])
    assert (read(), others()) == (VALUES[name], before)
    if prop.default is not None:
        await prop.write(world.properties, key, prop.default)
        assert read() == prop.default


@pytest.mark.parametrize("word", ["", "none", "None"])
async def test_no_network_is_written_as_none_or_nothing(world: World, word: str) -> None:
    write = find_property("netvm").write
    assert write
    await write(world.properties, world.named("app").key, word)
    assert world.named("app").config.interfaces == ()


@pytest.mark.parametrize(
    ("name", "text"),
    [("memory", "0"), ("memory", "-20"), ("vcpus", "8193"), ("maxmem", "1.5"), ("autostart", "maybe")],
)
async def test_a_value_that_means_nothing_is_bad_input_of_that_name(world: World, name: str, text: str) -> None:
    write = find_property(name).write
    assert write
    with pytest.raises(QubesManagerError, match=f"{name}: '{text}' cannot be used") as caught:
        await write(world.properties, world.named("app").key, text)
    assert isinstance(caught.value, BadInput)


def test_a_name_that_is_none_is_answered_with_all_there_are() -> None:
    with pytest.raises(
        BadInput, match="property: 'colour' cannot be used; use one of audiovm, auto_cleanup, autostart"
    ):
        find_property("colour")
