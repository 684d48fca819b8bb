"""Notices that programs of this domain show, brought to the user's own desktop if the policy allows it.

It is org.freedesktop.Notifications of the session (Desktop Notifications Specification 1.2), in plain text. D-Bus
starts it for the first notice, and it ends when there were none for a while.
"""

import sys
import threading
import time
from collections.abc import Sequence
from typing import Any

from qubes_manager.core.crossing.rate import Rate
from qubes_manager.core.crossing.services import MAX_NOTICE, NOTIFICATIONS
from qubes_manager.core.errors import QubesManagerError
from qubes_manager.core.text import one_line
from qubes_manager.guest.commands.calling import Caller
from qubes_manager.guest.crossing.client import call

_NAME, _PATH = "org.freedesktop.Notifications", "/org/freedesktop/Notifications"
_INTERFACE = f"""
<node><interface name="{_NAME}">
<method name="Notify">
  <arg type="s" direction="in"/><arg type="u" direction="in"/><arg type="s" direction="in"/>
  <arg type="s" direction="in"/><arg type="s" direction="in"/><arg type="as" direction="in"/>
  <arg type="a{{sv}}" direction="in"/><arg type="i" direction="in"/><arg type="u" direction="out"/>
</method>
<method name="CloseNotification"><arg type="u" direction="in"/></method>
<method name="GetCapabilities"><arg type="as" direction="out"/></method>
<method name="GetServerInformation">
  <arg type="s" direction="out"/><arg type="s" direction="out"/>
  <arg type="s" direction="out"/><arg type="s" direction="out"/>
</method>
<signal name="NotificationClosed"><arg type="u"/><arg type="u"/></signal>
</interface></node>
"""
# Why a notice is closed, by the specification: it was asked for, and nothing of the others.
_ASKED, _OTHER = 3, 4
# Notices that wait; those that go in a second and at once, which is what the host shows; characters of a title.
_MOST_WAITING, _RATE, _BURST, _TITLE = 8, 0.2, 5, 80
# Seconds without a notice after which this ends.
_IDLE = 60


class NoticeSender(threading.Thread):
    """Sends notices one after the other, as many as the host takes. Of the same number only the newest waits."""

    def __init__(self, caller: Caller) -> None:
        super().__init__(daemon=True)
        self._caller = caller
        self._waiting: dict[int, str] = {}
        self._is_sending = False
        self._changed = threading.Condition()
        self._rate = Rate(_RATE, _BURST)

    def add(self, number: int, title: str, text: str) -> None:
        """Send a notice when it may be; of too many the oldest is left out."""
        with self._changed:
            self._waiting[number] = f"{one_line(title, _TITLE)}\n{text[:MAX_NOTICE]}"
            if len(self._waiting) > _MOST_WAITING:
                del self._waiting[next(iter(self._waiting))]
            self._changed.notify()

    def drop(self, number: int) -> None:
        """It need not be sent any more."""
        with self._changed:
            self._waiting.pop(number, None)

    @property
    def is_idle(self) -> bool:
        """Whether none waits, or is on its way."""
        with self._changed:
            return not (self._waiting or self._is_sending)

    def run(self) -> None:
        """Send, for ever."""
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._waiting)
            # Meanwhile newer ones may take their places.
            time.sleep(self._rate.spend())
            with self._changed:
                if not self._waiting:
                    continue
                number = next(iter(self._waiting))
                notice = self._waiting.pop(number)
                self._is_sending = True
            try:
                self._send(notice)
            except (QubesManagerError, OSError) as error:
                print(f"a notice was not shown: {error}", file=sys.stderr, flush=True)
            self._is_sending = False

    def _send(self, notice: str) -> None:
        # A character may have been cut in two.
        data = notice.encode("utf-8", "replace")[:MAX_NOTICE].decode("utf-8", "ignore").encode()
        with self._caller(NOTIFICATIONS) as conversation:
            conversation.write(data)
            conversation.finish()
            result = conversation.result()
        if result.code:
            print(f"a notice was not shown: {result.reason}", file=sys.stderr, flush=True)


class _Server:
    """The session's notices, on D-Bus."""

    def __init__(self, sender: NoticeSender) -> None:
        self._sender = sender
        self._number = 0
        self.last = time.monotonic()

    def serve(
        self, connection: Any, caller: str, _path: str, _interface: str, method: str, words: Any, answer: Any
    ) -> None:
        """A program calls a method."""
        from gi.repository import GLib

        self.last = time.monotonic()
        if method == "Notify":
            # Hints may hold a picture, which nobody needs as numbers of Python's.
            name, title, text = (words.get_child_value(place).get_string() for place in (0, 3, 4))
            number = words.get_child_value(1).get_uint32() or self._next()
            self._sender.add(number, title or name, text)
            answer.return_value(GLib.Variant("(u)", (number,)))
            self._close(connection, caller, number, _OTHER)
        elif method == "CloseNotification":
            number = words.get_child_value(0).get_uint32()
            self._sender.drop(number)
            answer.return_value(None)
            self._close(connection, caller, number, _ASKED)
        elif method == "GetCapabilities":
            answer.return_value(GLib.Variant("(as)", (["body"],)))
        else:
            answer.return_value(GLib.Variant("(ssss)", ("Qubes Manager", "Qubes Manager", "1", "1.2")))

    def _next(self) -> int:
        self._number = self._number % 0xFFFFFFFF + 1
        return self._number

    @staticmethod
    def _close(connection: Any, caller: str, number: int, why: int) -> None:
        """Nothing more is heard of a notice, so nobody is to wait for its end."""
        from gi.repository import GLib

        closed = GLib.Variant("(uu)", (number, why))
        connection.emit_signal(caller, _PATH, _NAME, "NotificationClosed", closed)


def main(_arguments: Sequence[str] | None = None, caller: Caller = call, idle: float = _IDLE) -> int:
    """Entry point; returns when nobody needs it."""
    from gi.repository import Gio, GLib

    loop = GLib.MainLoop()
    sender = NoticeSender(caller)
    server = _Server(sender)
    interface = Gio.DBusNodeInfo.new_for_xml(_INTERFACE).interfaces[0]

    def look() -> bool:
        if sender.is_idle and time.monotonic() - server.last > idle:
            loop.quit()
        return True

    sender.start()
    Gio.bus_own_name(
        Gio.BusType.SESSION,
        _NAME,
        Gio.BusNameOwnerFlags.NONE,
        lambda connection, _name: connection.register_object(_PATH, interface, server.serve, None, None),
        None,
        lambda *_words: loop.quit(),
    )
    GLib.timeout_add(min(1000, int(idle * 1000)), look)
    loop.run()
    return 0
