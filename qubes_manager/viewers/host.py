"""The viewer's talk with the program that started it, a line of JSON each way."""

import os
from collections.abc import Callable
from typing import Any

from qubes_manager.core.gui_rules import GuiRules
from qubes_manager.core.json_lines import BadMessage, LineBuffer
from qubes_manager.core.viewer_messages import Go, Order, ViewerEvent, parse_order

_CHUNK = 64 << 10


class Host:
    """Reads standard input; writes to what was standard output. What libraries print goes to the log instead.

    The end of the input ends this program. Orders that are not known are logged and passed over.
    """

    def __init__(self) -> None:
        self._events = os.fdopen(os.dup(1), "w")
        os.dup2(2, 1)
        self._buffer = LineBuffer()

    def first_rules(self) -> GuiRules:
        """Wait for the rules, which come first."""
        while not isinstance(order := self._next_order(), GuiRules):
            pass
        return order

    def wait_for_go(self, on_order: Callable[[Order], object]) -> None:
        """Return when it is said to go on; orders before that are handed to *on_order*."""
        while not isinstance(order := self._next_order(), Go):
            on_order(order)

    def watch(self, on_order: Callable[[Order], object]) -> None:
        """Hand each further order to *on_order* in GLib's main loop."""
        from gi.repository import GLib

        def readable(_fd: int, _condition: Any) -> bool:
            for order in self.orders():
                on_order(order)
            return True

        GLib.io_add_watch(0, GLib.PRIORITY_DEFAULT, GLib.IO_IN | GLib.IO_HUP, readable)

    def orders(self) -> list[Order]:
        """The orders that can be read now; for loops other than GLib's, when standard input has something."""
        return self._read_orders(_CHUNK)

    def report(self, event: ViewerEvent) -> None:
        """Say what happened; when nobody listens any more, the end of the input tells so too."""
        try:
            self._events.write(event.to_json() + "\n")
            self._events.flush()
        except OSError:
            return

    def _next_order(self) -> Order:
        # Not a byte more than the line: what follows may be for the main loop.
        while not (orders := self._read_orders(1)):
            pass
        return orders[0]

    def _read_orders(self, size: int) -> list[Order]:
        data = os.read(0, size)
        if not data:
            os._exit(0)
        orders = []
        for line in self._buffer.lines(data):
            try:
                orders.append(parse_order(line))
            except BadMessage as error:
                print("not understood:", error, flush=True)
        return orders
