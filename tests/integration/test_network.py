"""Domains' networks: real guests behind real rules, with real listeners wherever a guest could look for some."""

import asyncio
import contextlib
import json
import os
import signal
import socket
import subprocess
import threading
import time
from collections.abc import AsyncIterator, Iterator
from dataclasses import replace
from pathlib import Path

import libvirt
import pytest

from qubes_manager.backend.domains.domain_xml import DomainEdit
from qubes_manager.backend.guests.tiny_guest import TinyGuest
from qubes_manager.backend.host.private_daemon import PrivateDaemon
from qubes_manager.core.domain import DomainKey
from qubes_manager.core.errors import Refused
from qubes_manager.core.firewall.control import NetworkState
from qubes_manager.core.firewall.dns import DNS4
from qubes_manager.core.firewall.firewall import Firewall, parse_firewall
from qubes_manager.network.addresses import guest_network
from qubes_manager.network.ruleset import MOST_CONNECTIONS
from qubes_manager.services.hosts.domain_access import actions_on
from tests.integration.conftest import Run, World, remove_domain
from tests.network.outside import OTHER_PORT, PORT, Outside, host_addresses, outside
from tests.waiting import GUEST_PATIENCE, shell_wait, soon, wait_until

pytestmark = [
    pytest.mark.guest,
    pytest.mark.skipif(os.geteuid() != 0, reason="a machine beyond this one is made by root alone"),
]
NAMES = ("net-a", "net-b")
# Brings the card up as a system would.
_UP = f"""
{shell_wait("[ -e /sys/class/net/eth0 ]")}
ip link set lo up; ip link set eth0 up
cat >/tmp/lease <<'END'
#!/bin/sh
[ "$1" = bound ] || exit 0
ip addr flush dev eth0 scope global
ip addr add $ip/$mask dev $interface; ip route replace default via $router
for server in $dns; do echo nameserver $server; done >/etc/resolv.conf
END
chmod +x /tmp/lease
udhcpc -n -q -t 60 -T 1 -i eth0 -s /tmp/lease
"""
# Tells for each place whether anybody answers there: ADDRESS PORT …, by TCP and by UDP.
_TRY = """
import json, socket, sys
from concurrent.futures import ThreadPoolExecutor

def reached(place):
    host, port = place
    found = []
    for kind in (socket.SOCK_STREAM, socket.SOCK_DGRAM):
        try:
            family, _kind, _protocol, _name, address = socket.getaddrinfo(host, port, type=kind)[0]
            with socket.socket(family, kind) as trying:
                trying.settimeout(3)
                trying.connect(address)
                trying.send(b"echo hello")
                if trying.recv(100):
                    found.append(kind.name)
        except OSError:
            pass
    return [host, found]

places = json.loads(sys.argv[1])
print(json.dumps(list(ThreadPoolExecutor(40).map(reached, places))))
"""


class Net:
    """Two running domains with networks of their own, and a machine beyond."""

    def __init__(self, daemon: PrivateDaemon, there: Outside) -> None:
        self.daemon = daemon
        self.there = there

    def key(self, name: str) -> DomainKey:
        connection = libvirt.open(self.daemon.uri)
        try:
            return DomainKey(self.daemon.uri, connection.lookupByName(name).UUIDString())
        finally:
            connection.close()


@pytest.fixture(scope="module")
def net(daemon: PrivateDaemon, python_guest: TinyGuest) -> Iterator[Net]:
    async def make() -> None:
        world = World(daemon.uri)
        await world.hosts.load(daemon.uri)
        for name in NAMES:
            await make_net_domain(world, daemon.uri, python_guest, name)
        await world.hosts.close()

    with outside() as there:
        asyncio.run(make())
        yield Net(daemon, there)
        for name in NAMES:
            remove_domain(daemon.uri, name)


async def make_net_domain(world: World, uri: str, guest: TinyGuest, name: str, *, start: bool = True) -> DomainKey:
    key = await world.demo.create_one(uri, guest, name, "green", frozenset())

    def enlarge(document: DomainEdit) -> None:
        document.set_maximum_memory(384 << 10)
        document.set_initial_memory(384 << 10)

    await actions_on(world.hosts, world.store.require(key)).edit_config(enlarge)
    await world.properties.set_netvm(key, "isolated")
    if start:
        await world.lifecycle.start(key)
        await bring_up(world, key)
    return key


