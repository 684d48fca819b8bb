"""Ten minutes of lies to a viewer's session, or SECONDS of them, and a fifth of that to a whole viewer on each desktop.

What they cost at most, in time and in memory.
"""

import functools
import sys
import time

from bench import figures
from tests.viewers.trial import DESKTOPS, a_trial
from tests.viewers.wire.fuzz import Findings, Fuzzer

SECONDS = 600
# With work and memory measured each case takes several times as long.
_MEASURED = 20

say = functools.partial(figures.say, "wire")


def main() -> None:
    """Try new seeds until time is up; a seed that fails ends it, and is named."""
    seconds = float(sys.argv[1]) if len(sys.argv) > 1 else SECONDS
    _to_sessions(seconds)
    for desktop in DESKTOPS:
        _to_viewers(desktop, seconds / 5)


def _to_sessions(seconds: float) -> None:
    fuzzer, found, measured = Fuzzer(), Findings(), Findings()
    end, seed = time.monotonic() + seconds, time.time_ns() & 0xFFFFFFFF
    while time.monotonic() < end:
        if seed % _MEASURED:
            fuzzer.try_seed(seed, found)
        else:
            fuzzer.try_seed(seed, measured, measured=True)
        seed += 1
    say("conversations with lies", found.cases + measured.cases, "")
    say("packets that came of them", found.packets + measured.packets, "")
    say("calls of functions for the dearest packet", measured.work / 2, "")
    say("the slowest packet", found.slowest * 1000, "ms")
    say("most memory beyond the bytes themselves", measured.memory / (1 << 20), "MiB")


def _to_viewers(desktop: str, seconds: float) -> None:
    with a_trial(desktop) as trial:
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            seed = time.time_ns() & 0xFFFFFFFF
            trial.lie(seed)
            trial.nobody_suffers(f"lies of seed {seed}")
        say(f"{desktop}: packets that a viewer bore", trial.liar.server.said, "")
        say(f"{desktop}: events that it made of them", len(trial.liar.viewer.events), "")
        say(f"{desktop}: its address space at most", trial.liar.memory() / (1 << 20), "MiB")


if __name__ == "__main__":
    main()
