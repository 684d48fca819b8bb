"""Measures disposables, made anew and kept ready: from the click to a Debian guest's window, to a small guest's answer.

``python -m bench.disposables commands`` measures the latter only, which takes a minute instead of ten.
"""

import asyncio
import functools
import statistics
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable
from pathlib import Path

from bench import figures
from bench.own_host import own_desk
from qubes_manager.backend.guests.tiny_guest import build_tiny_guest
from qubes_manager.backend.host.private_daemon import PrivateDaemon
from qubes_manager.core.creation_request import CreationRequest
from qubes_manager.core.domain import DomainClass, DomainKey
from tests.conftest import CACHE
from tests.desk import Desk
from tests.integration.conftest import DEBIAN, World, remove_all
from tests.integration.templates import make_tiny_template
from tests.integration.test_templates import app

TURNS = 3
Use = Callable[[World, DomainKey], Awaitable[float]]
# What a guest has when its session takes windows.
SESSION = "until [ -S /run/qubes-manager-gui/xpra.sock ]; do sleep 0.1; done"

say = functools.partial(figures.say, "disposables")


def main() -> None:
    """Measure and print."""
    with own_desk() as (daemon, desk):
        asyncio.run(measure(daemon, desk))


async def measure(daemon: PrivateDaemon, desk: Desk) -> None:
    """All figures, in one run."""
    world = World(daemon.uri)
    world.hosts.follow(daemon.uri)
    await world.until(lambda: world.named("dom0"), "libvirt answers")
    await measure_commands(world)
    if "commands" not in sys.argv:
        await measure_windows(world, desk)
    await world.hosts.close()


async def measure_commands(world: World) -> None:
    """A command in the small guest."""
    guest = await asyncio.to_thread(build_tiny_guest, CACHE)
    with tempfile.TemporaryDirectory(dir="/var/tmp") as folder:
        await make_tiny_template(world, guest, Path(folder))
    base = await world.creation.create(world.uri, app("base", template_for_dispvms=True))
    await world.frozen_copies.renew(base)
    await compare(world, base, "answer", in_command, lambda: boot(world, base, "true"))
    await remove_all(world)


async def measure_windows(world: World, desk: Desk) -> None:
    """A terminal's window of a Debian guest, on a virtual screen."""
    await world.templates.build(world.uri, "debian", DEBIAN, cache=CACHE, memory=1024)
    request = CreationRequest("base", "red", DomainClass.APP, template="debian", memory=1024, template_for_dispvms=True)
    base = await world.creation.create(world.uri, request)
    await asyncio.to_thread(desk.run, "qvm-window-prefs", "global", "startup_timeout", 240)
    # The first start formats the private volume, and the first disposable copies it.
    await boot(world, base, SESSION)
    await world.frozen_copies.renew(base)
    await compare(world, base, "window", in_window, lambda: boot(world, base, SESSION))
    await remove_all(world)


async def compare(world: World, base: DomainKey, what: str, use: Use, start: Callable[[], Awaitable[float]]) -> None:
    """Measure a use of a disposable each way, and the boot of its template, in turns."""
    boots, cold, ready = [], [], []
    for _ in range(TURNS):
        boots.append(await start())
        cold.append(await use(world, base))
        await world.preloaded.boot(base)
        ready.append(await use(world, base))
    middle = statistics.median
    say(f"the AppVM itself: start to the {what}", middle(boots), "s", "software emulation")
    say(f"a disposable made anew: click to the {what}", middle(cold), "s")
    say(f"one kept ready: click to the {what}", 1000 * middle(ready), "ms")
    say("kept ready against made anew", 100 * middle(ready) / middle(cold), "%", "(goal: 10)")


async def boot(world: World, key: DomainKey, until: str) -> float:
    """Seconds that a start of the AppVM itself takes until a command has ended in it."""
    begun = time.perf_counter()
    await world.lifecycle.start(key)
    await world.commands.run(key, until, user="root", startup_timeout=240)
    seconds = time.perf_counter() - begun
    await world.lifecycle.shutdown(key, 120)
    return seconds


async def in_window(world: World, base: DomainKey) -> float:
    """Seconds until an application of a new disposable has a window."""
    begun = time.perf_counter()
    key, has_window = await world.launching.in_disposable(base, "debian-xterm")
    assert has_window
    seconds = time.perf_counter() - begun
    await world.disposables.end(key)
    return seconds


async def in_command(world: World, base: DomainKey) -> float:
    """Seconds until a command in a new disposable has said something."""
    begun = time.perf_counter()
    heard: list[bytes] = []
    say_it: Callable[[bytes], None] = heard.append
    async with world.disposables.new(base) as key:
        await world.commands.run(key, "echo well", out=say_it)
    assert heard == [b"well\n"]
    seconds = time.perf_counter() - begun
    await world.disposables.end(key)
    return seconds


if __name__ == "__main__":
    main()
