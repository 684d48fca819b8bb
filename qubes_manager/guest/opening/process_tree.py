"""All processes that came of this one, also those whose parents have ended."""

import ctypes
import os
import signal
from collections import defaultdict
from contextlib import suppress
from pathlib import Path

# From linux/prctl.h: orphans below this process become its children.
_PR_SET_CHILD_SUBREAPER = 36
# The signal that a process gets when its parent ends.
_PR_SET_PDEATHSIG = 1


def adopt_orphans() -> None:
    """Become the parent of whatever is left behind below this process."""
    ctypes.CDLL(None).prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)


def end_with_parent() -> None:
    """Be ended when the parent ends; for a new process, before its program."""
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM, 0, 0, 0)


def reap() -> None:
    """Take leave of children that have ended; whoever waits for one of them himself must not use this."""
    with suppress(ChildProcessError):
        while os.waitpid(-1, os.WNOHANG)[0]:
            pass


def descendants(pid: int) -> dict[int, str]:
    """Living processes below *pid*, each with the short name of its program (15 characters)."""
    children = defaultdict[int, list[tuple[int, str]]](list)
    for folder in Path("/proc").iterdir():
        if folder.name.isdigit():
            with suppress(OSError):
                # proc(5): pid (name) state ppid …; the name may hold anything.
                name, _, rest = (folder / "stat").read_text("utf-8", "replace").partition(" (")[2].rpartition(") ")
                state, parent = rest.split()[:2]
                if state != "Z":
                    children[int(parent)].append((int(folder.name), name))
    found = dict[int, str]()
    waiting = [pid]
    while waiting:
        for child, name in children[waiting.pop()]:
            if child not in found:
                found[child] = name
                waiting.append(child)
    return found
