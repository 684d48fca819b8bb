"""One change at a time on a domain, or on a file of the user's, whatever programs of ours run."""

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

from qubes_manager.backend.user.byte_lock import ByteLock
from qubes_manager.core.errors import Refused

WAIT = 60.0
# Less than a call to libvirt may take, so that who waits hears of the lock and not of the host.
EDIT_WAIT = 20.0
_PAUSE, _EDIT_PAUSE = 0.05, 0.003


@contextlib.asynccontextmanager
async def domain_lock(uuid: str, name: str, wait: float = WAIT, *, shared: bool = False) -> AsyncIterator[None]:
    """Hold a domain for a change of several steps; raises Refused when another program has it after *wait* seconds.

    Several may hold a *shared* lock at once: who only needs that nobody changes the domain meanwhile.

    The kernel lets go of it when its holder dies, however it dies: who gets the lock of a domain on which a change
    was begun knows that nobody will finish it.
    """
    lock = await asyncio.to_thread(ByteLock, f"domain {uuid}")
    try:
        deadline = asyncio.get_running_loop().time() + wait
        while not lock.try_hold(shared=shared):
            if asyncio.get_running_loop().time() >= deadline:
                raise _busy(name)
            await asyncio.sleep(_PAUSE)
        yield
    finally:
        lock.close()


@contextlib.contextmanager
def edit_lock(uuid: str, name: str, wait: float = EDIT_WAIT) -> Iterator[None]:
    """Hold what a domain's configuration says, from reading it to writing it: some milliseconds. Blocks.

    Edits are steps of longer changes, so it is another lock than theirs; nothing else is taken while it is held.
    Raises Refused when another program has it after *wait* seconds.
    """
    with _short_lock(f"edit {uuid}", _busy(name), wait):
        yield


@contextlib.contextmanager
def file_lock(path: Path, wait: float = EDIT_WAIT) -> Iterator[None]:
    """Hold a file of the user's from reading it to writing it. Blocks; raises Refused after *wait* seconds."""
    busy = Refused(f"{path} is being written by another qubes-manager: try again when it has finished")
    with _short_lock(f"file {path}", busy, wait):
        yield


@contextlib.contextmanager
def _short_lock(name: str, busy: Refused, wait: float) -> Iterator[None]:
    lock = ByteLock(name)
    try:
        deadline = time.monotonic() + wait
        while not lock.try_hold():
            if time.monotonic() >= deadline:
                raise busy
            time.sleep(_EDIT_PAUSE)
        yield
    finally:
        lock.close()


def _busy(name: str) -> Refused:
    return Refused(f"“{name}” is being changed by another qubes-manager: try again when it has finished")
