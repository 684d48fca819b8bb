"""Running the host's own tools (qemu-img, lsblk, …) without blocking an event loop."""

import contextlib
import math
import os
import selectors
import signal
import subprocess
import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType

from qubes_manager.core.errors import NotFound, QubesManagerError, TimedOut
from qubes_manager.core.progress import SILENT, Progress
from qubes_manager.core.text import one_line, strip_escapes

_ASK_SECONDS = 0.2
_LAST_LINES = 40

# Everything here parses the output, so it must not be translated.
_ENVIRONMENT = {"LC_ALL": "C.UTF-8"}


def run_tool_now(
    argv: Sequence[str | Path],
    *,
    timeout: float = 30,
    cwd: Path | None = None,
    data: bytes | None = None,
    environment: Mapping[str, str] = MappingProxyType({}),
) -> bytes:
    """Run a host tool and return its standard output; for worker threads, since it blocks.

    Never goes through a shell. *timeout* is in seconds. Raises NotFound when the tool is not installed,
    TimedOut, or QubesManagerError with the last line of its standard error.
    """
    tool = str(argv[0])
    try:
        done = subprocess.run(
            [str(part) for part in argv],
            input=data,
            stdin=subprocess.DEVNULL if data is None else None,
            capture_output=True,
            timeout=timeout,
            cwd=cwd,
            env={**_inherited(), **_ENVIRONMENT, **environment},
            check=False,
        )
    except FileNotFoundError:
        raise NotFound(f"{tool} is not installed; install the package that has it and try again") from None
    except subprocess.TimeoutExpired:
        raise TimedOut(f"{tool} did not finish within {timeout:.0f} s") from None
    if done.returncode:
        lines = done.stderr.decode("utf-8", "replace").strip().splitlines() or [f"exit code {done.returncode}"]
        raise QubesManagerError(f"{tool} failed: {one_line(lines[-1], 300)}", strip_escapes("\n".join(lines)))
    return done.stdout


def run_long_tool(
    argv: Sequence[str | Path],
    *,
    on_line: Callable[[str], object],
    progress: Progress = SILENT,
    timeout: float = math.inf,
    cwd: Path | None = None,
    environment: Mapping[str, str] = MappingProxyType({}),
    source: Path | None = None,
) -> None:
    """Run a host tool that may take minutes; for worker threads.

    *on_line* gets each line of its output and errors. Five times a second *progress* is asked whether the tool and
    all that it started are to be ended; *timeout* is in seconds. *source* is a file to be its standard input. Raises
    NotFound, Cancelled, TimedOut, or QubesManagerError with the tool's last lines as details.
    """
    last: deque[str] = deque(maxlen=_LAST_LINES)
    with source.open("rb") if source else contextlib.nullcontext(subprocess.DEVNULL) as stdin:
        try:
            process = subprocess.Popen(
                [str(part) for part in argv],
                stdin=stdin,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                cwd=cwd,
                env={**_inherited(), **_ENVIRONMENT, **environment},
                start_new_session=True,
            )
        except FileNotFoundError:
            raise NotFound(f"{argv[0]} is not installed; install the package that has it and try again") from None
    deadline = time.monotonic() + timeout

    def check() -> None:
        progress.raise_if_cancelled()
        if time.monotonic() > deadline:
            raise TimedOut(f"{argv[0]} did not finish within {timeout:.0f} s")

    try:
        for line in _lines(process, check):
            last.append(line)
            on_line(line)
        process.wait()
    finally:
        end_group(process)
    if process.returncode:
        reason = next((line for line in reversed(last) if line.strip()), f"exit code {process.returncode}")
        raise QubesManagerError(f"{Path(argv[0]).name} failed: {one_line(reason, 300)}", strip_escapes("\n".join(last)))


def _lines(process: subprocess.Popen[bytes], check: Callable[[], None]) -> Iterator[str]:
    """What a process says, line by line (carriage returns end lines too); *check* is called in between."""
    assert process.stdout
    rest = b""
    with selectors.DefaultSelector() as selector:
        selector.register(process.stdout, selectors.EVENT_READ)
        while True:
            check()
            if not selector.select(_ASK_SECONDS):
                continue
            data = os.read(process.stdout.fileno(), 1 << 16)
            *whole, rest = (rest + data).replace(b"\r", b"\n").split(b"\n")
            if not data and rest:
                whole, rest = [*whole, rest], b""
            yield from (line.decode("utf-8", "replace") for line in whole)
            if not data:
                return


def end_group(process: subprocess.Popen[bytes]) -> None:
    """End a process that still runs, with all that it started: first kindly, so that it can clean up."""
    if process.stdout:
        process.stdout.close()
    if process.poll() is not None:
        return
    for number, patience in ((signal.SIGTERM, 20), (signal.SIGKILL, 5)):
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, number)
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(patience)
            return


def _inherited() -> Mapping[str, str]:
    return os.environ