async def bring_up(world: World, key: DomainKey) -> None:
    said = bytearray()
    assert await world.commands.run(key, _UP, user="root", out=said.extend, err=said.extend) == 0, said.decode()


async def tell(world: World, key: DomainKey, line: str) -> str:
    said = bytearray()
    await world.commands.run(key, line, user="root", out=said.extend, err=said.extend)
    return said.decode()


async def python(world: World, key: DomainKey, program: str, *words: str) -> str:
    out, errors = bytearray(), bytearray()
    quoted = " ".join(f"'{word}'" for word in words)
    line = f"python3 - {quoted}"
    code = await world.commands.run(key, line, user="root", data=program.encode(), out=out.extend, err=errors.extend)
    assert code == 0, errors.decode()
    return out.decode()


async def reaches(world: World, key: DomainKey, *places: tuple[str, int]) -> dict[str, list[str]]:
    """Which places answer, and by what."""
    return {host: kinds for host, kinds in json.loads(await python(world, key, _TRY, json.dumps(places))) if kinds}


async def set_rules(world: World, key: DomainKey, text: str, *, home: bool = False) -> str:
    wanted = parse_firewall(text, time.time(), home=home)
    return await world.firewalls.change(key, lambda _before: wanted)


async def state_of(world: World, key: DomainKey) -> NetworkState:
    state = await world.firewalls.state(key)
    assert state, "nobody keeps the network"
    return state


@pytest.fixture
async def one(world: World, net: Net) -> AsyncIterator[DomainKey]:
    """The first domain, which has the rules of a new one before and after."""
    domain = await world.appears(NAMES[0])
    assert await set_rules(world, domain.key, "accept") == ""
    yield domain.key
    await world.firewalls.change(domain.key, lambda _before: Firewall())


@contextlib.contextmanager
def listeners(addresses: list[str]) -> Iterator[dict[str, int]]:
    """Servers on addresses of this machine that say hello by TCP and UDP: their ports."""
    opened: list[socket.socket] = []
    ports = {}
    for address in addresses:
        family, _kind, _protocol, _name, place = socket.getaddrinfo(address, 0, type=socket.SOCK_STREAM)[0]
        with contextlib.suppress(OSError):
            server = socket.create_server(place, family=family)
            datagrams = socket.socket(family, socket.SOCK_DGRAM)
            opened += [server, datagrams]
            ports[address] = server.getsockname()[1]
            datagrams.bind((place[0], ports[address], *place[2:]))
            threading.Thread(target=_greet, args=(server,), daemon=True).start()
            threading.Thread(target=_reply, args=(datagrams,), daemon=True).start()
    yield ports
    for one in opened:
        one.close()


def _greet(server: socket.socket) -> None:
    with contextlib.suppress(OSError):
        while True:
            connection, _sender = server.accept()
            with connection, contextlib.suppress(OSError):
                connection.sendall(b"hello")


def _reply(datagrams: socket.socket) -> None:
    with contextlib.suppress(OSError):
        while True:
            _data, sender = datagrams.recvfrom(2000)
            datagrams.sendto(b"hello", sender)


async def test_a_guest_reaches_the_world_and_no_address_of_this_machine(world: World, net: Net, one: DomainKey) -> None:
    with listeners(host_addresses()) as ports:
        assert {"127.0.0.1", net.there.here} <= ports.keys()
        places = list(ports.items())
        # What the guest itself knows of its network, with the ports of all listeners.
        network = guest_network(one.uuid)
        known = [str(network.gateway), str(DNS4), "10.138.0.1", "10.138.0.2", "10.0.2.2", "169.254.169.254"]
        places += [(address, port) for address in known for port in ports.values()]
        for home in (False, True):
            await set_rules(world, one, "accept", home=home)
            found = await reaches(world, one, (net.there.address, PORT), (net.there.near, PORT), *places)
            # Who is on a link of this machine's is of the home network, whatever its address is.
            expected = [net.there.address, *([net.there.near] if home else [])]
            assert found == {address: ["SOCK_STREAM", "SOCK_DGRAM"] for address in expected}


