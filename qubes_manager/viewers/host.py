"""The viewer's talk with the program that started it, a line of JSON each way."""

import json
import os
from collections.abc import Callable
from typing import Any

from qubes_manager.core.gui_rules import GuiRules


class Host:
    """Reads standard input; writes to what was standard output. What libraries print goes to the log instead."""

    def __init__(self) -> None:
        self._events = os.fdopen(os.dup(1), "w")
        os.dup2(2, 1)

    def first_rules(self) -> GuiRules:
        """The first line: the rules."""
        return GuiRules.of(self._next())

    def wait_for_go(self, take: Callable[[dict[str, Any]], None]) -> None:
        """Return when the line that says "go" has come; those before it are handed to *take*."""
        while "go" not in (data := self._next()):
            take(data)

    def _next(self) -> dict[str, Any]:
        """One line, and not a byte more; the end of the input ends this program."""
        line = b""
        while not line.endswith(b"\n"):
            byte = os.read(0, 1)
            if not byte:
                os._exit(0)
            line += byte
        return dict(json.loads(line))

    def tell(self, event: str, **values: object) -> None:
        """Say what happened; when nobody listens any more, the end of the input tells so too."""
        try:
            self._events.write(json.dumps({"event": event, **values}) + "\n")
            self._events.flush()
        except OSError:
            return

    def watch(self, take: Callable[[dict[str, Any]], None]) -> None:
        """Hand each further line to *take* in GLib's main loop; the end of the input ends this program."""
        from gi.repository import GLib

        rest = b""

        def readable(_fd: int, _condition: Any) -> bool:
            nonlocal rest
            data = os.read(0, 1 << 16)
            if not data:
                os._exit(0)
            *lines, rest = (rest + data).split(b"\n")
            for line in lines:
                take(json.loads(line))
            return True

        GLib.io_add_watch(0, GLib.PRIORITY_DEFAULT, GLib.IO_IN | GLib.IO_HUP, readable)
