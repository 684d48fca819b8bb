"""Threads for the blocking calls of one connection."""

import asyncio
import queue
import threading
from collections.abc import Callable
from typing import Any, TypeVar

import libvirt

from qubes_manager.backend.connection.libvirt_errors import translate
from qubes_manager.backend.user.own_thread import settle
from qubes_manager.core.errors import HostUnreachable, TimedOut

T = TypeVar("T")
# libvirtd serves five requests a client at a time by default; one stays free for the host's pulse.
SIZE = 4
CALL_TIMEOUT = 30.0

_Job = Callable[[], None]


class CallThreads:
    """At most *size* daemon threads; a call that hangs holds its thread, never the program's end.

    ``concurrent.futures`` is not used because the interpreter waits for its threads at exit.
    """

    def __init__(self, name: str, size: int = SIZE) -> None:
        self._name = name
        self._size = size
        self._jobs: queue.SimpleQueue[_Job | None] = queue.SimpleQueue()
        self._threads = 0
        self._unfinished = 0
        self._lock = threading.Lock()
        # What is waited for, by what it does.
        self._waiting: dict[asyncio.Future[Any], str] = {}

    async def run(
        self,
        what: str,
        func: Callable[..., T],
        *args: object,
        timeout: float | None = CALL_TIMEOUT,
        always: bool = False,
    ) -> T:
        """Run ``func(*args)`` in a thread and return its result.

        *what* names the action in errors; *timeout* is in seconds, None for no limit. A call that nobody waits for any
        more when a thread has time for it is not made, unless *always*. Raises TimedOut, or our own error for a
        libvirtError.
        """
        loop = asyncio.get_running_loop()
        future: asyncio.Future[T] = loop.create_future()

        def job() -> None:
            if future.cancelled() and not always:
                return
            try:
                result = func(*args)
            except BaseException as error:
                settle(loop, future, error, None)
            else:
                settle(loop, future, None, result)

        self._waiting[future] = what
        self._submit(job)
        try:
            async with asyncio.timeout(timeout):
                return await future
        except TimeoutError:
            raise TimedOut(f"cannot {what}: the host did not answer within {timeout:.0f} s") from None
        except libvirt.libvirtError as error:
            raise translate(error, what) from error
        finally:
            del self._waiting[future]

    def close(self) -> None:
        """Let every thread end when its call does; who waits for one is told that it has failed."""
        for future, what in self._waiting.items():
            if not future.done():
                future.set_exception(HostUnreachable(f"cannot {what}: the connection to the host is gone"))
        for _ in range(self._threads):
            self._jobs.put(None)

    def _submit(self, job: _Job) -> None:
        # A job whose waiter has given up still holds its thread, so the threads themselves say when it ends.
        with self._lock:
            self._unfinished += 1
            is_new = self._unfinished > self._threads and self._threads < self._size
            self._threads += is_new
        if is_new:
            threading.Thread(target=self._work, name=f"{self._name}-{self._threads}", daemon=True).start()
        self._jobs.put(job)

    def _work(self) -> None:
        while job := self._jobs.get():
            job()
            with self._lock:
                self._unfinished -= 1
