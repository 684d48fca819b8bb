"""A domain as the network of others: real guests, one of which forwards what the others send."""

import asyncio
import os
import re
import shutil
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from qubes_manager.backend.domains.metadata import MetadataEdit
from qubes_manager.backend.guests.tiny_guest import TinyGuest
from qubes_manager.backend.host.private_daemon import PrivateDaemon
from qubes_manager.core.domain import DomainKey
from qubes_manager.core.errors import QubesManagerError, Refused
from qubes_manager.core.firewall.dns import DNS4
from qubes_manager.core.firewall.firewall import Firewall
from qubes_manager.network.addresses import client_addresses, client_numbers, guest_network
from qubes_manager.network.host import nameserver
from qubes_manager.network.upstream import NOT_RUNNING
from qubes_manager.services.hosts.domain_access import actions_on
from tests.integration.conftest import Run, World, remove_domain
from tests.integration.test_network import (
    bring_up,
    keeper_of,
    make_net_domain,
    python,
    reaches,
    set_rules,
    state_of,
    tell,
)
from tests.network.outside import PORT, Outside, outside
from tests.python_guest import with_files
from tests.waiting import soon

PROVIDER, OTHER, CLIENT, SECOND = "net-gate", "net-gate-2", "net-client", "net-client-2"


@pytest.fixture(scope="module")
def gate_guest(python_guest: TinyGuest, tmp_path_factory: pytest.TempPathFactory) -> TinyGuest:
    return build_gate_guest(python_guest, tmp_path_factory.mktemp("gate"))


def build_gate_guest(python_guest: TinyGuest, folder: Path) -> TinyGuest:
    """The tiny guest with what forwards: nft, as this machine has it."""
    nft = Path(shutil.which("nft", path="/usr/sbin:/sbin:/usr/bin") or "nft").resolve()
    listing = subprocess.run(["ldd", nft], capture_output=True, check=True, text=True).stdout
    files = {f"lib/{Path(name).name}": Path(name).read_bytes() for name in re.findall(r"=> (/\S+)", listing)}
    return with_files(python_guest, folder, files | {"usr/sbin/nft": nft.read_bytes()})


@pytest.fixture(scope="module")
def there() -> Iterator[Outside]:
    with outside() as found:
        yield found


async def make_gate(world: World, uri: str, guest: TinyGuest, name: str) -> DomainKey:
    key = await make_net_domain(world, uri, guest, name, start=False)
    await world.properties.set_provides_network(key, True)
    await world.lifecycle.start(key)
    await forward(world, key)
    return key


async def forward(world: World, key: DomainKey) -> None:
    """Let a provider do what udev does in a Debian."""
    modules = "crc32c_generic nft_chain_nat nft_masq nft_ct"
    assert await tell(world, key, f"for name in {modules}; do modprobe $name; done") == ""
    await bring_up(world, key)
    said = await tell(world, key, "PATH=$PATH:/usr/sbin /usr/lib/qubes-manager/provide-network && echo done")
    assert said == "done\n"


@pytest.fixture(scope="module")
def domains(daemon: PrivateDaemon, gate_guest: TinyGuest, python_guest: TinyGuest, there: Outside) -> Iterator[None]:
    """Two domains, the first of which is to be the network of the second; both run."""

    async def make() -> None:
        world = World(daemon.uri)
        await world.hosts.load(daemon.uri)
        await make_gate(world, daemon.uri, gate_guest, PROVIDER)
        client = await make_net_domain(world, daemon.uri, python_guest, CLIENT, start=False)
        await world.properties.set_netvm(client, PROVIDER)
        await world.lifecycle.start(client)
        await bring_up(world, client)
        await world.hosts.close()

    asyncio.run(make())
    yield
    for name in (CLIENT, PROVIDER):
        remove_domain(daemon.uri, name)


@pytest.fixture
async def gate(world: World, domains: None) -> DomainKey:
    """The one that is the network of the other."""
    key = (await world.appears(PROVIDER)).key
    if await world.lifecycle.start(key):
        await forward(world, key)
    await world.firewalls.change(key, lambda _before: Firewall())
    return key


