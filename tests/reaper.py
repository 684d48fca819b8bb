"""Runs a program, reaps at once whatever it or its children leave behind, and ends what is left of them when it has
ended: reaper.py PROGRAM [ARGUMENT …].

An ended QEMU belongs to nobody but init, and libvirt waits until it has been reaped. The init of a container may take
more than a second for that, which makes minutes over a whole test run.
"""

import contextlib
import ctypes
import os
import signal
import sys
import time
from pathlib import Path

# From linux/prctl.h.
_PR_SET_CHILD_SUBREAPER = 36
# Seconds that what is left over has for its own end, and between two looks.
_PATIENCE, _PAUSE = 5.0, 0.05


def main() -> int:
    ctypes.CDLL(None).prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
    program = os.spawnvp(os.P_NOWAIT, sys.argv[1], sys.argv[1:])
    # A terminal sends this to the program too.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, lambda number, _frame: os.kill(program, number))
    while True:
        pid, status = os.wait()
        if pid == program:
            _end_the_rest()
            return os.waitstatus_to_exitcode(status)


def _end_the_rest() -> None:
    """End all that the program left running; what those leave becomes ours too."""
    end = time.monotonic() + _PATIENCE
    while left := _children():
        number = signal.SIGTERM if time.monotonic() < end else signal.SIGKILL
        for pid in left:
            os.kill(pid, number)
        time.sleep(_PAUSE)
        with contextlib.suppress(ChildProcessError):
            while os.waitpid(-1, os.WNOHANG)[0]:
                pass


def _children() -> list[int]:
    return [int(pid) for tasks in Path("/proc/self/task").glob("*/children") for pid in tasks.read_text().split()]


if __name__ == "__main__":
    sys.exit(main())
