"""The talk with a guest's display server over its socket: no flood of packets holds the loop."""

import math
import socket
import sys
import time
from collections import defaultdict
from collections.abc import Callable, Iterator

from PySide6.QtCore import QTimer

from qubes_manager.viewers.guest_link import GuestLink
from qubes_manager.viewers.protocol.dialect import ProtocolBroken
from qubes_manager.viewers.protocol.packets import FromGuest, ToGuest
from qubes_manager.viewers.protocol.session import GuestSession

# Seconds of work on packets before the loop turns.
_SLICE = 0.01
# Milliseconds without a word after which the guest is one with older tools, which have no greeting. A bridge that has
# missed the signal of a host's coming looks again after five seconds; a server of 3.1 waits twenty for a hello.
_GREETING_PATIENCE = 6000


class GuestTalk:
    """Hands packets to *on_packet* and calls *on_pause* whenever no more have come yet, or it is time to show them.

    *on_end* hears once why it ended: an error of the protocol, or what happened to the socket. What is not understood
    is logged by kind. *wait* says for how many seconds no more packets may come; they stay where they are, in order.
    """

    def __init__(
        self,
        end: socket.socket,
        on_packet: Callable[[FromGuest], object],
        on_pause: Callable[[], object],
        on_end: Callable[[ProtocolBroken | str], object],
        wait: Callable[[], float] = lambda: 0,
    ) -> None:
        self._session = GuestSession()
        self._wait = wait
        self._on_packet, self._on_pause, self._on_end = on_packet, on_pause, on_end
        self._more = QTimer()
        self._more.setSingleShot(True)
        self._more.timeout.connect(lambda: self._feed(b""))
        self._greeting = QTimer()
        self._greeting.setSingleShot(True)
        self._greeting.timeout.connect(lambda: self._on_packet(self._session.assume_old_tools()))
        self._greeting.start(_GREETING_PATIENCE)
        # How many of a kind there are when it is logged next.
        self._logged: defaultdict[str, int] = defaultdict(lambda: 1)
        self._link = GuestLink(end, self._feed, on_end)

    def say(self, message: ToGuest) -> None:
        """Say something to the guest; before it has greeted there is nothing that our hello will not tell it."""
        if self._session.has_greeted:
            self._link.send(self._session.say(message))

    def _feed(self, data: bytes) -> None:
        if data:
            self._greeting.stop()
        try:
            is_done = self._work(self._session.feed(data))
        except ProtocolBroken as error:
            self._link.pause(True)
            self._on_end(error)
            return
        finally:
            self._log_dropped()
        self._on_pause()
        # The rest has its turn after the user's own events.
        self._link.pause(not is_done)
        if not is_done:
            self._more.start(math.ceil(self._wait() * 1000))

    def _work(self, packets: Iterator[FromGuest]) -> bool:
        end = time.monotonic() + _SLICE
        for packet in packets:
            self._on_packet(packet)
            if time.monotonic() > end or self._wait():
                return False
        return True

    def _log_dropped(self) -> None:
        """Say what was dropped when it is the first of its kind, and again each time that there are ten times as many.

        So whoever reads the log knows what a server says that we do not, and no guest fills it.
        """
        for kind, count in self._session.dropped.items():
            if count >= self._logged[kind]:
                self._logged[kind] = 10 * count
                print(f"of what the guest said {count} not understood: {kind}", file=sys.stderr, flush=True)