@pytest.fixture
async def client(world: World, gate: DomainKey) -> DomainKey:
    """The other."""
    key = (await world.appears(CLIENT)).key
    await world.properties.set_netvm(key, PROVIDER)
    if await world.lifecycle.start(key):
        await bring_up(world, key)
    await world.firewalls.change(key, lambda _before: Firewall())
    return key


async def until_reaches(world: World, key: DomainKey, place: tuple[str, int]) -> None:
    """On a busy machine a connection may take longer than who tries it has patience."""
    async with soon():
        while not await reaches(world, key, place):
            await asyncio.sleep(0.2)


async def is_connected(world: World, key: DomainKey) -> None:
    async with soon():
        while (await state_of(world, key)).trouble:
            await asyncio.sleep(0.2)


async def test_what_a_domain_sends_goes_through_its_network_domain(
    world: World, there: Outside, gate: DomainKey, client: DomainKey, run: Run
) -> None:
    await is_connected(world, client)
    assert await reaches(world, client, (there.address, PORT)) == {there.address: ["SOCK_STREAM", "SOCK_DGRAM"]}
    before = (await state_of(world, gate)).counts[0][0]
    await reaches(world, client, (there.address, PORT))
    assert (await state_of(world, gate)).counts[0][0] > before
    tree = await asyncio.to_thread(run, "qvm-ls", "--tree", "--format", "network", PROVIDER, CLIENT)
    assert [line.split()[0] for line in tree.stdout.splitlines()] == ["NAME", PROVIDER, f"└─{CLIENT}"]
    # The rules of either hold.
    await set_rules(world, gate, "accept specialtarget=dns")
    assert await reaches(world, client, (there.address, PORT)) == {}
    await set_rules(world, gate, "accept")
    await until_reaches(world, client, (there.address, PORT))
    await set_rules(world, client, "accept specialtarget=dns")
    assert await reaches(world, client, (there.address, PORT)) == {}


async def test_without_its_network_domain_it_has_none_and_has_it_again_by_itself(
    world: World, there: Outside, gate: DomainKey, client: DomainKey
) -> None:
    place = (there.address, PORT)
    await is_connected(world, client)
    await until_reaches(world, client, place)
    await world.lifecycle.kill(gate)
    assert await reaches(world, client, place) == {}
    assert (await state_of(world, client)).trouble == NOT_RUNNING
    await world.lifecycle.start(gate)
    await forward(world, gate)
    await is_connected(world, client)
    await until_reaches(world, client, place)


async def test_whose_network_it_has_changes_while_it_runs(
    world: World, there: Outside, gate: DomainKey, client: DomainKey
) -> None:
    place = (there.address, PORT)
    await is_connected(world, client)
    await set_rules(world, gate, "")
    assert await reaches(world, client, place) == {}
    await world.properties.set_netvm(client, "isolated")
    assert world.store.require(client).config.netvm == "isolated"
    await until_reaches(world, client, place)
    await world.properties.set_netvm(client, PROVIDER)
    assert world.store.require(client).config.netvm == PROVIDER
    await is_connected(world, client)
    assert await reaches(world, client, place) == {}
    await set_rules(world, gate, "accept")
    await until_reaches(world, client, place)


async def test_dns_goes_through_the_network_domain_too(world: World, gate: DomainKey, client: DomainKey) -> None:
    ask = (
        "import socket, struct\n"
        f"s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM); s.settimeout(5); s.connect(('{DNS4}', 53))\n"
        "s.send(struct.pack('>6H', 7, 0x100, 1, 0, 0, 0) + b'\\x07nowhere\\x07invalid\\0\\0\\1\\0\\1')\n"
        "try: print(len(s.recv(500)) > 12)\n"
        "except OSError: print(False)\n"
    )
    await is_connected(world, client)
    heard = (await state_of(world, gate)).counts[0][0]
    answered = await python(world, client, ask)
    assert (await state_of(world, gate)).counts[0][0] > heard
    await set_rules(world, gate, "drop specialtarget=dns\naccept")
    assert await python(world, client, ask) == "False\n"
    # Where this machine has no resolver nobody answers, whatever the way.
    assert answered == ("True\n" if nameserver() else "False\n")


