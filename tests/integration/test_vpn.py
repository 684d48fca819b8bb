"""A VPN domain on the real thing: Debian with WireGuard, made by the command, and a domain whose network it is."""

import asyncio
import contextlib
import os
import subprocess
import textwrap
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from qubes_manager.backend.guests.tiny_guest import TinyGuest
from qubes_manager.backend.host.private_daemon import PrivateDaemon
from qubes_manager.core.domain import DomainKey
from qubes_manager.core.firewall.dns import DNS4
from qubes_manager.services.making.creation import boot_words
from tests.integration.conftest import COMMANDS, World, remove_all, remove_domain
from tests.integration.templates import pool_files
from tests.integration.test_debian import NO_WINDOWS
from tests.integration.test_network import bring_up, make_net_domain, python, reaches, set_rules, state_of, tell
from tests.integration.test_templates import KEPT
from tests.network.outside import PORT, Outside, outside
from tests.waiting import soon, wait_until

pytestmark = [
    pytest.mark.guest,
    pytest.mark.debian,
    pytest.mark.timeout(2400),
    pytest.mark.skipif(os.geteuid() != 0, reason="a machine beyond this one is made by root alone"),
]
VPN, CLIENT = "vpn", "vpn-user"
SERVER = "198.51.100.1"
# Answers whatever is asked with one address.
_DNS = """
import socket
heard = socket.socket(socket.AF_INET, socket.SOCK_DGRAM); heard.bind(("198.51.100.1", 53))
while True:
    asked, sender = heard.recvfrom(500)
    end = asked.index(b"\\0", 12) + 5
    kind = asked[end - 3]
    answer = b"\\xc0\\x0c\\0\\1\\0\\1\\0\\0\\0\\x3c\\0\\4" + bytes((198, 51, 100, 1)) if kind == 1 else b""
    heard.sendto(asked[:2] + b"\\x81\\x80\\0\\1" + bytes((0, bool(answer))) + bytes(4) + asked[12:end] + answer, sender)
"""


@dataclass(frozen=True)
class Tunnels:
    """A WireGuard server beyond this machine, and the file for one who uses it."""

    there: Outside
    server: "subprocess.Popen[bytes]"
    file: Path


def _wg(*words: str, feed: str = "") -> str:
    return subprocess.run(["wg", *words], input=feed, capture_output=True, text=True, check=True).stdout.strip()


@pytest.fixture(scope="module")
def tunnels(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Tunnels]:
    folder = tmp_path_factory.mktemp("wireguard")
    keys = {name: _wg("genkey") for name in ("server", "user")}
    public = {name: _wg("pubkey", feed=key) for name, key in keys.items()}
    (folder / "key").write_text(keys["server"])
    with outside() as there, contextlib.ExitStack() as stack:

        def run(*words: str) -> None:
            subprocess.run([*there.enter, *words], check=True)

        def begin(*words: str) -> "subprocess.Popen[bytes]":
            process = subprocess.Popen([*there.enter, *words], start_new_session=True)
            stack.callback(process.wait)
            stack.callback(process.kill)
            return process

        name = f"qmwg{os.getpid()}"
        server = begin("env", "WG_PROCESS_FOREGROUND=1", "wireguard-go", "-f", name)
        wait_until(lambda: Path(f"/var/run/wireguard/{name}.sock").exists(), "WireGuard runs")
        run("wg", "set", name, "listen-port", "51820", "private-key", str(folder / "key"))
        run("wg", "set", name, "peer", public["user"], "allowed-ips", "198.51.100.2/32")
        for line in (f"addr add {SERVER}/24 dev {name}", f"link set {name} up"):
            run("ip", *line.split())
        begin("python3", "-c", textwrap.dedent(_DNS))
        file = folder / "work.conf"
        file.write_text(
            f"[Interface]\nPrivateKey = {keys['user']}\nAddress = 198.51.100.2/32\nDNS = {SERVER}, corp.example\n"
            "PostUp = touch /rw/hostile; curl http://198.19.7.2\n"
            f"[Peer]\nPublicKey = {public['server']}\nAllowedIPs = 0.0.0.0/0, ::/0\n"
            f"Endpoint = {there.address}:51820  # ours\nPersistentKeepalive = 5\n"
        )
        yield Tunnels(there, server, file)