async def test_nothing_listens_for_a_domain_on_this_machine(world: World, net: Net, one: DomainKey) -> None:
    await python(
        world,
        one,
        "import os, socket, time\n"
        "server = socket.create_server(('0.0.0.0', 9321))\n"
        "if not os.fork():\n    os.setsid(); os.closerange(0, 3); time.sleep(60)\n",
    )
    for address in host_addresses():
        with pytest.raises(OSError):
            socket.create_connection((address.partition("%")[0], 9321), 1).close()


async def test_domains_do_not_reach_each_other(world: World, net: Net, one: DomainKey) -> None:
    other = net.key(NAMES[1])
    address = str(guest_network(other.uuid).guest)
    serve = (
        "import os, socket\nserver = socket.create_server(('0.0.0.0', 9000))\n"
        "if not os.fork():\n"
        "    os.setsid(); os.closerange(0, 3)\n"
        "    while True: server.accept()[0].sendall(b'hello')\n"
    )
    await python(world, other, serve)
    assert await reaches(world, other, (address, PORT)) == {address: ["SOCK_STREAM"]}
    await set_rules(world, one, "accept", home=True)
    assert await reaches(world, one, (address, PORT)) == {}


async def test_rules_hold_at_once_and_cut_what_they_forbid_but_nothing_else(
    world: World, net: Net, one: DomainKey
) -> None:
    streams = (
        "import socket, sys, time\n"
        "kept = socket.create_connection((sys.argv[1], 9001)); kept.send(b'echo ')\n"
        "cut = socket.create_connection((sys.argv[1], 9000)); cut.send(b'zeros')\n"
        "cut.recv(1000); print('begun', flush=True)\n"
        "end = time.time() + 60\n"
        "try:\n    while time.time() < end: cut.recv(1 << 16)\n"
        "except ConnectionResetError: print('cut', flush=True)\n"
        "kept.settimeout(20); kept.send(b'still'); print(kept.recv(100).decode())\n"
    )
    running = asyncio.create_task(python(world, one, streams, net.there.address))
    async with asyncio.timeout(GUEST_PATIENCE):
        while (await state_of(world, one)).counts[0][1] < 200_000:
            assert not running.done(), await running
            await asyncio.sleep(0.2)
    assert await set_rules(world, one, f"accept {net.there.address} tcp {OTHER_PORT}") == ""
    assert (await running).split() == ["begun", "cut", "still"]
    assert await reaches(world, one, (net.there.address, PORT)) == {}
    state = await state_of(world, one)
    assert state.counts[0][0] > 0
    assert state.refused[0] > 0


async def test_who_only_listens_is_told_that_it_is_over(world: World, net: Net, one: DomainKey) -> None:
    listens = (
        "import socket, sys\n"
        "cut = socket.create_connection((sys.argv[1], 9000)); cut.send(b'drips')\n"
        "cut.recv(1); print('begun', flush=True)\n"
        "try:\n    while cut.recv(1000): pass\n"
        "except ConnectionResetError: print('cut', flush=True)\n"
    )
    running = asyncio.create_task(python(world, one, listens, net.there.address))
    async with asyncio.timeout(GUEST_PATIENCE):
        while (await state_of(world, one)).counts[0][1] < 1000:
            assert not running.done(), await running
            await asyncio.sleep(0.2)
    assert await set_rules(world, one, "") == ""
    async with asyncio.timeout(GUEST_PATIENCE):
        assert (await running).split() == ["begun", "cut"]


async def test_a_name_that_is_not_known_concerns_its_own_rule_only(world: World, net: Net, one: DomainKey) -> None:
    # The machine's own list of names is what everybody has; a name of it leads to where it says.
    await set_rules(world, one, f"accept nobody.invalid tcp\naccept {net.there.address}")
    assert await reaches(world, one, (net.there.address, PORT))
    async with soon():
        while not (state := await state_of(world, one)).troubles:
            await asyncio.sleep(0.2)
    assert state.troubles[0] == "nobody.invalid"
    assert state.troubles[1]


