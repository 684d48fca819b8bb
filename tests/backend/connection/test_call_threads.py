"""Calls that block, kept off the caller’s thread."""

import pytest

from qubes_manager.backend.connection.call_threads import SIZE, CallThreads
from qubes_manager.core.errors import TimedOut


async def test_a_hung_call_times_out_and_others_go_on() -> None:
    import threading

    release = threading.Event()
    threads = CallThreads("test")
    for _ in range(SIZE - 1):
        with pytest.raises(TimedOut, match="cannot wait: the host did not answer within 0 s"):
            await threads.run("wait", release.wait, timeout=0.05)
    assert await threads.run("add", lambda: 1 + 1) == 2
    release.set()
    threads.close()


async def test_errors_of_a_call_come_back_as_they_are() -> None:
    threads = CallThreads("test")
    with pytest.raises(ZeroDivisionError):
        await threads.run("divide", lambda: 1 / 0)
    threads.close()
