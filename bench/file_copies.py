"""Measures copying files: 10 GiB out of this machine and into it, with what that takes of memory; and between guests.

Onto this machine's disk files go by the whole way that those of a domain go, large and small.

For the 10 GiB guests are stood for by who throws all away, and by an archive of zeros. Between two real small guests
``qvm-copy-to-vm`` is measured against a raw pipe (``cat``) through the same ports and against ``scp`` through a virtual
network, and what a large file takes of memory in all programs that it goes through.
"""

import asyncio
import functools
import hashlib
import resource
import shutil
import statistics
import subprocess
import sys
import tarfile
import tempfile
import time
from collections.abc import AsyncIterator
from pathlib import Path

from bench import figures
from bench.own_host import own_host
from bench.ports import between
from bench.ssh_guests import SCP, plug_in, start_ssh, with_ssh
from qubes_manager.backend.guests.tiny_guest import build_tiny_guest
from qubes_manager.backend.host.archive_sandbox import members_of
from qubes_manager.backend.host.incoming_files import IncomingFiles
from qubes_manager.backend.host.private_daemon import PrivateDaemon
from qubes_manager.core.crossing.file_messages import Offer
from qubes_manager.core.domain import DomainKey
from qubes_manager.services.broker.files.incoming import ReceiverIncoming
from qubes_manager.services.broker.files.outgoing import HostOutgoing
from tests.conftest import CACHE
from tests.integration.conftest import World, remove_domain
from tests.integration.crossing import HostEnd, make_crossing_domain
from tests.python_guest import build_python_guest

SIZE, GUEST_SIZE, ROUNDS = 10 << 30, 32 << 20, 3
# What is written to this machine's disk: how many files, and bytes of each.
LANDINGS = (("a file of 1 GiB", 1, 1 << 30), ("10,000 files of 4 KiB", 10_000, 4096))
# Between guests in emulation 10 GiB would take most of an hour: memory is looked at all the way of less.
LARGE_SIZE = 1 << 30
# What is to be reached: percent of the raw pipe, and of scp.
GOAL, SCP_GOAL = 80, 100
MIB = 1 << 20
# Stands for SHA-256 where that is as cheap as on a processor of today: emulation has no instructions for it, and takes
# a hundred times as long.
_CHEAP_DIGEST = """
import hashlib, zlib
class Cheap:
    def __init__(self, data=b""):
        self._sum = zlib.crc32(data)
    def update(self, data):
        self._sum = zlib.crc32(data, self._sum)
    def digest(self):
        return self._sum.to_bytes(32, "big")
    def hexdigest(self):
        return self.digest().hex()
hashlib.sha256 = Cheap
"""
_DIGEST_RATE = """
import hashlib, time
data, seen, began = bytes(1 << 18), hashlib.sha256(), time.monotonic()
for _number in range(64):
    seen.update(data)
print(16 / (time.monotonic() - began))
"""
_NAMES = ("sender", "receiver")
_PIECE = 256 << 10
# Seconds between two looks at the loop.
_BEAT = 0.002
# Every program in Python there reads this first, once the service program has been started again.
_PATCH = """
cat >$(python3 -c 'import sysconfig; print(sysconfig.get_path("stdlib"))')/sitecustomize.py
pid=$(pidof crossing)
kill $pid
while kill -0 $pid 2>/dev/null; do sleep 0.2; done
until python3 -c 'import socket; socket.socket(socket.AF_UNIX).connect("/run/qubes-manager-crossing/calls")' 2>/dev/null
do sleep 0.2; done
"""

# KiB of the newest program of that name: the most in the first and in the last quarter of all looks, and in all.
_WATCH = """python3 -c '
import pathlib, time
seen = []
while not pathlib.Path("/tmp/seen").exists():
    found = 0, 0
    for path in pathlib.Path("/proc").glob("[0-9]*"):
        try:
            words = (path / "cmdline").read_bytes().split(bytes(1))
            if len(words) > 1 and words[1].endswith(b"%s"):
                size = (path / "status").read_text().partition("VmRSS:")[2].split()[0]
                found = max(found, (int(path.name), int(size)))
        except OSError:
            pass
    if found[0]:
        seen.append(found[1])
    time.sleep(2)
part = max(1, len(seen) // 4)
print(max(seen[:part]), max(seen[-part:]), max(seen))
'"""

say = functools.partial(figures.say, "file copies")


def main() -> None:
    """Measure and print."""
    with tempfile.TemporaryDirectory(prefix="qm-bench-", dir="/var/tmp") as folder:
        asyncio.run(measure(Path(folder)))
    with own_host() as daemon:
        asyncio.run(between_guests(daemon))


