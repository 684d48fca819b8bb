"""What a network of its own costs a domain, beside QEMU's user networking, in one run; needs root."""

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
from tests.network.outside import Outside, outside
from tests.python_guest import build_python_guest

_STARTS, _ROUNDS = 10, 3
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
_UNITS = {"down": "MB/s", "up": "MB/s", "round trip": "ms", "connection": "ms"}


async def _run(world: World, uri: str, there: Outside, guest_folder: Path) -> None:
    guest = build_python_guest(build_tiny_guest(CACHE), CACHE, guest_folder)
    await world.hosts.load(uri)
    kinds = ("isolated", "open")
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
        ours, plain = (statistics.median(each[name] for each in found[kind]) for kind in kinds)
        print(f"{name}: isolated {ours:.2f} {unit}, open {plain:.2f} {unit}: {ours / plain:.2f} times")
    for key in keys.values():
        await world.lifecycle.kill(key)
    await world.hosts.close()


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
