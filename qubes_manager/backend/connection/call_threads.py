"""Threads for the blocking calls of one connection."""

import asyncio
import contextlib
import queue
import threading
from collections.abc import Callable
from typing import TypeVar

import libvirt

from qubes_manager.backend.connection.libvirt_errors import translate
from qubes_manager.core.errors import TimedOut

T = TypeVar("T")
# libvirtd serves five requests a client at a time by default; one stays free for keepalive and events.
SIZE = 4
CALL_TIMEOUT = 30.0

_Job = Callable[[], None]


class CallThreads:
    """At most SIZE daemon threads; a call that hangs holds its thread, never the program's end.

    ``concurrent.futures`` is not used because the interpreter waits for its threads at exit.
    """

    def __init__(self, name: str) -> None:
        self._name = name
        self._jobs: queue.SimpleQueue[_Job | None] = queue.SimpleQueue()
        self._threads = 0
        self._unfinished = 0
        self._lock = threading.Lock()

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
                _settle(loop, future, error, None)
            else:
                _settle(loop, future, None, result)

        self._submit(job)
        try:
            async with asyncio.timeout(timeout):
                return await future
        except TimeoutError:
            raise TimedOut(f"cannot {what}: the host did not answer within {timeout:.0f} s") from None
        except libvirt.libvirtError as error:
            raise translate(error, what) from error

    def close(self) -> None:
        """Let every thread end when its call does."""
        for _ in range(self._threads):
            self._jobs.put(None)

    def _submit(self, job: _Job) -> None:
        # A job whose waiter has given up still holds its thread, so the threads themselves say when it ends.
        with self._lock:
            self._unfinished += 1
            is_new = self._unfinished > self._threads and self._threads < SIZE
            self._threads += is_new
        if is_new:
            threading.Thread(target=self._work, name=f"{self._name}-{self._threads}", daemon=True).start()
        self._jobs.put(job)

    def _work(self) -> None:
        while job := self._jobs.get():
            job()
            with self._lock:
                self._unfinished -= 1


def _settle(
    loop: asyncio.AbstractEventLoop, future: "asyncio.Future[T]", error: BaseException | None, result: T | None
) -> None:
    def set_it() -> None:
        if future.done():
            return
        if error is None:
            future.set_result(result)  # type: ignore[arg-type]
        else:
            future.set_exception(error)

    # The loop may be closed by the time a hung call returns; nobody waits for it then.
    with contextlib.suppress(RuntimeError):
        loop.call_soon_threadsafe(set_it)