async def test_a_rule_that_expires_goes_by_itself(world: World, net: Net, one: DomainKey) -> None:
    await set_rules(world, one, f"accept {net.there.address} expire=+15")
    assert await reaches(world, one, (net.there.address, PORT))
    async with soon():
        while await reaches(world, one, (net.there.address, PORT)):
            await asyncio.sleep(0.5)
    await world.firewalls.change(one, lambda before: before)
    assert world.firewalls.of(one).rules == ()


async def test_what_is_refused_is_in_the_domains_log(world: World, net: Net, one: DomainKey) -> None:
    # A port that no other test is refused: a place is told anew after a while.
    refused = f"refused: tcp {net.there.address} port 9007"
    await set_rules(world, one, "accept specialtarget=dns")
    for _ in range(3):
        await reaches(world, one, (net.there.address, 9007))
    log = net.daemon.folder / f"data/qubes-manager/network/{one.uuid}.log"
    wait_until(lambda: log.exists() and refused in log.read_text())
    assert log.read_text().count(refused) == 1


async def test_two_hundred_changes_do_not_disturb_what_they_allow(world: World, net: Net, one: DomainKey) -> None:
    talk = (
        "import socket, sys, time\n"
        "one = socket.create_connection((sys.argv[1], 9000)); one.settimeout(30); one.send(b'echo ')\n"
        "print('begun', flush=True); count = 0; end = time.time() + float(sys.argv[2])\n"
        "while time.time() < end:\n"
        "    one.send(b'x'); assert one.recv(1) == b'x'; count += 1; time.sleep(0.01)\n"
        "print(count)\n"
    )
    running = asyncio.create_task(python(world, one, talk, net.there.address, "25"))
    for number in range(200):
        assert await set_rules(world, one, f"drop 192.0.2.{number}\naccept") == ""
    assert int((await running).split()[1]) > 20
    assert len((await state_of(world, one)).counts) == 2


async def test_rules_are_set_by_command(world: World, net: Net, one: DomainKey, run: Run) -> None:
    def firewall(*words: str) -> str:
        done = run("qvm-firewall", *words)
        assert done.returncode == 0, done.stderr
        assert done.stderr == ""
        return done.stdout

    firewall(NAMES[0], "reset")
    firewall(NAMES[0], "add", "--before", "0", "drop", net.there.address, "tcp", "9000-9001", "comment=not this one")
    assert firewall("--raw", NAMES[0]).splitlines() == [
        f"action=drop dst4={net.there.address}/32 proto=tcp dstports=9000-9001 comment=not this one",
        "action=accept",
    ]
    assert await reaches(world, one, (net.there.address, PORT)) == {net.there.address: ["SOCK_DGRAM"]}
    shown = firewall(NAMES[0])
    assert "not this one" in shown
    assert "home network: off" in shown
    firewall(NAMES[0], "del", "--rule-no", "0")
    assert firewall("--raw", NAMES[0]) == "action=accept\n"
    assert await reaches(world, one, (net.there.address, PORT))
    wrong = run("qvm-firewall", NAMES[0], "add", "allow", "x")
    assert wrong.returncode != 0
    assert "action: 'allow' cannot be used; use accept, drop" in wrong.stderr
    assert firewall("--raw", NAMES[0]) == "action=accept\n"


async def test_a_guest_that_opens_connections_without_end_has_so_many_and_no_more(
    world: World, net: Net, one: DomainKey
) -> None:
    flood = (
        "import socket, sys\nimport resource\n"
        "resource.setrlimit(resource.RLIMIT_NOFILE, (1 << 16, 1 << 16))\n"
        "sent = 0\n"
        "for number in range(int(sys.argv[2])):\n"
        "    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as one:\n"
        "        try: one.sendto(b'x', (sys.argv[1], 1000 + number % 60000)); sent += 1\n"
        "        except OSError: pass\n"
        "print(sent)\n"
    )
    await python(world, one, flood, net.there.address, "12000")
    holder = _holder(one.uuid)
    count = int(_inside(holder, "cat", "/proc/sys/net/netfilter/nf_conntrack_count"))
    assert 100 < count <= MOST_CONNECTIONS + 200
    sizes = {pid: _resident(pid) for pid in _helpers(one.uuid)}
    assert sum(sizes.values()) < 200 << 20, sizes
    # The other domain does not notice, and neither does this one for long.
    other = net.key(NAMES[1])
    assert await reaches(world, other, (net.there.address, PORT))


