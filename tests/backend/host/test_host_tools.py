"""Programs of the host: what they say, and how they are ended with all that they started."""

import time

import pytest

from qubes_manager.backend.host.host_tools import run_long_tool, run_tool_now
from qubes_manager.core.errors import Cancelled, NotFound, QubesManagerError, TimedOut
from tests.heard_progress import HeardProgress
from tests.strays import until_gone


def test_every_line_is_heard_and_the_last_says_what_failed() -> None:
    lines: list[str] = []
    with pytest.raises(QubesManagerError, match="sh failed: no room") as caught:
        run_long_tool(["sh", "-c", r"printf 'one\rtwo\n'; echo 'no room' >&2; exit 3"], on_line=lines.append)
    assert lines == ["one", "two", "no room"]
    assert caught.value.details == "one\ntwo\nno room"


def test_a_tool_that_is_cancelled_is_ended_with_what_it_started() -> None:
    progress = HeardProgress(stop_at="ready")
    pids: list[int] = []

    def hear(line: str) -> None:
        pids.append(int(line))
        progress.step("ready")

    with pytest.raises(Cancelled):
        run_long_tool(["sh", "-c", "sleep 600 & echo $!; wait"], on_line=hear, progress=progress)
    assert len(pids) == 1
    until_gone(pids[0])


def test_a_tool_that_takes_too_long_is_ended() -> None:
    start = time.monotonic()
    with pytest.raises(TimedOut, match="sleep did not finish within 0 s"):
        run_long_tool(["sleep", "600"], on_line=print, timeout=0.3)
    assert time.monotonic() - start < 30


def test_tools_that_fail_say_so_in_one_line() -> None:
    with pytest.raises(NotFound, match="no-such-tool is not installed"):
        run_tool_now(["no-such-tool"])
    with pytest.raises(QubesManagerError, match=r"ls failed: .*No such file"):
        run_tool_now(["ls", "/no/such/file"])
    with pytest.raises(TimedOut, match="sleep did not finish"):
        run_tool_now(["sleep", "5"], timeout=0.1)