async def test_domains_of_one_network_do_not_see_each_other(
    world: World, daemon: PrivateDaemon, python_guest: TinyGuest, gate: DomainKey, client: DomainKey
) -> None:
    other = await make_net_domain(world, daemon.uri, python_guest, SECOND, start=False)
    try:
        await world.properties.set_netvm(other, PROVIDER)
        await world.lifecycle.start(other)
        await bring_up(world, other)
        await is_connected(world, other)
        await is_connected(world, client)
        serve = (
            "import os, socket\nserver = socket.create_server(('0.0.0.0', 9000))\n"
            "if not os.fork():\n"
            "    os.setsid(); os.closerange(0, 3)\n"
            "    while True: server.accept()[0].sendall(b'hello')\n"
        )
        await python(world, other, serve)
        await python(world, gate, serve)
        await set_rules(world, client, "accept", home=True)
        number = next(client_numbers(other.uuid))
        gateway = guest_network(gate.uuid)
        places = [
            client_addresses(number)[0],
            client_addresses(next(client_numbers(client.uuid)))[0],
            str(guest_network(other.uuid).guest),
            str(gateway.gateway),
            str(gateway.guest),
            "10.139.2.1",
            "10.139.2.2",
            "10.140.0.1",
        ]
        assert await reaches(world, client, *((place, PORT) for place in places)) == {}
        # Nor does their network reach them.
        assert await reaches(world, gate, (client_addresses(number)[0], PORT)) == {}
    finally:
        remove_domain(daemon.uri, SECOND)


async def test_none_is_its_own_network_and_what_others_need_stays(
    world: World, gate: DomainKey, client: DomainKey
) -> None:
    with pytest.raises(QubesManagerError, match=f"“{CLIENT}” provides no network"):
        await world.properties.set_netvm(gate, CLIENT)
    await world.properties.set_provides_network(client, True)
    try:
        with pytest.raises(Refused, match=f"“{PROVIDER}” would be its own network: {PROVIDER} → {CLIENT} → {PROVIDER}"):
            await world.properties.set_netvm(gate, CLIENT)
    finally:
        await world.properties.set_provides_network(client, False)
    with pytest.raises(Refused, match=f"is the network of {CLIENT}, so it stays that"):
        await world.properties.set_provides_network(gate, False)
    with pytest.raises(Refused, match=f"is the network of {CLIENT}, so its own cannot be “none”"):
        await world.properties.set_netvm(gate, "")
    await world.lifecycle.kill(gate)
    with pytest.raises(Refused, match=f"“{PROVIDER}” is the netvm of {CLIENT}"):
        await world.removal.remove(gate)


async def test_it_is_started_with_what_needs_it(
    world: World, daemon: PrivateDaemon, python_guest: TinyGuest, gate: DomainKey, client: DomainKey
) -> None:
    other = await make_net_domain(world, daemon.uri, python_guest, SECOND, start=False)
    await world.properties.set_netvm(other, PROVIDER)
    await world.lifecycle.kill(client)
    await world.lifecycle.kill(gate)
    # Both at once, as those who choose both rows do.
    await asyncio.gather(world.lifecycle.start(client), world.lifecycle.start(other))
    remove_domain(daemon.uri, SECOND)
    await world.hosts.refresh(gate)
    assert world.existing(PROVIDER).state.is_active
    for key, prepare in ((gate, forward), (client, bring_up)):
        await prepare(world, key)


