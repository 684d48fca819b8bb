"""Runs a program, and reaps at once whatever it or its children leave behind: reaper.py PROGRAM [ARGUMENT …].

An ended QEMU belongs to nobody but init, and libvirt waits until it has been reaped. The init of a container may take
more than a second for that, which makes minutes over a whole test run.
"""

import ctypes
import os
import signal
import sys

# From linux/prctl.h.
_PR_SET_CHILD_SUBREAPER = 36


def main() -> int:
    ctypes.CDLL(None).prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
    program = os.spawnvp(os.P_NOWAIT, sys.argv[1], sys.argv[1:])
    # A terminal sends this to the program too.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, lambda number, _frame: os.kill(program, number))
    while True:
        pid, status = os.wait()
        if pid == program:
            return os.waitstatus_to_exitcode(status)


if __name__ == "__main__":
    sys.exit(main())