async def test_a_guest_that_pretends_to_be_another_is_not_heard(world: World, net: Net, one: DomainKey) -> None:
    before = (await state_of(world, one)).counts
    await tell(world, one, "ip addr add 198.51.100.77/32 dev eth0")
    pretend = (
        "import socket, sys\none = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)\n"
        "one.bind(('198.51.100.77', 0)); one.settimeout(2); one.sendto(b'hello', (sys.argv[1], 9000))\n"
        "try: print(one.recv(100))\nexcept OSError as error: print(error)\n"
    )
    assert "timed out" in await python(world, one, pretend, net.there.address)
    await tell(world, one, "ip addr del 198.51.100.77/32 dev eth0")
    assert (await state_of(world, one)).counts == before


async def test_who_starts_it_otherwise_starts_it_with_its_network_and_all_ends_with_it(
    world: World, net: Net, python_guest: TinyGuest
) -> None:
    key = await make_net_domain(world, net.daemon.uri, python_guest, "net-c", start=False)
    try:
        await set_rules(world, key, f"drop {net.there.address} udp\naccept")
        connection = libvirt.open(net.daemon.uri)
        connection.lookupByUUIDString(key.uuid).create()
        await world.until(lambda: world.store.require(key).state.is_active, "it runs")
        await bring_up(world, key)
        assert await reaches(world, key, (net.there.address, PORT)) == {net.there.address: ["SOCK_STREAM"]}
        helpers = _helpers(key.uuid)
        assert len(helpers) >= 4, "the keeper, what holds the namespace, what gives addresses, the way out"
        os.kill(net.daemon.qemu_pid("net-c"), signal.SIGKILL)
        wait_until(lambda: not any(_runs(pid) for pid in helpers), lambda: str(_helpers(key.uuid)))
        connection.close()
    finally:
        remove_domain(net.daemon.uri, "net-c")


async def test_without_its_keeper_a_domain_has_no_network(world: World, net: Net, python_guest: TinyGuest) -> None:
    key = await make_net_domain(world, net.daemon.uri, python_guest, "net-d")
    try:
        assert await reaches(world, key, (net.there.address, PORT))
        helpers = _helpers(key.uuid)
        os.kill(keeper_of(key.uuid), signal.SIGKILL)
        wait_until(lambda: not any(_runs(pid) for pid in helpers), lambda: str(_helpers(key.uuid)))
        assert await reaches(world, key, (net.there.address, PORT)) == {}
        assert await world.firewalls.state(key) is None
        assert "from the next start of “net-d” on" in await set_rules(world, key, "drop")
    finally:
        remove_domain(net.daemon.uri, "net-d")


async def test_open_networking_is_taken_knowingly_and_seen(world: World, net: Net, fresh: DomainKey) -> None:
    await world.properties.set_netvm(fresh, "open")
    assert world.store.require(fresh).config.netvm == "open"
    await world.lifecycle.start(fresh)
    assert world.store.require(fresh).config.netvm == "open"
    assert "its network is open" in await world.firewalls.change(fresh, lambda before: replace(before, home=True))
    await world.lifecycle.kill(fresh)
    await world.properties.set_netvm(fresh, "isolated")
    assert world.store.require(fresh).config.netvm == "isolated"
    with pytest.raises(Refused, match="dom0"):
        await world.firewalls.change(world.existing("dom0").key, lambda before: before)


async def test_a_domain_of_before_gets_its_network_at_its_next_start(world: World, net: Net, fresh: DomainKey) -> None:
    await actions_on(world.hosts, world.store.require(fresh)).edit_config(lambda document: document.set_netvm("user"))
    await world.hosts.refresh(fresh)
    assert world.store.require(fresh).config.netvm == "open"
    await world.lifecycle.start(fresh)
    assert world.store.require(fresh).config.netvm == "isolated"
    assert _helpers(fresh.uuid)