@pytest.fixture(scope="module")
def vpn(
    daemon: PrivateDaemon,
    debian: DomainKey,
    tunnels: Tunnels,
    python_guest: TinyGuest,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[DomainKey]:
    """The VPN domain, made by the command; a domain that it is the network of runs too."""
    home = tmp_path_factory.mktemp("home")

    def command(name: str, *words: str) -> "subprocess.CompletedProcess[str]":
        return subprocess.run(
            [COMMANDS / name, "--connect", daemon.uri, *words],
            env={**os.environ, "XDG_CONFIG_HOME": str(home)},
            capture_output=True,
            text=True,
            timeout=900,
            check=False,
        )

    async def make() -> tuple[list[str], DomainKey]:
        world = World(daemon.uri)
        await world.hosts.load(daemon.uri)
        before = [name for name in await pool_files(world) if not name.startswith("tiny-guest")]
        words = f"{boot_words('qemu', private=True)} {NO_WINDOWS}"
        # A guest boots slowly in software emulation.
        assert (
            await asyncio.to_thread(command, "qvm-window-prefs", "global", "startup_timeout", "480")
        ).returncode == 0
        how = ("--quiet", "--template", "debian", "--label", "blue", "--wireguard", str(tunnels.file))
        with_words = ("--prop", f"kernelopts={words}", "--prop", "memory=768")
        done = await asyncio.to_thread(command, "qvm-create", *how, *with_words, VPN)
        assert done.returncode == 0, done.stderr
        assert done.stderr == "qvm-create: left out of the file: postup (it does not say what runs here)\n"
        await world.hosts.load(daemon.uri)
        client = await make_net_domain(world, daemon.uri, python_guest, CLIENT, start=False)
        await world.properties.set_netvm(client, VPN)
        await world.lifecycle.start(client)
        await bring_up(world, client)
        key = world.existing(VPN).key
        await world.hosts.close()
        return before, key

    async def take_away() -> list[str]:
        world = World(daemon.uri)
        await world.hosts.load(daemon.uri)
        await remove_all(world, KEPT)
        # What a tiny guest boots is everybody's, and stays.
        left = [name for name in await pool_files(world) if not name.startswith("tiny-guest")]
        await world.hosts.close()
        return left

    before, key = asyncio.run(make())
    yield key
    remove_domain(daemon.uri, CLIENT)
    assert asyncio.run(take_away()) == before


@pytest.fixture
async def client(world: World, vpn: DomainKey) -> DomainKey:
    return (await world.appears(CLIENT)).key


async def test_what_a_domain_sends_goes_through_the_tunnel(
    world: World, tunnels: Tunnels, vpn: DomainKey, client: DomainKey
) -> None:
    async with soon():
        while not await reaches(world, client, (SERVER, PORT)):
            await asyncio.sleep(1)
    # That machine has an address of this side too, which is reached by the tunnel as all the world is.
    assert await reaches(world, client, (tunnels.there.address, PORT))
    rules = world.firewalls.of(vpn)
    assert [(str(r.host), str(r.ports)) for r in rules.rules] == [(f"{tunnels.there.address}/32", "51820")]
    assert rules.home is False
    # What is asked of DNS goes to the server that the file names.
    ask = "import socket; print(socket.gethostbyname('anything.example'))"
    assert DNS4.exploded in await tell(world, client, "cat /etc/resolv.conf")
    assert await python(world, client, ask) == f"{SERVER}\n"
    # So do names in rules: this machine is not asked for them.
    await set_rules(world, client, f"accept only-there.example tcp {PORT}")
    async with soon():
        while not await reaches(world, client, (SERVER, PORT)):
            await asyncio.sleep(1)
    assert await reaches(world, client, (tunnels.there.address, PORT)) == {}
    assert (await state_of(world, client)).troubles == ()
    await set_rules(world, client, "accept")
    # What the file would have had run did not.
    assert await tell(world, vpn, "ls /rw/hostile 2>/dev/null") == ""


async def test_nothing_goes_past_the_tunnel_whatever_breaks_in_its_domain(
    world: World, tunnels: Tunnels, vpn: DomainKey, client: DomainKey
) -> None:
    places = ((tunnels.there.address, PORT), (SERVER, PORT))
    refused = (await state_of(world, vpn)).refused[0]
    # As its hostile root would: no tunnel, no rules, all forwarded as it is.
    masquerade = "add chain inet x y { type nat hook postrouting priority 100; }; add rule inet x y masquerade"
    await tell(world, vpn, f"systemctl stop qubes-manager-vpn; nft 'flush ruleset; add table inet x; {masquerade}'")
    assert "vpn0" not in await tell(world, vpn, "ip -brief link")
    assert await reaches(world, client, *places) == {}
    async with soon():
        while (await state_of(world, vpn)).refused[0] == refused:
            await reaches(world, client, *places)
    await tell(world, vpn, "nft delete table inet x; systemctl restart qubes-manager-network qubes-manager-vpn")
    async with soon():
        while not await reaches(world, client, (SERVER, PORT)):
            await asyncio.sleep(1)
    tunnels.server.kill()
    assert await reaches(world, client, *places) == {}
