"""Runs tools over files that strangers wrote apart from everything else (bubblewrap), and within limits.

A tool in there sees the system's programs and the descriptors that it is given: no other file, no network, no other
process.
"""

import contextlib
import errno
import math
import os
import selectors
import shutil
import signal
import subprocess
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass

from qubes_manager.backend.host.host_tools import end_group
from qubes_manager.core.errors import NotFound, QubesManagerError, Refused, TimedOut
from qubes_manager.core.progress import SILENT, Progress
from qubes_manager.core.sizes import format_size
from qubes_manager.core.text import one_line, strip_escapes

# Where the system's libraries and programs are looked for, on a system whose /usr has all of them.
SYSTEM_LINKS = (("usr/lib", "/lib"), ("usr/lib64", "/lib64"), ("usr/bin", "/bin"), ("usr/sbin", "/sbin"))
_PATH = "/usr/bin:/usr/sbin"
# One arena, so that threads of a tool do not each reserve 64 MiB of the address space that it may have.
_VARIABLES = {"PATH": _PATH, "LC_ALL": "C.UTF-8", "MALLOC_ARENA_MAX": "1"}
_ASK_SECONDS = 0.2
_PIECE = 1 << 16
_MAX_ANSWER, _MAX_ERRORS = 1 << 20, 4096


@dataclass(frozen=True, slots=True)
class Limits:
    """What a tool may take: address space (bytes), processor time (seconds), and what it may write to a file (bytes).

    Without *file_size* it writes to no file at all.
    """

    memory: int
    cpu: int
    file_size: int = 0


class ToolFailed(QubesManagerError):
    """A tool ended with the exit code *code*; the message is the last line of its errors, safe to show."""

    def __init__(self, tool: str, code: int, errors: str) -> None:
        lines = [line for line in errors.splitlines() if line.strip()] or [f"{tool} ended with code {code}"]
        super().__init__(one_line(lines[-1], 300), strip_escapes(errors))
        self.code = code


def sandboxed(argv: Sequence[str], limits: Limits) -> list[str]:
    """Return the command line that runs a tool of the system in its sandbox; raises NotFound."""
    if shutil.which("bwrap") is None:
        raise NotFound("bubblewrap is not installed: without it no image is looked into; install it and try again")
    if shutil.which(argv[0], path=_PATH) is None:
        raise NotFound(f"{argv[0]} is not installed; install the package that has it and try again")
    return [
        *("bwrap", "--unshare-all", "--die-with-parent", "--new-session", "--cap-drop", "ALL", "--clearenv"),
        *(word for variable in _VARIABLES.items() for word in ("--setenv", *variable)),
        *("--ro-bind", "/usr", "/usr", "--ro-bind-try", "/etc/ld.so.cache", "/etc/ld.so.cache"),
        *(word for link in SYSTEM_LINKS for word in ("--symlink", *link)),
        *("--proc", "/proc", "--dev", "/dev", "--chdir", "/"),
        *(
            "prlimit",
            f"--as={limits.memory}",
            f"--cpu={limits.cpu}:{limits.cpu + 1}",
            f"--fsize={limits.file_size}",
            "--core=0",
        ),
        *("--", *argv),
    ]


def in_sandbox(file: int) -> str:
    """The path by which a tool in the sandbox opens the descriptor *file* that it was given."""
    return f"/proc/self/fd/{file}"


def run_sandboxed(
    argv: Sequence[str],
    limits: Limits,
    *,
    files: Sequence[int] = (),
    feed: Iterable[bytes] = (),
    take: Callable[[bytes], object] | None = None,
    timeout: float = math.inf,
    progress: Progress = SILENT,
) -> bytes:
    """Run a tool in its sandbox and return its output, or hand it to *take* piece by piece; for worker threads.

    *files* are descriptors that it gets, *feed* is its standard input. *progress* is asked whether to stop; *timeout*
    is in seconds. Raises NotFound, Cancelled, TimedOut, ToolFailed, Refused where no sandbox can be made, or when the
    tool says or writes more than it may.
    """
    answer = bytearray()

    def keep(data: bytes) -> None:
        answer.extend(data)
        if len(answer) > _MAX_ANSWER:
            raise Refused(f"{argv[0]} says more than {format_size(_MAX_ANSWER)}; it was stopped")

    deadline = time.monotonic() + timeout

    def check() -> None:
        progress.raise_if_cancelled()
        if time.monotonic() > deadline:
            raise TimedOut(f"{argv[0]} did not finish within {timeout:.0f} s")

    pipe = subprocess.PIPE
    process = subprocess.Popen(
        sandboxed(argv, limits), stdin=pipe, stdout=pipe, stderr=pipe, pass_fds=files, start_new_session=True
    )
    try:
        errors = _exchange(process, iter(feed), take or keep, check)
        code = process.wait()
    finally:
        for stream in (process.stdin, process.stderr):
            if stream:
                with contextlib.suppress(OSError):
                    stream.close()
        end_group(process)
    if code:
        raise _failure(argv[0], code, errors, limits)
    return bytes(answer)


def _exchange(
    process: subprocess.Popen[bytes],
    feed: Iterator[bytes],
    take: Callable[[bytes], object],
    check: Callable[[], None],
) -> str:
    """Feed a tool and hand over what it says until it ends; returns the end of its errors."""
    assert process.stdin
    assert process.stdout
    assert process.stderr
    errors, feeder = b"", _Feeder(process.stdin.fileno(), feed)
    with selectors.DefaultSelector() as selector:
        selector.register(process.stdin, selectors.EVENT_WRITE)
        heard = {process.stdout, process.stderr}
        for stream in heard:
            selector.register(stream, selectors.EVENT_READ)
        while heard:
            check()
            for key, _events in selector.select(_ASK_SECONDS):
                if key.fileobj is process.stdin:
                    if not feeder.write():
                        selector.unregister(process.stdin)
                        process.stdin.close()
                elif not (data := os.read(key.fd, _PIECE)):
                    selector.unregister(key.fileobj)
                    heard.discard(key.fileobj)
                elif key.fileobj is process.stdout:
                    take(data)
                else:
                    errors = (errors + data)[-_MAX_ERRORS:]
    return errors.decode("utf-8", "replace")


class _Feeder:
    """Writes pieces to a pipe, as much at a time as it takes."""

    def __init__(self, pipe: int, pieces: Iterator[bytes]) -> None:
        self._pipe = pipe
        self._pieces = pieces
        self._rest = memoryview(b"")
        os.set_blocking(pipe, False)

    def write(self) -> bool:
        """Write what the pipe takes; False when all is written, or nobody reads any more."""
        self._rest = self._rest or memoryview(next(self._pieces, b""))
        if not self._rest:
            return False
        try:
            self._rest = self._rest[os.write(self._pipe, self._rest) :]
        except BrokenPipeError:
            return False
        return True


def _failure(tool: str, code: int, errors: str, limits: Limits) -> QubesManagerError:
    if errors.startswith("bwrap: "):
        return Refused(
            f"no sandbox can be made here, and without one no image is looked into: {one_line(errors)}; "
            "let users make user namespaces"
        )
    if code == 128 + signal.SIGXCPU:
        return TimedOut(f"{tool} took more than {limits.cpu} s of the processor; it was stopped")
    # Some tools hear of the limit by the signal and some by the error.
    if code == 128 + signal.SIGXFSZ or os.strerror(errno.EFBIG) in errors:
        return Refused(f"{tool} would have written more than {format_size(limits.file_size)}; it was stopped")
    return ToolFailed(tool, code, errors)
