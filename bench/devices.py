"""What serving a block device costs: beside the device itself, and beside one that QEMU opens, in one run. Needs root.

The device is a loop device over a file in memory, faster than any stick: what is lost here is the most that can be.
"""

import asyncio
import re
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from qubes_manager.backend.guests.tiny_guest import build_tiny_guest
from qubes_manager.backend.host.block_server import ServedPlace, serving
from qubes_manager.core.devices.block import DiskRequest
from qubes_manager.core.domain import DomainKey
from tests.conftest import CACHE, own_daemon
from tests.integration.conftest import World
from tests.waiting import shell_wait

_SIZE, _ROUNDS = 512 << 20, 3
# Of a request, in bytes, and how many of them are on their way.
_REQUESTS = {"1 MiB": (1 << 20, 4), "128 KiB": (128 << 10, 8), "4 KiB": (4 << 10, 8)}
_TAKEN = re.compile(r"Run completed in ([\d.]+) seconds")


@contextmanager
def loop_device() -> Iterator[Path]:
    """A block device of this machine's memory."""
    with tempfile.NamedTemporaryFile(dir="/dev/shm") as file:
        file.truncate(_SIZE)
        file.write(b"x" * _SIZE)
        file.flush()
        words = ["losetup", "--find", "--show", file.name]
        path = Path(subprocess.run(words, capture_output=True, text=True, check=True).stdout.strip())
        try:
            yield path
        finally:
            subprocess.run(["losetup", "--detach", path], check=True)


def rate(target: str, size: int, depth: int, *, writes: bool) -> float:
    """Bytes in a second, as QEMU's own block layer reads or writes."""
    count = min(_SIZE // size, 20_000)
    words = ["qemu-img", "bench", "-f", "raw", "-c", str(count), "-d", str(depth), "-s", str(size)]
    done = subprocess.run([*words, *(["-w"] if writes else []), target], capture_output=True, text=True, check=True)
    found = _TAKEN.search(done.stdout)
    assert found, done.stdout
    return count * size / float(found[1])


async def on_this_machine(device: Path) -> None:
    """QEMU's block layer on the device, and on the server."""
    print(f"{'':28}  the device      served   ratio")
    with tempfile.TemporaryDirectory(dir="/var/tmp") as folder:
        for writes in (False, True):
            for name, (size, depth) in _REQUESTS.items():
                direct, served = [], []
                for _ in range(_ROUNDS):
                    direct.append(await asyncio.to_thread(rate, str(device), size, depth, writes=writes))
                    place = ServedPlace(Path(folder, "devices/x"))
                    socket = place.new_socket()
                    async with serving(place, socket, str(device), (), read_only=False):
                        target = f"nbd+unix:///x?socket={socket}"
                        served.append(await asyncio.to_thread(rate, target, size, depth, writes=writes))
                    await asyncio.sleep(0.5)
                one, other = statistics.median(direct), statistics.median(served)
                what = f"{'write' if writes else 'read'} {name}, {depth} at once"
                print(f"{what:28}  {one / 1e6:6.0f} MB/s  {other / 1e6:6.0f} MB/s    {other / one:.2f}")


async def in_a_guest(world: World, key: DomainKey, device: Path) -> None:
    """What a guest in software emulation has of it, beside libvirt's own attachment."""
    figures: dict[str, list[float]] = {"libvirt's own": [], "served": []}
    for _ in range(_ROUNDS):
        for way in figures:
            # Its QEMU may open it, as that of a system's libvirt may.
            device.chmod(0o666 if way != "served" else 0o600)
            request = DiskRequest(str(device), True)
            if way == "served":
                target = await world.block_devices.attach(key, request)
            else:
                target = await world.block_devices._attach(world.existing("bench"), request)
            command = f"{shell_wait('[ -b /dev/sda ]')}; dd if=/dev/sda of=/dev/null bs=1M count=128 2>/dev/null"
            await world.commands.run(key, shell_wait("[ -b /dev/sda ]"), user="root")
            begun = time.monotonic()
            assert await world.commands.run(key, command, user="root") == 0
            figures[way].append((128 << 20) / (time.monotonic() - begun))
            await world.block_devices.detach(key, target)
    own, served = (statistics.median(found) for found in figures.values())
    print(f"read in an emulated guest, USB  {own / 1e6:.0f} MB/s  {served / 1e6:.0f} MB/s    {served / own:.2f}")


async def attachments(world: World, key: DomainKey, device: Path) -> None:
    """How long it takes."""
    times: dict[str, list[float]] = {"attach": [], "detach": []}
    for _ in range(10):
        begun = time.monotonic()
        target = await world.block_devices.attach(key, DiskRequest(str(device), True))
        times["attach"].append(time.monotonic() - begun)
        begun = time.monotonic()
        await world.block_devices.detach(key, target)
        times["detach"].append(time.monotonic() - begun)
    for what, found in times.items():
        print(f"{what}: median {statistics.median(found) * 1000:.0f} ms of {len(found)}")


async def main() -> None:
    with loop_device() as device:
        await on_this_machine(device)
        with own_daemon() as daemon:
            world = World(daemon.uri)
            world.hosts.follow(daemon.uri)
            await world.until(lambda: world.named("dom0"), "the host is there")
            guest = build_tiny_guest(CACHE)
            key = await world.demo.create_one(daemon.uri, guest, "bench", "green", frozenset())
            await world.lifecycle.start(key)
            assert await world.commands.run(key, "true") == 0
            await in_a_guest(world, key, device)
            await attachments(world, key, device)
            await world.lifecycle.kill(key)
            await world.hosts.close()


if __name__ == "__main__":
    sys.exit(asyncio.run(main()))
