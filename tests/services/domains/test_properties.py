"""What may be set of a domain, on the test driver."""

import asyncio
import time
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import replace

import libvirt
import pytest

from qubes_manager.backend.domains.domain_actions import start_transient
from qubes_manager.backend.domains.new_domain import NewDomain
from qubes_manager.core.domain import Disposal, DomainClass, DomainConfig, DomainKey, DomainState
from qubes_manager.core.errors import BadInput, Overtaken, QubesManagerError, Refused, StateIsSaved
from qubes_manager.core.labels import LABELS
from qubes_manager.core.values import MAX_VCPUS
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


async def test_what_a_saved_domain_goes_on_with_stays_and_what_is_ours_alone_may_change(world: World) -> None:
    key = world.named("app").key
    await world.hosts.connection(world.uri).on_domain(key.uuid, "save", lambda domain: domain.managedSave())
    await world.hosts.refresh(key)
    before = world.named("app").config
    changes: tuple[Change, ...] = (
        lambda p, k: p.set_vcpus(k, 4),
        lambda p, k: p.set_memory(k, 64),
        lambda p, k: p.set_maximum_memory(k, 64),
        lambda p, k: p.set_netvm(k, "open"),
        lambda p, k: p.set_virt_mode(k, "kvm"),
        lambda p, k: p.set_template(k, "other"),
        lambda p, k: p.rename(k, "new"),
    )
    for change in changes:
        with pytest.raises(StateIsSaved, match="“app” is saved, to go on as it was: start it and shut it down first"):
            await change(world.properties, key)
    assert (world.named("app").config, world.named("app").state) == (before, DomainState.SAVED)
    await world.properties.set_label(key, "red")
    await world.properties.change_tags(key, ["b"])
    await world.properties.set_notes(key, "kept")
    config = world.named("app").config
    assert (config.label, config.notes) == (LABELS["red"], "kept")
    assert config.tags == {"a", "b"}
    assert world.named("app").state is DomainState.SAVED


