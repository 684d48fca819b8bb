"""Ends brokers that commands of tests have started: they would keep the ports of the guests that other tests share."""

import contextlib
import os
import signal
from collections.abc import Iterator
from pathlib import Path

from tests.waiting import wait_until

# The variable that names a file which is there as long as the test, or what it shares with others.
ALIVE = "QUBES_MANAGER_TEST"


def end_brokers(alive: Path) -> None:
    """End the brokers that were told of that file: one that has only just been started listens nowhere yet."""
    for pid, told in brokers():
        if told == alive:
            _end(pid)


def end_strays() -> None:
    """End brokers of tests that are over: one that was just being started was no broker yet when its test ended."""
    for pid, told in brokers():
        if not told.exists():
            _end(pid)


def brokers() -> Iterator[tuple[int, Path]]:
    """The brokers that run for tests, each with the file that lasts as long as its test."""
    for process in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            if b"\0qubes_manager\0broker\0" in (process / "cmdline").read_bytes():
                words = (process / "environ").read_bytes().decode(errors="replace").split("\0")
                for word in words:
                    if word.startswith(f"{ALIVE}="):
                        yield int(process.name), Path(word.partition("=")[2])


def _end(pid: int) -> None:
    """End a process; one that does not end when it is told to is killed."""
    for number in (signal.SIGTERM, signal.SIGKILL):
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, number)
        until_gone(pid)


def until_gone(pid: int) -> None:
    """Wait until a process has ended; whoever started it may look at it later."""
    wait_until(lambda: has_ended(pid), f"process {pid} ends")


def has_ended(pid: int) -> bool:
    """Whether a process has ended, though whoever started it may not have looked at it yet."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except (FileNotFoundError, ProcessLookupError):
        return True
