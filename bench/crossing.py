"""Measures what crosses between domains: the joint of two ports against a raw pipe, and calls between real guests."""

import asyncio
import functools
import socket
import statistics
import subprocess
import sys
import time

from bench import figures
from bench.own_host import own_host
from qubes_manager.backend.guests.joint import Pump
from qubes_manager.backend.guests.tiny_guest import build_tiny_guest
from qubes_manager.backend.host.private_daemon import PrivateDaemon
from qubes_manager.core.domain import DomainKey
from tests.conftest import CACHE
from tests.integration.conftest import World, remove_domain
from tests.integration.crossing import make_crossing_domain, prepare
from tests.integration.test_crossing_calls import POLICY, run_in
from tests.python_guest import build_python_guest

SIZE, GUEST_SIZE, ROUNDS = 2 << 30, 64 << 20, 5
MIB = 1 << 20

say = functools.partial(figures.say, "crossing")


def main() -> None:
    """Measure and print."""
    pipes = [raw_pipe() for _ in range(ROUNDS)]
    joints = [asyncio.run(joint()) for _ in range(ROUNDS)]
    pipe, joined = statistics.median(pipes), statistics.median(joints)
    say("a raw pipe between two processes", pipe, "MiB/s")
    say("the joint between two processes' sockets", joined, "MiB/s", f"{joined / pipe:.2f} of the pipe")
    with own_host() as daemon:
        asyncio.run(between_guests(daemon))


def raw_pipe() -> float:
    """MiB a second from one process to another."""
    began = time.monotonic()
    with subprocess.Popen(["head", "-c", str(SIZE), "/dev/zero"], stdout=subprocess.PIPE) as writer:
        subprocess.run(["wc", "-c"], stdin=writer.stdout, stdout=subprocess.DEVNULL, check=True)
    return SIZE / MIB / (time.monotonic() - began)


async def joint() -> float:
    """The same with a pump between their sockets, as QEMU's are."""
    writer_end, source = socket.socketpair()
    target, reader_end = socket.socketpair()
    began = time.monotonic()
    pump = Pump(source, target, "writer", "reader", 1 << 53)
    writer = await asyncio.create_subprocess_exec("head", "-c", str(SIZE), "/dev/zero", stdout=writer_end.fileno())
    reader = await asyncio.create_subprocess_exec(
        "head", "-c", str(SIZE), stdin=reader_end.fileno(), stdout=subprocess.DEVNULL
    )
    pump.expect(SIZE)
    await pump.over
    await asyncio.gather(writer.wait(), reader.wait())
    seconds = time.monotonic() - began
    pump.close()
    for end in (writer_end, source, target, reader_end):
        end.close()
    return SIZE / MIB / seconds


async def between_guests(daemon: PrivateDaemon) -> None:
    """Calls of one small guest to another, with the broker in a process of its own."""
    world = World(daemon.uri)
    await world.hosts.load(daemon.uri)
    world.policy_files.folder.mkdir(parents=True)
    world.policy_files.replace("30-user", POLICY)
    guest = build_python_guest(build_tiny_guest(CACHE), CACHE, daemon.folder)
    keys = [await make_crossing_domain(world, daemon.uri, guest, name, memory=256) for name in ("caller", "callee")]
    broker = subprocess.Popen([sys.executable, "-m", "qubes_manager", "broker", "--connect", daemon.uri])
    try:
        await prepare(world, *keys)
        await calls(world, keys[0])
    finally:
        broker.terminate()
        broker.wait(20)
        for name in ("caller", "callee"):
            remove_domain(daemon.uri, name)
        await world.hosts.close()


async def calls(world: World, caller: DomainKey) -> None:
    """How soon a small one is back, and how fast a big one goes."""
    words = "qrexec-client-vm callee test.Digest"
    await run_in(world, caller, f"echo | {words}")
    small = [await timed(world, caller, f"echo | {words}") for _ in range(ROUNDS)]
    say("a call between guests, there and back", statistics.median(small) * 1000, "ms", "the interpreter included")
    line = f"head -c {GUEST_SIZE} /dev/zero | qrexec-client-vm callee test.Sink"
    big = [await timed(world, caller, line) for _ in range(ROUNDS)]
    say("bytes from guest to guest", GUEST_SIZE / MIB / statistics.median(big), "MiB/s", "emulated")


async def timed(world: World, key: DomainKey, line: str) -> float:
    """Seconds by the guest's own clock."""
    now = "cut -d' ' -f1 /proc/uptime"
    said = await run_in(world, key, f"{now}; {{ {line}; }} >/dev/null; {now}")
    began, ended = map(float, said.out.split())
    return ended - began


if __name__ == "__main__":
    main()