@pytest.mark.parametrize(
    ("name", "change", "error", "reason"),
    [
        ("own", lambda p, k: p.set_label(k, "pink"), BadInput, "label: 'pink' cannot be used; use one of red"),
        ("own", lambda p, k: p.change_tags(k, {"ok", "a b"}), BadInput, "tag: 'a b' cannot be used"),
        ("own", lambda p, k: p.set_feature(k, "a b", "1"), BadInput, "feature: 'a b' cannot be used"),
        ("own", lambda p, k: p.set_feature(k, "a", "\x1b"), BadInput, "feature a: .* use at most 255 printable"),
        ("own", lambda p, k: p.set_feature(k, "a", "x" * 256), BadInput, "feature a: .* use at most 255 printable"),
        ("own", lambda p, k: p.set_menu(k, ["../x"]), BadInput, "application: '../x' cannot be used"),
        ("own", lambda p, k: p.set_favourite(k, "a/b", True), BadInput, "application: 'a/b' cannot be used"),
        ("own", lambda p, k: p.set_default_dispvm(k, "nobody"), BadInput, "default_dispvm: 'nobody' cannot be used"),
        ("own", lambda p, k: p.set_template(k, "debian"), Refused, "“own” owns its system; only an AppVM has a"),
        ("app", lambda p, k: p.set_template(k, "own"), BadInput, "template: 'own' cannot be used; name a TemplateVM"),
        ("app", lambda p, k: p.set_template(k, "nobody"), BadInput, "template: 'nobody' cannot be used; name a domain"),
        ("own", lambda p, k: p.set_template_for_dispvms(k, True), Refused, "“own” is no AppVM"),
        ("own", lambda p, k: p.set_memory(k, 0), BadInput, "memory: '0' cannot be used; give 1 to 16777216 MiB"),
        ("own", lambda p, k: p.set_maximum_memory(k, 0), BadInput, "maxmem: '0' cannot be used; give 1 to 16777216"),
        ("own", lambda p, k: p.set_vcpus(k, 0), BadInput, "vcpus: '0' cannot be used; its machine takes 1 to"),
        (
            "own",
            lambda p, k: p.set_netvm(k, "lan"),
            BadInput,
            "netvm: 'lan' .* the host’s networks are default;",
        ),
        (
            "own",
            lambda p, k: p.set_netvm(k, "hostdev:1"),
            BadInput,
            "netvm: 'hostdev:1' cannot be used; use isolated, open, a",
        ),
        ("own", lambda p, k: p.set_virt_mode(k, "xen"), BadInput, "virt_mode: 'xen' cannot be used; use kvm or qemu"),
        ("own", lambda p, k: p.set_kernelopts(k, "x"), Refused, "“own” boots by itself"),
        ("own", lambda p, k: p.set_notes(k, "x" * (MAX_NOTES + 1)), BadInput, "notes: '256001 characters' cannot"),
        ("own", lambda p, k: p.rename(k, "app"), Refused, "there is a domain “app” already"),
        ("own", lambda p, k: p.rename(k, "1st"), BadInput, "name: '1st' cannot be used"),
        ("app", lambda p, k: p.rename(k, "new"), Refused, "“app” is running: shut it down first"),
        ("debian", lambda p, k: p.set_autostart(k, True), Refused, "“debian” is a template: domains start without it"),
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
    await world.properties.set_default_dispvm(world.named("app").key, "none")
    config = world.named("app").config
    assert (config.default_dispvm, config.default_dispvm_uuid) == ("none", "")
    await world.properties.set_default_dispvm(world.named("app").key, "")
    config = world.named("app").config
    assert (config.default_dispvm, config.default_dispvm_uuid, set(config.tags)) == ("", "", {"a"})


async def test_a_rename_takes_the_options_of_its_windows_along(driver_world: MakeWorld) -> None:
    world = await driver_world([NewDomain("own", DomainConfig())])
    world.gui_options.put({"border_width": 9}, world.named("own"))
    own = world.named("own").key
    await world.properties.rename(own, "own")
    await world.properties.rename(own, "mine")
    assert await world.names() == {"mine"}
    options, _trouble = world.gui_options.load()
    assert options.value("border_width", own.uuid) == 9
    assert "name: mine" in world.gui_options.path.read_text()


class Foreign:
    """A domain on the QEMU driver that nobody of ours made."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.key = DomainKey(world.uri, str(uuid.uuid4()))

    async def define(self, body: str = "", devices: str = "", memory: str = "<memory unit='MiB'>64</memory>") -> None:
        xml = f"""<domain type='qemu'><name>foreign</name><uuid>{self.key.uuid}</uuid>{memory}{body}
        <os><type arch='x86_64' machine='q35'>hvm</type></os><devices>{devices}</devices></domain>"""
        await self.world.hosts.connection(self.world.uri).call("define", lambda raw: raw.defineXML(xml))
        await self.world.hosts.refresh_host(self.world.uri)

    async def xml(self) -> str:
        connection = self.world.hosts.connection(self.world.uri)
        flag = libvirt.VIR_DOMAIN_XML_INACTIVE
        return str(await connection.on_domain(self.key.uuid, "read", lambda domain: domain.XMLDesc(flag)))

    async def undefine(self) -> None:
        connection = self.world.hosts.connection(self.world.uri)
        await connection.on_domain(self.key.uuid, "undefine", lambda domain: domain.undefine())


@pytest.fixture
async def foreign(qemu_world: World) -> AsyncIterator[Foreign]:
    made = Foreign(qemu_world)
    yield made
    await made.undefine()


CARD = """<interface type='bridge'><source bridge='br0'/><mac address='52:54:00:00:00:01'/><model type='e1000e'/>
<mtu size='1400'/><link state='down'/></interface>"""
SERVER = """<interface type='server'><source address='127.0.0.1' port='5558'/><mac address='52:54:00:00:00:02'/>
</interface>"""


@pytest.mark.parametrize("cards", [CARD, SERVER, CARD + SERVER, ""], ids=["bridge", "server", "both", "none"])
async def test_a_network_that_is_given_back_as_it_was_read_changes_nothing(foreign: Foreign, cards: str) -> None:
    await foreign.define(devices=cards)
    before, properties = await foreign.xml(), foreign.world.properties
    await properties.set_netvm(foreign.key, (await properties.stored(foreign.key)).config.netvm)
    assert await foreign.xml() == before


async def test_several_interfaces_are_taken_away_only_by_who_says_so(foreign: Foreign) -> None:
    await foreign.define(devices=CARD + SERVER)
    before, properties = await foreign.xml(), foreign.world.properties
    with pytest.raises(Refused, match=r"netvm of “foreign” is still bridge:br0, not none: it has 2 network interf"):
        await properties.set_netvm(foreign.key, "")
    assert await foreign.xml() == before
    await properties.set_netvm(foreign.key, "open")
    assert [i.netvm for i in (await properties.stored(foreign.key)).config.interfaces] == [
        "open",
        "server:127.0.0.1:5558",
    ]
    await properties.set_netvm(foreign.key, "", all_interfaces=True)
    assert (await properties.stored(foreign.key)).config.interfaces == ()


NUMA = "<cpu><numa><cell id='0' cpus='0-3' memory='64' unit='MiB'/></numa></cpu>"
SLOTS = f"<maxMemory slots='4' unit='MiB'>1024</maxMemory>{NUMA}"
ONE_OF_FOUR = "<vcpu current='1'>4</vcpu><vcpus><vcpu id='0' enabled='yes' hotpluggable='no'/>" + "".join(
    f"<vcpu id='{n}' enabled='no' hotpluggable='yes'/>" for n in (1, 2, 3)
)
TOPOLOGY = "<vcpu>4</vcpu><cpu><topology sockets='2' cores='2' threads='1'/></cpu>"


@pytest.mark.parametrize(
    ("body", "change", "reason"),
    [
        (
            f"<vcpu>4</vcpu>{NUMA}",
            lambda p, k: p.set_memory(k, 300),
            "memory of “foreign” is still 64, not 300: its NUMA cells have 64 MiB together: change that with",
        ),
        (f"<vcpu>4</vcpu>{SLOTS}", lambda p, k: p.set_memory(k, 300), "memory of .* 64, not 300: its NUMA cells"),
        (f"<vcpu>4</vcpu>{NUMA}", lambda p, k: p.set_maximum_memory(k, 32), "maxmem of .* 64, not 32: its NUMA cells"),
        (f"<vcpu>4</vcpu>{NUMA}", lambda p, k: p.set_vcpus(k, 2), "vcpus of .* 4, not 2: its NUMA cells have the proc"),
        (f"{ONE_OF_FOUR}</vcpus>", lambda p, k: p.set_vcpus(k, 6), "vcpus of .* 1, not 6: its <vcpus> element says"),
        (f"{ONE_OF_FOUR}</vcpus>", lambda p, k: p.set_vcpus(k, 4), "vcpus of .* 1, not 4: its <vcpus> element says"),
        (
            TOPOLOGY,
            lambda p, k: p.set_vcpus(k, 6),
            "vcpus of .* 4, not 6: its processor topology is 2 sockets",
        ),
        (
            "",
            lambda p, k: p.set_vcpus(k, MAX_VCPUS),
            f"vcpus: '{MAX_VCPUS}' cannot be used; its machine takes 1 to [0-9]{{2,4}}$",
        ),
    ],
    ids=["numa", "memory slots", "numa maximum", "numa processors", "more than on", "others on", "topology", "machine"],
)
async def test_what_would_have_no_effect_is_an_error_that_says_why(
    foreign: Foreign, body: str, change: Change, reason: str
) -> None:
    await foreign.define(body)
    before = await foreign.xml()
    with pytest.raises((Refused, BadInput), match=reason):
        await change(foreign.world.properties, foreign.key)
    assert await foreign.xml() == before


async def test_what_libvirt_takes_and_does_not_keep_is_an_error_for_whatever_reason(
    foreign: Foreign, monkeypatch: pytest.MonkeyPatch
) -> None:
    # As if nothing were known of NUMA.
    monkeypatch.setattr("qubes_manager.backend.domains.domain_xml.refuse_memory", lambda *_: None)
    await foreign.define(f"<vcpu>4</vcpu>{NUMA}")
    with pytest.raises(Refused, match="memory of “foreign” is still 64, not 300: “foreign” was not changed"):
        await foreign.world.properties.set_memory(foreign.key, 300)


async def test_a_domain_without_a_balloon_has_one_memory(foreign: Foreign) -> None:
    await foreign.define(devices="<memballoon model='none'/>")
    properties = foreign.world.properties
    for change in (properties.set_memory(foreign.key, 32), properties.set_maximum_memory(foreign.key, 128)):
        await change
    config = (await properties.stored(foreign.key)).config
    assert (config.initial_memory_kib, config.maximum_memory_kib) == (128 << 10, 128 << 10)


async def test_a_value_that_is_there_in_another_unit_is_left_alone(foreign: Foreign) -> None:
    await foreign.define(memory="<memory unit='KiB'>70000</memory>")
    before = await foreign.xml()
    await foreign.world.properties.set_memory(foreign.key, 70000 // 1024)
    assert await foreign.xml() == before


@pytest.mark.parametrize(
    ("theirs", "ours", "reason"),
    [
        (
            lambda p, k: p.set_label(k, "red"),
            lambda p, k: p.set_label(k, "blue"),
            "label of “app” was none",
        ),
        (lambda p, k: p.set_template(k, "other"), lambda p, k: p.set_template(k, "debian"), "template of “app”"),
        (lambda p, k: p.set_default_dispvm(k, "app"), lambda p, k: p.set_default_dispvm(k, "own"), "default_dispvm of"),
        (
            lambda p, k: p.set_memory(k, 500),
            lambda p, k: p.set_memory(k, 600),
            "memory of “app” was 2048",
        ),
        (lambda p, k: p.set_maximum_memory(k, 4000), lambda p, k: p.set_maximum_memory(k, 5000), "maxmem of “app” was"),
        (lambda p, k: p.set_vcpus(k, 3), lambda p, k: p.set_vcpus(k, 1), "vcpus of “app” was 2 .* is 3 now"),
        (lambda p, k: p.set_netvm(k, "open"), lambda p, k: p.set_netvm(k, "default"), "netvm of “app” was none"),
        (
            lambda p, k: p.set_notes(k, "theirs"),
            lambda p, k: p.set_notes(k, "ours"),
            "notes of “app” was none",
        ),
        (lambda p, k: p.rename(k, "theirs"), lambda p, k: p.rename(k, "ours"), "“app” is called “theirs” now"),
    ],
    ids=["label", "template", "dispvm", "memory", "maxmem", "vcpus", "netvm", "notes", "name"],
)
async def test_what_others_have_set_since_it_was_shown_is_not_overwritten(
    driver_world: MakeWorld, theirs: Change, ours: Change, reason: str
) -> None:
    world = await driver_world(DOMAINS)
    key = world.named("app").key
    shown = await world.properties.stored(key)
    await theirs(world.properties, key)
    world.store.put([replace(world.store.require(key), name=await current_name(world, key))])
    before = await world.properties.stored(key)
    with pytest.raises(Overtaken, match=reason) as refused:
        await ours(world.properties.since(shown), key)
    assert await world.properties.stored(key) == before
    # What was typed is not lost with the form.
    assert refused.value.details == ("ours" if "notes" in reason else "")
    # The same wish is no quarrel, and what others set elsewhere stays.
    if "called" not in reason:
        await theirs(world.properties.since(shown), key)
        await world.properties.since(shown).set_include_in_backups(key, False)
        now = await world.properties.stored(key)
        assert replace(now.config, include_in_backups=True) == before.config


async def current_name(world: World, key: DomainKey) -> str:
    """A handle of libvirt's keeps the name that it came with."""
    found = await world.hosts.connection(world.uri).call("find", lambda raw: raw.lookupByUUIDString(key.uuid))
    return str(found.name())


async def test_a_host_that_takes_long_to_tell_its_limits_keeps_nobody_waiting(
    foreign: Foreign, monkeypatch: pytest.MonkeyPatch
) -> None:
    await foreign.define()
    properties = foreign.world.properties
    known = await properties.most_vcpus(foreign.key)
    assert 16 <= known < MAX_VCPUS
    monkeypatch.setattr("qubes_manager.backend.domains.domain_actions.most_vcpus", lambda _domain: time.sleep(1))
    monkeypatch.setattr("qubes_manager.backend.domains.domain_actions._LIMITS_TIMEOUT", 0.01)
    assert await properties.most_vcpus(foreign.key) == MAX_VCPUS


async def test_of_two_who_write_other_notes_at_once_one_hears_of_it(world: World) -> None:
    shown = world.named("own")
    setters = [world.properties.since(shown) for _ in range(2)]
    found = await asyncio.gather(
        *(p.set_notes(shown.key, text) for p, text in zip(setters, ("mine", "yours"), strict=True)),
        return_exceptions=True,
    )
    assert [type(error) for error in found if error] == [Overtaken]


async def test_a_disposable_that_runs_gets_a_title_in_the_place_of_a_name(world: World) -> None:
    made = NewDomain("disp7", DomainConfig(klass=DomainClass.DISPOSABLE, disposal=Disposal.KEPT), str(uuid.uuid4()))
    key = DomainKey(world.uri, await start_transient(world.hosts.connection(world.uri), made.name, made.xml()))
    await world.hosts.refresh(key)
    with pytest.raises(Refused, match="keeps its name: libvirt renames no domain that runs"):
        await world.properties.rename(key, "bank")
    await world.properties.set_title(key, "Letter of the bank")
    domain = world.store.require(key)
    assert (domain.name, domain.shown_name) == ("disp7", "Letter of the bank (disp7)")
    for title, reason in (("x" * 41, "at most 40"), ("a\nb", "one line"), (" a", "blanks"), ("own", "already")):
        with pytest.raises(QubesManagerError, match=reason):
            await world.properties.set_title(key, title)
    await world.properties.set_title(key, "disp7")
    assert world.store.require(key).shown_name == "disp7"
    with pytest.raises(Refused, match="“own” needs no title"):
        await world.properties.set_title(world.named("own").key, "mine")