async def test_what_goes_on_from_its_saved_state_has_the_network_that_it_had_last(
    world: World, there: Outside, gate: DomainKey, client: DomainKey, daemon: PrivateDaemon
) -> None:
    # Started with this machine's network, changed while it runs, saved and restored by another program.
    await world.properties.set_netvm(client, "isolated")
    await world.lifecycle.kill(client)
    await world.lifecycle.start(client)
    await bring_up(world, client)
    await set_rules(world, gate, "")
    await world.properties.set_netvm(client, PROVIDER)
    await is_connected(world, client)
    noted = daemon.folder / f"data/qubes-manager/network/{client.uuid}.rules"

    async def save(name: str = CLIENT) -> None:
        words = ["virsh", "-c", daemon.uri, "managedsave", name]
        await asyncio.to_thread(subprocess.run, words, check=True, capture_output=True)

    await save()
    words = ["virsh", "-c", daemon.uri, "start", CLIENT]
    await asyncio.to_thread(subprocess.run, words, check=True, capture_output=True)
    await world.hosts.refresh(client)
    assert (await state_of(world, client)).via == gate.uuid
    assert await reaches(world, client, (there.address, PORT)) == {}
    # What nobody could note leads nowhere, and not by the way of its first start; the manager knows better.
    await save()
    noted.unlink()
    await asyncio.to_thread(subprocess.run, words, check=True, capture_output=True)
    await world.hosts.refresh(client)
    state = await state_of(world, client)
    assert (state.via, state.rules) == ("", "")
    assert state.trouble
    assert await reaches(world, client, (there.address, PORT)) == {}
    await save()
    await set_rules(world, gate, "accept")
    await world.lifecycle.start(client)
    await is_connected(world, client)
    await until_reaches(world, client, (there.address, PORT))


async def test_what_is_set_for_later_does_not_lead_a_running_domain_another_way(
    world: World, there: Outside, gate: DomainKey, client: DomainKey
) -> None:
    await set_rules(world, gate, "")
    await world.properties.set_netvm(client, "")
    # Any other change is told to the running one.
    await set_rules(world, client, "accept expire=+3000")
    await world.properties.set_label(client, "red")
    await world.firewalls.reload(client)
    assert (await state_of(world, client)).via == gate.uuid
    # Nor does “open”, for which its record is another one by now; the row says what it runs with.
    await world.properties.set_netvm(client, "open")
    await world.properties.set_label(client, "green")
    assert world.store.require(client).config.via == gate.uuid
    assert (await world.properties.stored(client)).config.netvm == "open"
    await set_rules(world, client, "accept expire=+2000")
    assert (await state_of(world, client)).via == gate.uuid
    assert await reaches(world, client, (there.address, PORT)) == {}


async def test_without_its_keeper_it_has_no_way_out_and_goes_on_as_it_was_set(
    world: World, daemon: PrivateDaemon, there: Outside, gate: DomainKey, client: DomainKey
) -> None:
    await is_connected(world, client)
    place = (there.address, PORT)
    await until_reaches(world, client, place)
    noted = daemon.folder / f"data/qubes-manager/network/{client.uuid}.rules"
    assert f"via={gate.uuid}" in noted.read_text()
    os.kill(keeper_of(client.uuid), signal.SIGKILL)
    async with soon():
        while await reaches(world, client, place):
            await asyncio.sleep(0.2)
    await world.properties.set_netvm(client, "isolated")
    assert "via=" not in noted.read_text()
    await world.properties.set_netvm(client, PROVIDER)
    assert f"via={gate.uuid}" in noted.read_text()
    await world.lifecycle.kill(client)


async def test_who_is_its_own_network_by_others_doing_is_not_started(
    world: World, gate: DomainKey, client: DomainKey
) -> None:
    for key in (client, gate):
        await world.lifecycle.kill(key)

    def point(edit: MetadataEdit) -> None:
        edit.set_text("network", CLIENT, uuid=client.uuid)

    actions = actions_on(world.hosts, world.store.require(gate))
    await actions.edit_metadata(point)
    await world.hosts.refresh(gate)
    try:
        for key in (client, gate):
            with pytest.raises(Refused, match="would be its own network"):
                await world.lifecycle.start(key)
    finally:
        await actions.edit_metadata(lambda edit: edit.set_text("network", None))
        await world.hosts.refresh(gate)
