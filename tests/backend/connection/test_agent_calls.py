"""Calls that wait for agents: few at once, each with an end, and none left behind."""

import asyncio
import threading
from functools import partial

import libvirt
import pytest

from qubes_manager.backend.connection.agent_calls import SLOTS, AgentCalls, agent_may_take
from qubes_manager.backend.connection.call_threads import SIZE, CallThreads
from qubes_manager.core.errors import TimedOut
from tests.waiting import PATIENCE


async def test_however_many_agents_are_mute_some_threads_stay_free() -> None:
    threads = CallThreads("test")
    calls = AgentCalls(threads)
    answers = threading.Event()
    mute = [asyncio.create_task(calls.run("ask", answers.wait, 60)) for _ in range(3 * SIZE)]
    for _ in range(SIZE - SLOTS):
        assert await threads.run("add", lambda: 1 + 1, timeout=PATIENCE) == 2
    answers.set()
    assert await asyncio.gather(*mute) == [True] * len(mute)
    threads.close()


async def test_a_slot_is_free_when_its_call_is_back_and_what_nobody_waits_for_is_not_called() -> None:
    threads = CallThreads("test")
    calls = AgentCalls(threads)
    answers = threading.Event()
    for _ in range(SLOTS):
        with pytest.raises(TimedOut, match="cannot ask: the host did not answer"):
            await calls.run("ask", answers.wait, 0.05)
    called: list[int] = []
    waiting = [asyncio.create_task(calls.run("ask", partial(called.append, n), PATIENCE)) for n in range(3)]
    await asyncio.sleep(0.1)
    # Both slots are still held inside libvirt.
    assert called == []
    waiting[1].cancel()
    answers.set()
    await asyncio.gather(*waiting, return_exceptions=True)
    assert called == [0, 2]
    threads.close()


class Domain:
    """Stands for libvirt's handle; *error* is what it says of the time."""

    def __init__(self, error: libvirt.libvirtError | None = None) -> None:
        self.times: list[int] = []
        self._error = error

    def agentSetResponseTimeout(self, seconds: int, _flags: int) -> None:
        self.times.append(seconds)
        if self._error:
            raise self._error


def _error(code: int) -> libvirt.libvirtError:
    error = libvirt.libvirtError("no")
    error.err = (code, 0, "no", 0, "", "", "", 0, 0)
    return error


def test_the_time_is_short_within_and_long_enough_for_others_afterwards() -> None:
    domain = Domain()
    with pytest.raises(ZeroDivisionError), agent_may_take(domain, 2):
        assert domain.times == [2]
        raise ZeroDivisionError
    assert domain.times == [2, 60]


def test_without_a_time_no_agent_is_asked_unless_the_driver_has_none() -> None:
    with agent_may_take(Domain(_error(libvirt.VIR_ERR_NO_SUPPORT)), 2):
        pass
    with pytest.raises(libvirt.libvirtError), agent_may_take(Domain(_error(libvirt.VIR_ERR_OPERATION_INVALID)), 2):
        pytest.fail("an agent would be asked without an end")
