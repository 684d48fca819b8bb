"""What a network of its own costs a domain, and that of another domain, beside QEMU's user networking, in one run; and
what a domain that floods costs its neighbours, beside one that computes. Needs root.
"""

import asyncio
import json
import statistics
import tempfile
import time
from pathlib import Path

from qubes_manager.backend.guests.tiny_guest import build_tiny_guest
from qubes_manager.core.domain import DomainKey
from tests.conftest import CACHE, own_daemon
from tests.integration.conftest import World
from tests.integration.test_network import bring_up, make_net_domain, python
from tests.integration.test_network_of_domains import build_gate_guest, make_gate
from tests.network.outside import Outside, outside
from tests.python_guest import build_python_guest

_STARTS, _ROUNDS = 10, 3
_GATE = "net-gate"
_MEASURE = """
import json, socket, sys, time

def connect(first):
    one = socket.create_connection((sys.argv[1], 9000), 20)
    one.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    one.sendall(first)
    return one

found = {}
with connect(b"zeros") as one:
    size, begun = 0, time.perf_counter()
    while time.perf_counter() - begun < 4:
        size += len(one.recv(1 << 17))
    found["down"] = size / (time.perf_counter() - begun) / 1e6
with connect(b"drain") as one:
    size, begun, data = 0, time.perf_counter(), bytes(1 << 17)
    while time.perf_counter() - begun < 4:
        size += one.send(data)
    found["up"] = size / (time.perf_counter() - begun) / 1e6
with connect(b"echo ") as one:
    times = []
    for _ in range(300):
        begun = time.perf_counter()
        one.send(b"x"); one.recv(1)
        times.append(time.perf_counter() - begun)
    found["round trip"] = sorted(times)[150] * 1e3
begun = time.perf_counter()
for _ in range(50):
    connect(b"echo ").close()
found["connection"] = (time.perf_counter() - begun) * 20
print(json.dumps(found))
"""
# Sends as many small datagrams, and begins as many connections, as a guest can.
_FLOOD = """
import os, socket, sys, time
if not os.fork():
    os.setsid(); os.closerange(0, 3)
    end = time.time() + 600
    one = socket.socket(socket.AF_INET, socket.SOCK_DGRAM); one.setblocking(False)
    number = 0
    while time.time() < end:
        for _ in range(50):
            number += 1
            try: one.sendto(b"x", (sys.argv[1], 1 + number % 60000))
            except OSError: pass
        other = socket.socket(); other.setblocking(False)
        try: other.connect((sys.argv[1], 1 + number % 60000))
        except OSError: pass
        other.close()
"""
_BUSY = """
import os, time
if not os.fork():
    os.setsid(); os.closerange(0, 3)
    end = time.time() + 600
    while time.time() < end: pass
"""
_UNITS = {"down": "MB/s", "up": "MB/s", "round trip": "ms", "connection": "ms"}


async def _run(world: World, uri: str, there: Outside, guest_folder: Path) -> None:
    guest = build_python_guest(build_tiny_guest(CACHE), CACHE, guest_folder)
    await world.hosts.load(uri)
    (guest_folder / "gate").mkdir()
    gate = await make_gate(world, uri, build_gate_guest(guest, guest_folder / "gate"), _GATE)
    kinds = ("isolated", _GATE, "open")
    keys: dict[str, DomainKey] = {}
    for kind in kinds:
        keys[kind] = await make_net_domain(world, uri, guest, f"net-{kind}", start=False)
        await world.properties.set_netvm(keys[kind], kind)
    starts = {kind: [await _start(world, keys[kind]) for _ in range(_STARTS)] for kind in kinds}
    for kind in kinds:
        print(f"start, {kind}: {statistics.median(starts[kind]) * 1e3:.0f} ms")
    for kind in kinds:
        await world.lifecycle.start(keys[kind])
        await bring_up(world, keys[kind])
    found: dict[str, list[dict[str, float]]] = {kind: [] for kind in kinds}
    for _ in range(_ROUNDS):
        for kind in kinds:
            found[kind].append(json.loads(await python(world, keys[kind], _MEASURE, there.address)))
    for name, unit in _UNITS.items():
        ours, through, plain = (statistics.median(each[name] for each in found[kind]) for kind in kinds)
        ratios = f"{ours / plain:.2f} and {through / plain:.2f} times"
        print(f"{name}: isolated {ours:.2f} {unit}, through a domain {through:.2f}, open {plain:.2f}: {ratios}")
    await world.lifecycle.kill(keys["open"])
    await _measure_neighbours(world, keys["isolated"], keys[_GATE], there)
    for key in (keys["isolated"], keys[_GATE], gate):
        await world.lifecycle.kill(key)
    await world.hosts.close()


async def _measure_neighbours(world: World, one: DomainKey, other: DomainKey, there: Outside) -> None:
    """What a domain gets while another one only computes, and while that one floods."""
    await world.properties.set_netvm(other, "isolated")
    found = {}
    for name, program in (("computes", _BUSY), ("floods", _FLOOD)):
        await python(world, other, program, there.address)
        rounds = [json.loads(await python(world, one, _MEASURE, there.address)) for _ in range(_ROUNDS)]
        found[name] = {unit: statistics.median(each[unit] for each in rounds) for unit in _UNITS}
        await world.lifecycle.kill(other)
        await world.lifecycle.start(other)
        await bring_up(world, other)
    for name, unit in _UNITS.items():
        calm, flooded = found["computes"][name], found["floods"][name]
        ratio = f"{flooded / calm:.2f} times"
        print(f"{name}: beside one that floods {flooded:.2f} {unit}, beside one that computes {calm:.2f}: {ratio}")


async def _start(world: World, key: DomainKey) -> float:
    begun = time.perf_counter()
    await world.lifecycle.start(key)
    took = time.perf_counter() - begun
    await world.lifecycle.kill(key)
    return took


def main() -> None:
    with own_daemon() as daemon, outside() as there, tempfile.TemporaryDirectory() as folder:
        asyncio.run(_run(World(daemon.uri), daemon.uri, there, Path(folder)))


if __name__ == "__main__":
    main()
