"""Work in a process that is killed before its N-th step with files: what it leaves is what a SIGKILL leaves there."""

import os
import signal
import sys
import traceback
from collections.abc import Callable, Iterator
from types import FrameType

# What changes something, or comes between two changes, by the names of Python's own functions; the last two of ours
# call the kernel past them.
_STEPS = frozenset(
    {"open", "mkdir", "rename", "replace", "unlink", "rmdir", "link", "symlink", "chmod", "fchmod", "utime", "write"}
    | {"fsync", "sendfile", "setxattr", "flock"}
)
_OWN_STEPS = frozenset({"_rename", "sync_file_system"})
_MOST = 400


def at_each_step(work: Callable[[], object]) -> Iterator[bool]:
    """Do *work* again and again, killed a step later each time, until it gets through: whether it has, each time."""
    for number in range(1, _MOST):
        has_ended = _is_through(number, work)
        yield has_ended
        if has_ended:
            assert number > 5, "it did nothing"
            return
    raise AssertionError("it never got through")


def _is_through(number: int, work: Callable[[], object]) -> bool:
    pid = os.fork()
    if not pid:
        code = 1
        try:
            sys.setprofile(_Killer(number))
            work()
            code = 0
        except BaseException:
            traceback.print_exc()
        finally:
            sys.setprofile(None)
            os._exit(code)
    code = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    assert code in (0, -signal.SIGKILL), "it failed before it was killed"
    return code == 0


class _Killer:
    """Kills its own process before the step of that number."""

    def __init__(self, number: int) -> None:
        self._left = number

    def __call__(self, frame: FrameType, event: str, what: object) -> None:
        is_step = (event == "c_call" and getattr(what, "__name__", "") in _STEPS) or (
            event == "call" and frame.f_code.co_name in _OWN_STEPS
        )
        self._left -= is_step
        if not self._left:
            os.kill(os.getpid(), signal.SIGKILL)
