"""A viewer without windows: it answers as one does, and keeps what came."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TypeVar

from qubes_manager.viewers.protocol import packets
from qubes_manager.viewers.protocol.packets import FromGuest, ToGuest
from qubes_manager.viewers.protocol.session import GuestSession
from tests.native_guest import NativeGuest
from tests.waiting import PATIENCE

_Packet = TypeVar("_Packet")


class Talk:
    """A talk with a server that shows all its windows and says that all is drawn."""

    def __init__(self, guest: NativeGuest, hello: packets.ClientHello) -> None:
        self.session = GuestSession()
        self.heard: list[FromGuest] = []
        self.recorded = bytearray()
        self._hello = hello
        self._socket = guest.connect()
        self._socket.settimeout(0.2)

    def close(self) -> None:
        """Hang up."""
        self._socket.close()

    def say(self, message: ToGuest) -> None:
        """Say something."""
        self._socket.sendall(self.session.say(message))

    def until(self, check: Callable[[], object]) -> None:
        """Listen until *check* holds."""
        end = time.monotonic() + PATIENCE
        while not check():
            assert time.monotonic() < end, f"heard only {[type(said).__name__ for said in self.heard]}"
            try:
                data = self._socket.recv(1 << 16)
            except TimeoutError:
                continue
            assert data, "the server has hung up"
            self.recorded += data
            for said in self.session.feed(data):
                self.heard.append(said)
                self._answer(said)

    def _answer(self, said: FromGuest) -> None:
        match said:
            case packets.Greeting():
                self.say(self._hello)
            case packets.Ping(moment):
                self.say(packets.PingEcho(moment))
            case packets.NewWindow(wid, box, True, _metadata):
                self.say(packets.MapWindow(wid, box))
            case packets.Draw(wid, box, sequence=sequence) | packets.NoDraw(wid, box, sequence):
                self.say(packets.DamageDone(sequence, wid, box.width, box.height, 100))
            case packets.Scroll(wid, _moves, sequence):
                self.say(packets.DamageDone(sequence, wid, 1, 1, 100))
            case _:
                pass

    def of(self, kind: type[_Packet]) -> list[_Packet]:
        """What has come of a kind."""
        return [said for said in self.heard if isinstance(said, kind)]

    def window(self, title: str) -> packets.NewWindow | None:
        """The window that was made with a title."""
        return next((made for made in self.of(packets.NewWindow) if made.metadata.title == title), None)

    def pictures(self, wid: int) -> list[packets.Draw]:
        """What was drawn of a window."""
        return [drawn for drawn in self.of(packets.Draw) if drawn.wid == wid]


@contextmanager
def talking(guest: NativeGuest, layout: str = "us") -> Iterator[Talk]:
    """Talk with a server until the end of the block; all its windows are told by then."""
    talk = Talk(guest, packets.ClientHello(1280, 800, 120, packets.KeyboardLayout(layout)))
    try:
        talk.until(lambda: talk.of(packets.StartupComplete))
        yield talk
    finally:
        talk.close()
