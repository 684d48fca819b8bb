"""One change of several steps at a time on a domain, whatever programs of ours run."""

import asyncio
import contextlib
import fcntl
import os
from collections.abc import AsyncIterator

from qubes_manager.backend.user.user_folder import user_folder
from qubes_manager.core.errors import Refused

WAIT = 60.0
_PAUSE = 0.05


@contextlib.asynccontextmanager
async def domain_lock(uuid: str, name: str, wait: float = WAIT, *, shared: bool = False) -> AsyncIterator[None]:
    """Hold the lock of a domain; raises Refused when another program still has it after *wait* seconds.

    Several may hold a *shared* lock at once: who only needs that nobody changes the domain meanwhile.

    The kernel lets go of it when its holder dies, however it dies: who gets the lock of a domain on which a change
    was begun knows that nobody will finish it.
    """
    handle = await asyncio.to_thread(_open, uuid)
    try:
        deadline = asyncio.get_running_loop().time() + wait
        while not _try_lock(handle, fcntl.LOCK_SH if shared else fcntl.LOCK_EX):
            if asyncio.get_running_loop().time() >= deadline:
                raise Refused(f"“{name}” is being changed by another qubes-manager: try again when it has finished")
            await asyncio.sleep(_PAUSE)
        yield
    finally:
        os.close(handle)


def _open(uuid: str) -> int:
    return os.open(user_folder() / f"{uuid}.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)


def _try_lock(handle: int, kind: int) -> bool:
    try:
        fcntl.flock(handle, kind | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