async def test_rules_that_were_set_while_it_was_saved_hold_when_it_goes_on(
    world: World, net: Net, python_guest: TinyGuest
) -> None:
    key = await make_net_domain(world, net.daemon.uri, python_guest, "net-e")
    try:
        assert await reaches(world, key, (net.there.address, PORT))
        await world.hosts.connection(key.connection).on_domain(key.uuid, "save", lambda domain: domain.managedSave())
        await world.hosts.refresh(key)
        assert "is saved" in await set_rules(world, key, f"drop {net.there.address} udp\naccept")
        await world.lifecycle.start(key)
        assert await reaches(world, key, (net.there.address, PORT)) == {net.there.address: ["SOCK_STREAM"]}
    finally:
        remove_domain(net.daemon.uri, "net-e")


async def test_a_thousand_rules_hold(world: World, net: Net, one: DomainKey) -> None:
    many = "\n".join(f"drop 198.51.{number // 250}.{number % 250} tcp 1-100" for number in range(998))
    assert await set_rules(world, one, f"{many}\ndrop {net.there.address} udp\naccept") == ""
    assert await reaches(world, one, (net.there.address, PORT)) == {net.there.address: ["SOCK_STREAM"]}
    assert len((await state_of(world, one)).counts) == 1000


async def test_a_made_up_error_brings_no_connection_back(world: World, net: Net, one: DomainKey) -> None:
    forge = (
        "import socket, struct, sys, time\n"
        "def total(data):\n"
        "    value = sum(struct.unpack(f'!{len(data) // 2}H', data))\n"
        "    while value >> 16: value = (value & 0xffff) + (value >> 16)\n"
        "    return ~value & 0xffff\n"
        "one = socket.socket(socket.AF_INET, socket.SOCK_DGRAM); one.connect((sys.argv[1], 9000)); one.settimeout(3)\n"
        "one.send(b'hello'); assert one.recv(100); print('begun', flush=True)\n"
        "time.sleep(float(sys.argv[2]))\n"
        "us, port = one.getsockname(); them = socket.inet_aton(sys.argv[1])\n"
        # What came from there cannot be delivered, says the guest.
        "inner = struct.pack('!BBHHHBBH4s4s', 0x45, 0, 33, 1, 0, 64, 17, 0, them, socket.inet_aton(us))\n"
        "inner = inner[:10] + struct.pack('!H', total(inner)) + inner[12:] + struct.pack('!HHHH', 9000, port, 13, 0)\n"
        "error = struct.pack('!BBHI', 3, 3, 0, 0) + inner\n"
        "error = error[:2] + struct.pack('!H', total(error)) + error[4:]\n"
        "raw = socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_ICMP)\n"
        "raw.sendto(error, (sys.argv[1], 0))\n"
        "one.send(b'again')\n"
        "try: print(one.recv(100).decode())\nexcept OSError: print('nothing')\n"
    )
    running = asyncio.create_task(python(world, one, forge, net.there.address, "15"))
    async with asyncio.timeout(GUEST_PATIENCE):
        while not (await state_of(world, one)).counts[0][0]:
            assert not running.done(), await running
            await asyncio.sleep(0.2)
    await asyncio.sleep(1)
    assert await set_rules(world, one, "accept proto=icmp") == ""
    assert (await running).split() == ["begun", "nothing"]


# The processes of a domain's network, found as anybody would find them.


def keeper_of(uuid: str) -> int:
    found = subprocess.run(
        ["pgrep", "--full", f"^/usr/bin/python3 -IS .*-uuid {uuid}"], capture_output=True, text=True, check=False
    ).stdout.split()
    assert len(found) == 1, found
    return int(found[0])


def _helpers(uuid: str) -> list[int]:
    """The keeper and all below it."""
    waiting, found = [keeper_of(uuid)], []
    while waiting:
        pid = waiting.pop()
        found.append(pid)
        with contextlib.suppress(OSError):
            waiting += map(int, Path(f"/proc/{pid}/task/{pid}/children").read_text().split())
    return found


def _holder(uuid: str) -> int:
    return next(
        pid for pid in _helpers(uuid) if Path(f"/proc/{pid}/cmdline").read_text().startswith("qubes-manager-network\0")
    )


def _inside(holder: int, *words: str) -> str:
    line = ["nsenter", f"--target={holder}", "--user", "--net", "--preserve-credentials", *words]
    return subprocess.run(line, capture_output=True, text=True, check=True).stdout


def _runs(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def _resident(pid: int) -> int:
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmRSS:"):
            return int(line.split()[1]) << 10
    return 0