async def measure(folder: Path) -> None:
    """Print how fast, and what it took."""
    path = folder / "big"
    with path.open("wb") as file:
        # A hole: the disk is not what is measured.
        file.truncate(SIZE)
    before, began = _resident(), time.monotonic()
    sent = await _send(path)
    _tell("10 GiB out of this machine", sent, began, before)
    before, began = _resident(), time.monotonic()
    _tell("10 GiB into this machine, through the sandbox", await _receive(), began, before)
    for what, count, size in LANDINGS:
        await _land(folder / "host", what, count, size)
    peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024
    say("memory of what takes it apart, at most", peak, "MiB")


async def _send(path: Path) -> int:
    outgoing = HostOutgoing([path])
    await outgoing.begin()
    size = 0
    async for piece in outgoing.pieces():
        size += len(piece)
    await outgoing.close()
    return size


async def _receive() -> int:
    size = 0
    async with members_of(_zeros()) as members:
        async for member in members:
            async for piece in member.pieces:
                size += len(piece)
    return size


async def _land(home: Path, what: str, count: int, size: int) -> None:
    """Print how fast files come to lie on this machine's disk, and how long all else of the broker stood still."""
    receiver = IncomingFiles(home / what, "domain:bench")
    await receiver.begin()
    incoming = ReceiverIncoming(receiver, str(receiver.folder), "dom0")
    await incoming.begin(Offer(count * size, count), all_names=False)
    before, began, worked = _resident(), time.monotonic(), time.process_time()
    async with _Pulse() as pulse:
        await incoming.take(_zeros(count, size))
    worked = time.process_time() - worked
    _tell(f"{what} onto this machine’s disk", count * size, began, before)
    say(f"{what}: seconds of the broker’s processor", worked, "s")
    say(f"{what}: others in the broker waited at most", pulse.longest * 1000, "ms")
    await incoming.close()
    shutil.rmtree(home)


class _Pulse:
    """A context manager that notes how long the loop has kept others waiting, at most (seconds)."""

    def __init__(self) -> None:
        self.longest = 0.0

    async def _beat(self) -> None:
        while True:
            began = time.monotonic()
            await asyncio.sleep(_BEAT)
            self.longest = max(self.longest, time.monotonic() - began - _BEAT)

    async def __aenter__(self) -> "_Pulse":
        self._beating = asyncio.create_task(self._beat())
        return self

    async def __aexit__(self, *_error: object) -> None:
        self._beating.cancel()


async def _zeros(count: int = 1, size: int = SIZE) -> AsyncIterator[bytes]:
    """An archive of *count* files of so many bytes, in pieces as they come out of a port."""
    seen, waiting = hashlib.sha256(), bytearray()
    for number in range(count):
        info = tarfile.TarInfo(f"file-{number}")
        info.size = size
        waiting += info.tobuf(tarfile.PAX_FORMAT)
        for start in range(0, size, _PIECE):
            waiting += bytes(min(_PIECE, size - start))
            if len(waiting) >= _PIECE:
                seen.update(waiting)
                yield bytes(waiting)
                waiting.clear()
    seen.update(waiting + bytes(1024))
    yield bytes(waiting) + bytes(1024) + seen.digest()


async def between_guests(daemon: PrivateDaemon) -> None:
    """Print how fast a file goes from one guest to another, and a raw stream."""
    world = World(daemon.uri)
    await world.hosts.load(daemon.uri)
    world.policy_files.folder.mkdir(parents=True)
    world.policy_files.replace("30-user", "* * @anyvm @anyvm allow\n")
    (daemon.folder / "ssh").mkdir()
    guest = with_ssh(build_python_guest(build_tiny_guest(CACHE), CACHE, daemon.folder), daemon.folder / "ssh")
    sender, receiver = [
        await make_crossing_domain(world, daemon.uri, guest, name, memory=memory, start=False)
        for name, memory in zip(_NAMES, (512, 3072), strict=True)
    ]
    plug_in(daemon.uri, *_NAMES)
    for key in (sender, receiver):
        await world.hosts.refresh(key)
        await world.lifecycle.start(key)
    broker = subprocess.Popen([sys.executable, "-m", "qubes_manager", "broker", "--connect", daemon.uri])
    try:
        await start_ssh(world, sender, receiver)
        for name, size in (("small", 1), ("large", GUEST_SIZE)):
            await world.commands.run(sender, f"head -c {size} /dev/urandom >/tmp/{name}")
        await _compare(world, sender, receiver, "a file by qvm-copy-to-vm")
        await _grow(world, sender, receiver, broker.pid)
        digest = float(await _said(world, sender, f"python3 -c '{_DIGEST_RATE}'"))
        say("guest to guest, SHA-256 alone, in one of them", digest, "MiB/s", "emulated")
        for key in (sender, receiver):
            await world.commands.run(key, _PATCH, user="root", data=_CHEAP_DIGEST.encode())
        await _compare(world, sender, receiver, "the same with a cheap digest")
    finally:
        broker.terminate()
        broker.wait(20)
        for name in _NAMES:
            remove_domain(daemon.uri, name)
        await world.hosts.close()


