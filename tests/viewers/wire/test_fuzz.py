"""Lies of servers, by the thousand: each is a packet, dropped or the end of the session, for little work and memory."""

import time

from tests.viewers.wire.fuzz import MOST_MEMORY, MOST_WORK, Findings, Fuzzer

# The same lies each time, then as many others as there is time for.
SAME, SECONDS = 300, 15


def test_no_lie_is_more_than_a_packet_or_the_end_of_the_session() -> None:
    fuzzer, found = Fuzzer(), Findings()
    end, seed = time.monotonic() + SECONDS, 0
    while seed < SAME or time.monotonic() < end:
        fuzzer.try_seed(seed if seed < SAME else time.time_ns() & 0xFFFFFFFF, found)
        seed += 1
    assert found.packets > SAME


def test_no_lie_takes_more_work_and_memory_than_it_has_bytes() -> None:
    fuzzer, found = Fuzzer(), Findings()
    # Those of them that say most are among these.
    for seed in range(100, 200):
        fuzzer.try_seed(seed, found, measured=True)
    assert found.memory < MOST_MEMORY, found
    assert found.work < MOST_WORK, found
