"""Measures domains from templates on a private libvirtd: starting, making, cloning, and what they take on the disk."""

import asyncio
import functools
import statistics
import subprocess
import time
from collections.abc import Awaitable, Callable
from dataclasses import replace
from pathlib import Path

from bench import figures
from qubes_manager.backend.host.private_daemon import PrivateDaemon
from qubes_manager.core.creation_request import CreationRequest
from qubes_manager.core.domain import DomainClass, DomainKey
from tests.conftest import CACHE, own_daemon
from tests.integration.conftest import DEBIAN, World, remove_all

STARTS = 3
APPS = 10


say = functools.partial(figures.say, "templates")


def main() -> None:
    """Measure and print."""
    with own_daemon() as daemon:
        asyncio.run(measure(daemon))


async def measure(daemon: PrivateDaemon) -> None:
    """All figures, in one run."""
    world = World(daemon.uri)
    world.hosts.follow(daemon.uri)
    await world.until(lambda: world.named("dom0"), "libvirt answers")
    template = await world.templates.build(world.uri, "debian", DEBIAN, cache=CACHE, memory=1024)
    root = next(v for v in await world.volumes.list(world.store.domains[template]) if v.role.value == "root")
    assert root.sizes
    say("the template’s root", root.sizes.allocation / 1e9, "GB", f"{root.sizes.capacity / (1 << 30):.0f} GiB inside")
    await measure_making(world, template)
    await measure_starts(daemon, world)
    await remove_all(world)
    await world.hosts.close()


def request(name: str, **changes: object) -> CreationRequest:
    """An AppVM as the form proposes it, with little memory."""
    made = CreationRequest(name, "blue", DomainClass.APP, template="debian", memory=1024)
    return replace(made, **changes)  # type: ignore[arg-type]


async def timed(work: Awaitable[object]) -> float:
    """Milliseconds that *work* takes."""
    start = time.perf_counter()
    await work
    return 1000 * (time.perf_counter() - start)


async def measure_making(world: World, template: DomainKey) -> None:
    """Creating and cloning, and the room that ten domains take."""
    pool = await world.hosts.connection(world.uri).call(
        "find the pool",
        lambda raw: Path(raw.storagePoolLookupByName("qubes-manager").listAllVolumes()[0].path()).parent,
    )
    before = taken(pool)
    times = [await timed(world.creation.create(world.uri, request(f"app{n}"))) for n in range(APPS)]
    say("an AppVM is made in", statistics.median(times), "ms", "(goal: 1000)")
    say(f"{APPS} AppVMs take", (taken(pool) - before) / 1e6, "MB", "before their first start")
    times = [await timed(world.cloning.clone(template, f"copy{n}")) for n in range(3)]
    say("the template is cloned in", statistics.median(times), "ms", "(goal: 1000)")
    say("3 clones take", (taken(pool) - before) / 1e6, "MB", f"with the {APPS} AppVMs; their kernels are copies")


def taken(folder: Path) -> int:
    """Bytes that the files of a folder take on the disk."""
    return sum(path.stat().st_blocks * 512 for path in folder.iterdir())


async def measure_starts(daemon: PrivateDaemon, world: World) -> None:
    """From the start to the guest agent's first answer: by us and by virsh, in turns, of the same domain."""
    key = world.existing("app0").key
    ours: Callable[[], Awaitable[object]] = lambda: world.lifecycle.start(key)  # noqa: E731

    async def virsh() -> None:
        command = ["virsh", "-q", "-c", daemon.uri, "start", "app0"]
        await asyncio.to_thread(subprocess.run, command, check=True, stdout=subprocess.DEVNULL)

    async def until_agent(start: Callable[[], Awaitable[object]]) -> float:
        before = time.perf_counter()
        await start()
        await world.until(lambda: world.store.domains[key].agent, "the agent answers")
        elapsed = time.perf_counter() - before
        await world.lifecycle.kill(key)
        return elapsed

    # The first start formats the private volume.
    await until_agent(ours)
    times: dict[str, list[float]] = {"ours": [], "virsh": []}
    for _ in range(STARTS):
        times["virsh"].append(await until_agent(virsh))
        times["ours"].append(await until_agent(ours))
    middle = {name: statistics.median(found) for name, found in times.items()}
    say("start to the agent’s answer, by virsh", middle["virsh"], "s", "software emulation")
    say("start to the agent’s answer, by us", middle["ours"], "s")
    say("ours against virsh’s", 100 * middle["ours"] / middle["virsh"], "%", "(goal: 105)")


if __name__ == "__main__":
    main()
