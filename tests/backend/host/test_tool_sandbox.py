"""What a tool in its sandbox sees, and where its limits are."""

import os
import socket
from pathlib import Path

import pytest

from qubes_manager.backend.host.tool_sandbox import Limits, ToolFailed, in_sandbox, run_sandboxed
from qubes_manager.core.errors import Cancelled, NotFound, Refused, TimedOut
from tests.heard_progress import HeardProgress
from tests.waiting import PATIENCE

LIMITS = Limits(memory=256 << 20, cpu=10)


def sh(script: str, *words: str, limits: Limits = LIMITS, files: tuple[int, ...] = ()) -> str:
    return run_sandboxed(["sh", "-c", script, "sh", *words], limits, files=files, timeout=PATIENCE).decode()


def test_it_sees_the_system_and_the_file_that_it_is_given(tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("of the user")
    (tmp_path / "given").write_text("of a stranger")
    assert sh("ls /; echo $HOME").split() == ["bin", "dev", "etc", "lib", "lib64", "proc", "sbin", "usr"]
    assert sh("ls /etc; ls /home /root /tmp /var /run /sys 2>/dev/null; true").split() == ["ld.so.cache"]
    with (tmp_path / "given").open("rb") as file:
        assert sh('cat "$1"', in_sandbox(file.fileno()), files=(file.fileno(),)) == "of a stranger"
        with pytest.raises(ToolFailed, match="No such file"):
            sh('cat "$1"', str(tmp_path / "secret"))


def test_it_has_no_network_and_no_other_process() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        script = "import socket, sys; socket.create_connection(('127.0.0.1', int(sys.argv[1])))"
        with pytest.raises(ToolFailed, match=r"refused|unreachable"):
            run_sandboxed(["python3", "-c", script, str(port)], LIMITS)
    assert str(os.getpid()) not in sh("ls /proc").split()


def test_its_limits_hold(tmp_path: Path) -> None:
    with pytest.raises(ToolFailed, match="MemoryError"):
        run_sandboxed(["python3", "-c", "bytes(1 << 30)"], LIMITS)
    with pytest.raises(TimedOut, match="sh took more than 1 s of the processor"):
        sh("while :; do :; done", limits=Limits(256 << 20, 1))
    with pytest.raises(TimedOut, match="did not finish within 0 s"):
        run_sandboxed(["sleep", "60"], LIMITS, timeout=0.3)
    with pytest.raises(Refused, match=r"yes says more than 1\.0 MiB; it was stopped"):
        run_sandboxed(["yes"], LIMITS)
    target = (tmp_path / "file").open("x+b")
    with target, pytest.raises(Refused, match=r"dd would have written more than 4\.0 KiB"):
        path = in_sandbox(target.fileno())
        run_sandboxed(["dd", "if=/dev/zero", f"of={path}"], Limits(256 << 20, 10, 4096), files=[target.fileno()])


def test_it_is_fed_and_stopped() -> None:
    pieces = [b"a" * 300_000, b"b" * 5, b"c" * 300_000]
    heard: list[bytes] = []
    run_sandboxed(["cat"], LIMITS, feed=pieces, take=heard.append)
    assert b"".join(heard) == b"".join(pieces)
    # A tool that reads no further has its say all the same.
    assert run_sandboxed(["head", "-c", "3"], LIMITS, feed=pieces) == b"aaa"
    stopped = HeardProgress(stop_at="now")
    stopped.step("now")
    with pytest.raises(Cancelled):
        run_sandboxed(["sleep", "60"], LIMITS, progress=stopped)


def test_what_fails_is_said_in_one_line_that_harms_no_terminal() -> None:
    with pytest.raises(ToolFailed) as failed:
        sh(r"printf 'first\n\033]0;title\007bad\033[2J\n' >&2; exit 3")
    assert (str(failed.value), failed.value.code, failed.value.details) == ("bad", 3, "first\nbad\n")
    with pytest.raises(NotFound, match="no-such-tool is not installed"):
        run_sandboxed(["no-such-tool"], LIMITS)


def test_where_no_sandbox_can_be_made_nothing_is_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(NotFound, match="bubblewrap is not installed"):
        run_sandboxed(["cat"], LIMITS)
    fails = tmp_path / "bwrap"
    fails.write_text("#!/bin/sh\necho 'bwrap: No permissions to create new namespace' >&2\nexit 1\n")
    fails.chmod(0o755)
    with pytest.raises(
        Refused, match=r"no sandbox can be made here, .*: bwrap: No permissions to create new namespace"
    ):
        run_sandboxed(["cat"], LIMITS)
