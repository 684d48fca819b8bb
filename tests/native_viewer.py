"""A viewer of a native guest's windows on a desktop: told what the gui service tells, heard as it hears."""

import contextlib
import os
import signal
import socket
import subprocess
import threading
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TypeVar

from qubes_manager.backend.viewers.compositor import Way
from qubes_manager.backend.viewers.programs import WINDOWS
from qubes_manager.backend.viewers.sandbox import SandboxCommand, viewer_command
from qubes_manager.core.gui_rules import GuiRules
from qubes_manager.core.viewer_messages import Connected, Go, Order, ViewerEvent, parse_event
from tests.desktops.desktop import Display
from tests.waiting import PATIENCE

Kind = TypeVar("Kind", bound=ViewerEvent)


class NativeViewer:
    """One running viewer; it shows what comes through *connection*."""

    def __init__(
        self,
        desktop: Display,
        connection: socket.socket,
        rules: GuiRules,
        *,
        program: str,
        log: Path,
        go: bool = True,
        command: list[str] | None = None,
        readers: Way | None = None,
    ) -> None:
        """Start it: the *program*, or what another *command* runs, whose last word is the connection's number."""
        self._desktop, self._log = desktop, log
        self.events: list[ViewerEvent] = []
        runs = replace(WINDOWS, module=program)
        arguments = [str(connection.fileno())]
        with contextlib.ExitStack() as open_files:
            said = open_files.enter_context(log.open("ab"))
            sandbox = (
                SandboxCommand([*command, *arguments])
                if command
                else open_files.enter_context(viewer_command(runs, arguments, desktop.environment, readers))
            )
            self._process = subprocess.Popen(
                sandbox.words,
                env=desktop.environment,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=said,
                pass_fds=[connection.fileno(), *sandbox.files],
            )
        connection.close()
        self._reader = threading.Thread(target=self._hear, daemon=True)
        self._reader.start()
        self.rules = rules
        self.say(rules, *([Go()] if go else []))

    def _hear(self) -> None:
        assert self._process.stdout
        for line in self._process.stdout:
            self.events.append(parse_event(line))

    def say(self, *orders: Order) -> None:
        """Tell it something."""
        assert self._process.stdin
        for order in orders:
            self._process.stdin.write(order.to_json().encode() + b"\n")
        self._process.stdin.flush()

    def change_rules(self, rules: GuiRules) -> None:
        """Hold it to other rules."""
        self.rules = rules
        self.say(rules)

    def heard(self, kind: type[Kind]) -> Sequence[Kind]:
        """What it has reported of one kind."""
        return [event for event in self.events if isinstance(event, kind)]

    def until_connected(self) -> None:
        """Wait until it shows the guest's session."""
        self._desktop.until(lambda: self.heard(Connected) or not self.is_running, "the viewer has the guest's session")
        assert self.is_running, self._log.read_text()[-2000:]

    @property
    def is_running(self) -> bool:
        """Whether it has not ended."""
        return self._process.poll() is None

    def processes(self) -> list[int]:
        """Its process and those that it has started, the sandbox's among them, outer ones first."""
        return _family(self._process.pid)

    def kill(self) -> None:
        """End it as a crash would."""
        os.kill(self._process.pid, signal.SIGKILL)
        self._process.wait(PATIENCE)

    def close(self) -> int:
        """End it as the gui service does, by the end of its input; returns its exit code."""
        if self._process.stdin and not self._process.stdin.closed:
            with contextlib.suppress(BrokenPipeError):
                self._process.stdin.close()
        try:
            code = self._process.wait(PATIENCE)
        except subprocess.TimeoutExpired:
            self._process.kill()
            code = self._process.wait(PATIENCE)
        self._reader.join(PATIENCE)
        return code


def _family(pid: int) -> list[int]:
    try:
        children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    except FileNotFoundError:
        return []
    return [pid, *(found for child in children for found in _family(int(child)))]
