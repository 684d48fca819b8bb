"""Starts the programs with which this domain opens files and addresses, as GLib finds them."""

import os
import signal
import subprocess
from collections.abc import Sequence
from contextlib import suppress
from types import TracebackType
from typing import Any, Self

from qubes_manager.core.errors import NotFound
from qubes_manager.guest.archive.names import shown_name
from qubes_manager.guest.opening.process_tree import adopt_orphans, descendants, end_with_parent, reap
from qubes_manager.guest.opening.watch import Look, Watch
from qubes_manager.guest.opening.windows import NoDisplay, Windows

_MOST_REASON = 1000


class Opening:
    """What is opened for one call; a context manager, which leaves running what runs.

    With *own_bus* the programs get a D-Bus session of their own: one that runs already cannot take a file over there,
    and what D-Bus starts is below this process too. Raises NotFound where no windows can be shown.
    """

    def __init__(self, *, own_bus: bool) -> None:
        try:
            self._windows = Windows()
        except NoDisplay:
            raise NotFound("there is no session here that shows windows") from None
        adopt_orphans()
        self._bus = _start_bus() if own_bus else 0
        # What launched, and our end of the pipe that it waits at.
        self._launcher = self._hold = -1
        self.watch = Watch(self._look)

    def open(self, targets: Sequence[str]) -> None:
        """Open files, by absolute paths, or addresses; raises NotFound when no program of this domain opens one."""
        reading, writing = os.pipe()
        held, self._hold = os.pipe()
        self._launcher = os.fork()
        if not self._launcher:
            os.close(self._hold)
            _launch_and_wait(targets, writing, held)
        os.close(writing)
        os.close(held)
        with os.fdopen(reading, "rb") as report:
            reason = report.read(_MOST_REASON).decode("utf-8", "replace")
        if reason:
            raise NotFound(reason)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._windows.close()
        if self._hold >= 0:
            os.close(self._hold)
        if self._bus:
            with suppress(ProcessLookupError):
                os.killpg(self._bus, signal.SIGTERM)

    def _look(self) -> Look:
        reap()
        processes = descendants(os.getpid())
        processes.pop(self._launcher, None)
        return Look(processes, self._windows.present())


def _start_bus() -> int:
    """Start a D-Bus session of our own and put its address into the environment; 0 where that cannot be."""
    reading, writing = os.pipe()
    words = ["dbus-daemon", "--session", "--nofork", "--nopidfile", f"--print-address={writing}"]
    quiet = subprocess.DEVNULL
    try:
        bus = subprocess.Popen(
            words,
            stdin=quiet,
            stdout=quiet,
            stderr=quiet,
            pass_fds=[writing],
            start_new_session=True,
            preexec_fn=end_with_parent,
        )
    except OSError:
        os.close(reading)
        return 0
    finally:
        os.close(writing)
    with os.fdopen(reading) as said:
        address = said.readline().strip()
    if not address:
        return 0
    os.environ["DBUS_SESSION_BUS_ADDRESS"] = address
    return bus.pid


def _launch_and_wait(targets: Sequence[str], report: int, held: int) -> None:
    """In a child, so that GLib and its threads go away with it.

    What was asked of a program that D-Bus has yet to start is dropped when who asked has gone: this process stays until
    *held* ends.
    """
    reason = "what opens files here has failed"
    try:
        # What is started must neither read what comes for the service nor write into its answer, nor end with it.
        os.setsid()
        nothing = os.open(os.devnull, os.O_RDWR)
        for stream in (0, 1, 2):
            os.dup2(nothing, stream)
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        reason = _launch(targets)
    finally:
        os.write(report, reason.encode("utf-8", "replace")[:_MOST_REASON])
        os.close(report)
        os.read(held, 1)
        os._exit(0)


def _launch(targets: Sequence[str]) -> str:
    """Launch; returns why it cannot be done, or nothing."""
    try:
        from gi.repository import Gio, GLib
    except ImportError:
        return "python3-gi is not installed here, which finds programs"
    by_program: dict[str, tuple[Any, list[Any]]] = {}
    for target in targets:
        program, kind = _program(Gio, target)
        if program is None:
            return f"no program here opens “{shown_name(os.path.basename(target))}” ({kind})"  # noqa: PTH119
        by_program.setdefault(program.get_id() or program.get_commandline(), (program, []))[1].append(target)
    for program, its in by_program.values():
        try:
            if "://" in its[0]:
                program.launch_uris(its, None)
            else:
                program.launch([Gio.File.new_for_path(os.fsencode(path)) for path in its], None)
        except GLib.Error as error:
            return f"{program.get_name()}: {error.message}"
    return ""


def _program(gio: Any, target: str) -> tuple[Any, str]:
    """The program for a path or an address, and of what kind that is."""
    if "://" in target:
        scheme = target.partition(":")[0]
        return gio.AppInfo.get_default_for_uri_scheme(scheme), f"{scheme} addresses"
    file = gio.File.new_for_path(os.fsencode(target))
    kind = file.query_info("standard::content-type", gio.FileQueryInfoFlags.NONE, None).get_content_type()
    return gio.AppInfo.get_default_for_type(kind, False), kind
