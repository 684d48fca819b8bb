"""Does one operation on a private libvirtd and ends a process with SIGKILL before the N-th call to libvirt."""

import asyncio
import os
import signal
import traceback
from collections.abc import Callable, Mapping
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any, TypeVar
from uuid import uuid4

from qubes_manager.backend.connection.call_threads import CallThreads
from qubes_manager.backend.user.domain_lock import domain_lock
from qubes_manager.core.domain import DomainKey
from qubes_manager.core.progress import SILENT
from qubes_manager.services.disposables.lease import first_program
from tests.integration.conftest import World
from tests.integration.test_templates import app

T = TypeVar("T")


async def create(world: World, name: str) -> None:
    await world.creation.create(world.uri, app(name))


async def import_image(world: World, name: str, image: str) -> None:
    await world.creation.create(world.uri, app(name, "", klass="StandaloneVM", image=Path(image)))


async def clone(world: World, original: str, name: str) -> None:
    await world.cloning.clone(find(world, original), name)


async def remove(world: World, name: str) -> None:
    await world.removal.remove(find(world, name))


async def resize(world: World, name: str, volume: str, size: str) -> None:
    await world.volumes.resize(find(world, name), volume, int(size))


async def clear(world: World, name: str) -> None:
    await world.volumes.clear(find(world, name), "private")


async def start(world: World, name: str) -> None:
    await world.lifecycle.start(find(world, name))


async def settle(world: World, name: str) -> None:
    await world.roots.settle(find(world, name))


async def tidy(world: World, name: str) -> None:
    await world.roots.tidy(find(world, name))


async def rename(world: World, name: str, new: str) -> None:
    await world.properties.rename(find(world, name), new)


async def freeze(world: World, name: str) -> None:
    await world.frozen_copies.renew(find(world, name))


async def dispose(world: World, name: str) -> None:
    """Make a disposable and end it, without waiting for its guest."""
    key = DomainKey(world.uri, str(uuid4()))
    async with domain_lock(first_program(key), name, 0):
        await world.disposable_starts.start(find(world, name), key, "", SILENT)
        await world.disposables.end(key)


def find(world: World, name: str) -> DomainKey:
    return next(d.key for d in world.store.domains.values() if d.name == name)


def do(
    answer: Connection, environment: Mapping[str, str], uri: str, victim: int, number: int, *operation: object
) -> None:
    """Do the operation; *victim* is the process id of libvirtd, or 0 for this process.

    Answers with the number of calls that were made or begun, and with what went wrong.
    """
    os.environ.update(environment)
    answer.send(asyncio.run(_count_calls(uri, victim, number, *map(str, operation))))


async def _count_calls(uri: str, victim: int, number: int, operation: str, *arguments: str) -> tuple[int, str]:
    world = World(uri, watch=False)
    await world.hosts.load(uri)
    count = 0
    honest = CallThreads.run

    async def run(self: CallThreads, what: str, func: Callable[..., T], *args: Any, **options: Any) -> T:
        nonlocal count
        count += 1
        if count == number:
            os.kill(victim or os.getpid(), signal.SIGKILL)
        return await honest(self, what, func, *args, **options)

    CallThreads.run = run  # type: ignore[method-assign]
    try:
        await globals()[operation](world, *arguments)
    except (Exception, asyncio.CancelledError):
        return count, traceback.format_exc()
    return count, ""