async def _compare(world: World, sender: DomainKey, receiver: DomainKey, what: str) -> None:
    """Raw and copied in turns, since the machine may have other work. What a file of a byte takes is not counted."""
    raw, copied, scp = list[float](), list[float](), list[float]()
    for _round in range(ROUNDS):
        with HostEnd(world, sender) as first, HostEnd(world, receiver) as second:
            raw.append(await between(world, (sender, first), (receiver, second)))
        for rates, line in ((copied, "qvm-copy-to-vm receiver {path}"), (scp, SCP)):
            small, large = [
                await _timed(world, sender, line.format(path=f"/tmp/{name}")) for name in ("small", "large")
            ]
            rates.append(GUEST_SIZE / MIB / (large - small))
        # Its files are in memory.
        await _said(world, receiver, "rm -r ~/QubesIncoming/sender")
    say("guest to guest, a raw pipe through the ports", statistics.median(raw), "MiB/s", "emulated")
    say("guest to guest, scp through a virtual network", statistics.median(scp), "MiB/s", "emulated")
    say(f"guest to guest, {what}", statistics.median(copied), "MiB/s")
    for others, name, goal in ((raw, "the raw pipe", GOAL), (scp, "scp", SCP_GOAL)):
        ratio = statistics.median(one / other for one, other in zip(copied, others, strict=True))
        say(f"{what}, beside {name}", 100 * ratio, "%", f"(goal: {goal})")


async def _grow(world: World, sender: DomainKey, receiver: DomainKey, broker: int) -> None:
    """Copy a large file, a hole of the sender's, and print what memory the programs on its way have had at most."""
    await _said(world, sender, f"truncate -s {LARGE_SIZE} /tmp/hole")
    watched = {"sender": (sender, "bin/qvm-copy-to-vm"), "receiver": (receiver, "manager/crossing")}
    looks = {name: asyncio.create_task(_said(world, key, _WATCH % what)) for name, (key, what) in watched.items()}
    began, most = time.monotonic(), 0
    copying = asyncio.create_task(_said(world, sender, "qvm-copy-to-vm receiver /tmp/hole"))
    first = {"the broker": _resident_now(broker)}
    while not copying.done():
        most = max(most, _resident_now(broker))
        await asyncio.wait({copying}, timeout=1)
    copying.result()
    say("guest to guest, 1 GiB", LARGE_SIZE / MIB / (time.monotonic() - began), "MiB/s")
    say("memory of the broker meanwhile, at most", most / 1024, "MiB", f"{first['the broker'] / 1024:.1f} before")
    for key in (sender, receiver):
        await _said(world, key, "touch /tmp/seen")
    for name, look in looks.items():
        early, late, peak = map(int, (await look).split())
        note = f"{early / 1024:.1f} in the first quarter, {late / 1024:.1f} in the last"
        say(f"memory of the {name}'s program, at most", peak / 1024, "MiB", note)
    await _said(world, receiver, "rm -r ~/QubesIncoming/sender")


def _resident_now(pid: int) -> int:
    """KiB that a process of this machine has."""
    return int(Path(f"/proc/{pid}/status").read_text().partition("VmRSS:")[2].split()[0])


async def _timed(world: World, key: DomainKey, line: str) -> float:
    """Seconds by the guest's own clock, the start of the interpreter among them."""
    now = "cut -d' ' -f1 /proc/uptime"
    began, ended = map(float, (await _said(world, key, f"{now}; {line} >/dev/null && {now}")).split())
    return ended - began


async def _said(world: World, key: DomainKey, line: str) -> str:
    out, err = bytearray(), bytearray()
    if await world.commands.run(key, line, out=out.extend, err=err.extend, startup_timeout=60):
        raise SystemExit(f"{line}: {err.decode()}")
    return out.decode()


def _tell(what: str, size: int, began: float, before: int) -> None:
    grown = (_resident() - before) / MIB
    say(what, size / MIB / (time.monotonic() - began), "MiB/s", f"memory grew by {grown:.1f} MiB")


def _resident() -> int:
    """The most memory that this process has had (bytes)."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


if __name__ == "__main__":
    main()
