"""Starting handlers, each in a process group of its own, with pipes that never block us."""

import contextlib
import fcntl
import functools
import os
import signal
import socket
import subprocess
import sys
import traceback
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from qubes_manager.guest.crossing import serve
from qubes_manager.guest.crossing.handlers import Handler

_EVERY_FD = 1 << 16
# Bytes that the pipes of a handler's input and output hold.
_PIPE = 1 << 18


@dataclass(slots=True)
class Process:
    """A running handler: its id, which is its group's too, and our ends of its standard streams.

    *ended* can be read when it has ended; *wait* tells its exit code then, 128 and the signal's number for one that
    was killed. One that has the data port itself has a *link* to us in the place of input and output.
    """

    pid: int
    stdin: int
    stdout: int
    stderr: int
    ended: int
    wait: Callable[[], int]
    link: socket.socket | None = None

    def end_input(self) -> None:
        """Let the handler's input end."""
        stdin, self.stdin = self.stdin, -1
        if stdin >= 0:
            os.close(stdin)

    def kill(self, number: int) -> None:
        """Send a signal to the whole group; nothing to do when it has gone."""
        try:
            os.killpg(self.pid, number)
        except ProcessLookupError:
            pass
        except PermissionError:
            # It runs as another user.
            words = ["sudo", "-n", "kill", f"-{number}", "--", f"-{self.pid}"]
            with contextlib.suppress(OSError, subprocess.TimeoutExpired):
                subprocess.run(words, stdin=subprocess.DEVNULL, capture_output=True, timeout=5, check=False)

    def close(self) -> None:
        """Close our ends, once the process has been waited for."""
        self.end_input()
        for fd in (self.stdout, self.stderr, self.ended):
            if fd >= 0:
                os.close(fd)
        if self.link:
            self.link.close()


def start_handler(handler: Handler, user: str, environment: Mapping[str, str], folder: str, port: int) -> Process:
    """Start *handler* in *folder*, as the ordinary user or, with *user*, as that one; raises OSError.

    A service of ours for the ordinary user is a fork of this program: on a slow machine a new interpreter would take
    longer than most services. One that moves much gets the data port itself, *port*.
    """
    if handler.is_direct and not user:
        return _start_directly(handler, environment, folder, port)
    pipes = [os.pipe2(os.O_CLOEXEC) for _ in range(3)]
    (theirs_in, stdin), (stdout, theirs_out), (stderr, theirs_err) = pipes
    theirs = (theirs_in, theirs_out, theirs_err)
    try:
        if handler.module and not user:
            pid = _fork(lambda: serve.run_service(handler.module, _argument(handler)), theirs, environment, folder)
            wait: Callable[[], int] = functools.partial(_wait_for_fork, pid)
        else:
            words = handler.words or (sys.executable, serve.__file__, handler.module, *_argument(handler))
            if user:
                # sudo gives an environment of its own; the caller's names are no secret to anybody there.
                ours = (f"{name}={value}" for name, value in environment.items() if name.startswith("QREXEC_"))
                words = ("sudo", "-n", "-H", "-u", user, "--", "env", *ours, *words)
            popen = subprocess.Popen(
                words,
                stdin=theirs_in,
                stdout=theirs_out,
                stderr=theirs_err,
                env=environment,
                cwd=folder if Path(folder).is_dir() else "/",
                start_new_session=True,
            )
            pid, wait = popen.pid, popen.wait
    except BaseException:
        for fd in (stdin, stdout, stderr):
            os.close(fd)
        raise
    finally:
        for fd in theirs:
            os.close(fd)
    for fd in (stdin, stdout, stderr):
        os.set_blocking(fd, False)
    # The fewer turns the two take, the faster it goes; a user may have only so many pages in pipes (pipe(7)).
    for fd in (stdin, stdout):
        with contextlib.suppress(OSError):
            fcntl.fcntl(fd, fcntl.F_SETPIPE_SZ, _PIPE)
    return Process(pid, stdin, stdout, stderr, os.pidfd_open(pid), lambda: _as_shells_say(wait()))


def _start_directly(handler: Handler, environment: Mapping[str, str], folder: str, port: int) -> Process:
    link, their_link = socket.socketpair()
    stderr, their_stderr = os.pipe2(os.O_CLOEXEC)
    nothing = os.open(os.devnull, os.O_RDWR | os.O_CLOEXEC)
    try:
        pid = _fork(
            lambda: serve.serve_directly(handler.module, _argument(handler), their_link, port),
            (nothing, nothing, their_stderr),
            environment,
            folder,
            kept=(their_link.fileno(), port),
        )
    except BaseException:
        os.close(stderr)
        link.close()
        raise
    finally:
        os.close(nothing)
        os.close(their_stderr)
        their_link.close()
    os.set_blocking(stderr, False)
    link.setblocking(False)
    wait = functools.partial(_wait_for_fork, pid)
    return Process(pid, -1, -1, stderr, os.pidfd_open(pid), lambda: _as_shells_say(wait()), link)


def _wait_for_fork(pid: int) -> int:
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


def _argument(handler: Handler) -> tuple[str, ...]:
    return (handler.argument,) if handler.argument else ()


def _as_shells_say(code: int) -> int:
    return 128 - code if code < 0 else code


def _fork(
    work: Callable[[], int],
    streams: tuple[int, int, int],
    environment: Mapping[str, str],
    folder: str,
    kept: tuple[int, ...] = (),
) -> int:
    sys.stdout.flush()
    sys.stderr.flush()
    if pid := os.fork():
        return pid
    code = 1
    try:
        _become_child(streams, environment, folder, kept)
        code = work()
    except SystemExit as leaving:
        code = leaving.code if isinstance(leaving.code, int) else int(leaving.code is not None)
    except BaseException:
        traceback.print_exc()
    finally:
        with contextlib.suppress(BaseException):
            sys.stdout.flush()
        with contextlib.suppress(BaseException):
            sys.stderr.flush()
        # Nothing of the program that this was is to be tidied up here.
        os._exit(code & 0xFF)


def _become_child(
    streams: tuple[int, int, int], environment: Mapping[str, str], folder: str, kept: tuple[int, ...]
) -> None:
    os.setsid()
    for number, fd in enumerate(streams):
        os.dup2(fd, number)
    first = 3
    for fd in sorted(kept):
        os.closerange(first, fd)
        first = fd + 1
    os.closerange(first, _EVERY_FD)
    signal.set_wakeup_fd(-1)
    for number in (signal.SIGIO, signal.SIGINT, signal.SIGTERM, signal.SIGCHLD):
        signal.signal(number, signal.SIG_DFL)
    os.environ.clear()
    os.environ.update(environment)
    with contextlib.suppress(OSError):
        os.chdir(folder)
    sys.stdin, sys.stdout = open(0, closefd=False), open(1, "w", closefd=False)  # noqa: SIM115
    sys.stderr = open(2, "w", errors="backslashreplace", closefd=False)  # noqa: SIM115
