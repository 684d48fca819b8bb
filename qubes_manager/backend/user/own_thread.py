"""Threads of their own for work that may hang, in a file system that does not answer.

They are daemon threads: the program's end waits for those of ``concurrent.futures``, and a few that hang there would
keep all others from the loop's own.
"""

import asyncio
import contextlib
import queue
import threading
from collections.abc import Callable
from typing import ParamSpec, TypeVar

from qubes_manager.core.errors import Cancelled

P = ParamSpec("P")
T = TypeVar("T")


async def in_own_thread(func: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    """The result of *func*, which runs in a new thread; it runs on when nobody waits for it any more."""
    loop = asyncio.get_running_loop()
    outcome: asyncio.Future[T] = loop.create_future()
    work = _settling(loop, outcome, lambda: func(*args, **kwargs))
    threading.Thread(target=work, name=getattr(func, "__name__", "work"), daemon=True).start()
    return await outcome


class OwnThread:
    """A thread that does what it is given, one after the other, until something fails: then only the end is left."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._jobs: queue.SimpleQueue[Callable[[], None] | None] = queue.SimpleQueue()
        self._thread: threading.Thread | None = None
        self._error: BaseException | None = None
        self._is_over = False

    async def run(self, func: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """The result of *func*; raises what has failed before."""

        def work() -> T:
            self._raise()
            try:
                return func(*args, **kwargs)
            except BaseException as error:
                self._error = error
                raise

        self._raise()
        return await self._outcome(work)

    async def end(self, func: Callable[[], object], patience: float) -> None:
        """Leave out what waits, run *func* as the last thing of all, and wait at most *patience* seconds for that.

        What has ended does nothing more.
        """
        if self._is_over:
            return
        self._is_over = True
        if self._error is None:
            self._error = Cancelled()
        outcome = self._outcome(func)
        self._jobs.put(None)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(patience):
                await outcome

    def _outcome(self, work: Callable[[], T]) -> "asyncio.Future[T]":
        loop = asyncio.get_running_loop()
        outcome: asyncio.Future[T] = loop.create_future()
        self._jobs.put(_settling(loop, outcome, work))
        if self._thread is None:
            self._thread = threading.Thread(target=self._work, name=self._name, daemon=True)
            self._thread.start()
        return outcome

    def _work(self) -> None:
        while job := self._jobs.get():
            job()

    def _raise(self) -> None:
        if self._error is not None:
            raise self._error


def settle(
    loop: asyncio.AbstractEventLoop, outcome: "asyncio.Future[T]", error: BaseException | None, result: T | None
) -> None:
    """Tell *outcome*, from a thread, if anybody waits for it still."""

    def set_it() -> None:
        if outcome.done():
            return
        if error is None:
            outcome.set_result(result)  # type: ignore[arg-type]
        else:
            outcome.set_exception(error)

    # The loop may be closed by the time a call that hung returns; nobody waits for it then.
    with contextlib.suppress(RuntimeError):
        loop.call_soon_threadsafe(set_it)


def _settling(
    loop: asyncio.AbstractEventLoop, outcome: "asyncio.Future[T]", work: Callable[[], T]
) -> Callable[[], None]:
    """Does *work*, in a thread, and tells *outcome*."""

    def job() -> None:
        try:
            result = work()
        except BaseException as error:
            settle(loop, outcome, error, None)
        else:
            settle(loop, outcome, None, result)

    return job
