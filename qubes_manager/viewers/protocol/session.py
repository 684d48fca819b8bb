"""A talk with the display server in a guest, without any input or output of its own."""

import re
from collections import Counter
from collections.abc import Iterable, Iterator

from qubes_manager.viewers.protocol.dialect import OLD, Dialect, ProtocolBroken, UnknownServer, dialect_of, hello
from qubes_manager.viewers.protocol.keyboard import Keyboard
from qubes_manager.viewers.protocol.packets import (
    ClientHello,
    ConfigureWindow,
    Focus,
    FromGuest,
    Greeting,
    KeyAction,
    KeyboardLayout,
    KeymapChanged,
    LayoutChanged,
    LostWindow,
    MoveResize,
    Resized,
    ServerHello,
    ToGuest,
    WheelMotion,
)
from qubes_manager.viewers.protocol.reading import Reading
from qubes_manager.viewers.protocol.saying import packet_of
from qubes_manager.viewers.protocol.wheel import Wheel
from qubes_manager.viewers.wire.framing import Broken, FrameReader, frame
from qubes_manager.viewers.wire.rencode import Malformed, Packet, Sayable

# What the guest's bridge says before anything of the server's: its own version, and the server's.
_GREETING = re.compile(rb"qubes-manager-gui (\d{1,3}) xpra ([!-~]{1,40})")
_GREETS, _MAX_GREETING = b"q", 100
_MAX_COUNTED = 1_000


class GuestSession:
    """Reads what a guest says and writes what is said to it, in the words of its server's version.

    The first packet that comes is ``Greeting``; then ``ClientHello`` is to be said. It answers nothing by itself.
    """

    def __init__(self) -> None:
        self._reading = Reading()
        self._greeting = bytearray()
        self._dialect: Dialect | None = None
        self._frames: FrameReader | None = None
        self._greets_late = False
        self._wheel = Wheel()
        # The servers' count of their own changes of a window's size, for those that have made any.
        self._counters: dict[int, int] = {}
        self._layout = KeyboardLayout()
        # What goes before the next that is said.
        self._owed: list[list[Sayable]] = []

    @property
    def dropped(self) -> Counter[str]:
        """How many packets, or fields of a window's metadata, were not understood, by kind; the kinds are few."""
        return self._reading.dropped

    @property
    def has_greeted(self) -> bool:
        """Whether the guest can be spoken to."""
        return self._dialect is not None

    def assume_old_tools(self) -> Greeting:
        """No greeting came: these are guest tools from before there was one, and xpra 3.1."""
        self._talk(OLD)
        self._greets_late = True
        return Greeting(OLD.name)

    def feed(self, data: bytes) -> Iterator[FromGuest]:
        """Take *data*; packets that are whole come from the iterator, which raises ProtocolBroken.

        A piece of 64 KiB may hold thousands of packets: the iterator may be left when time is up and another one be
        taken with no data.
        """
        if self._frames is None or self._greets_late:
            self._greeting += data
            return self._greet()
        return self._read(self._frames.feed(data))

    def say(self, message: ToGuest) -> bytes:
        """The bytes that say *message*; none when it changes nothing yet."""
        if self._dialect is None:
            raise ValueError("nothing can be said before the guest has greeted")
        form = self._dialect.form
        owed, self._owed = self._owed, []
        return b"".join(frame(form, packet) for packet in [*owed, *self._packets(message, self._dialect)])

    def _packets(self, message: ToGuest, dialect: Dialect) -> Iterable[list[Sayable]]:
        match message:
            case ClientHello():
                self._layout = message.keyboard
                return [["hello", hello(dialect, message)]]
            case Focus() | KeyAction() | LayoutChanged() | KeymapChanged():
                return self._keyboard.packets(message)
            case WheelMotion():
                return [packet_of(click, 0) for click in self._wheel.clicks(message)]
            case ConfigureWindow(wid):
                return [packet_of(message, self._counters.get(wid, 0))]
            case _:
                return [packet_of(message, 0)]

    def _talk(self, dialect: Dialect) -> FrameReader:
        self._dialect = dialect
        self._keyboard = Keyboard(is_3_1=dialect is OLD)
        self._frames = FrameReader(dialect.form)
        return self._frames

    def _greet(self) -> Iterator[FromGuest]:
        if self._frames is not None:
            yield from self._greet_late(self._frames)
            return
        line, end, rest = self._greeting.partition(b"\n")
        if not end and len(line) <= _MAX_GREETING:
            return
        version = _greeted(bytes(line))
        # The rest is kept before anything is told: the iterator may be left there.
        frames = self._talk(dialect_of(version)).feed(bytes(rest))
        yield Greeting(version)
        yield from self._read(frames)

    def _greet_late(self, frames: FrameReader) -> Iterator[FromGuest]:
        """A guest that was too busy to greet in time was spoken to as one of old tools, which may be right."""
        line, end, rest = self._greeting.partition(b"\n")
        if self._greeting.startswith(_GREETS) and not end and len(line) <= _MAX_GREETING:
            return
        self._greets_late = not self._greeting
        said, self._greeting = bytes(self._greeting), bytearray()
        if said.startswith(_GREETS):
            if dialect_of(_greeted(bytes(line))) is not self._dialect:
                raise ProtocolBroken("it was too slow to say which display server it has")
            said = bytes(rest)
        yield from self._read(frames.feed(said))

    def _read(self, frames: Iterator[Packet | Malformed]) -> Iterator[FromGuest]:
        try:
            for packet in frames:
                if isinstance(packet, Malformed):
                    self.dropped["malformed"] += 1
                elif said := self._reading.read(packet):
                    self._note(said)
                    yield said
        except Broken as error:
            raise ProtocolBroken(f"its display server is not understood: {error}") from error

    def _note(self, said: FromGuest) -> None:
        match said:
            case ServerHello(version):
                if self._dialect is None or dialect_of(version) is not self._dialect:
                    raise UnknownServer(f"{version} and said to be another")
                if self._dialect is not OLD:
                    # It does not look at a hello's keymap.
                    self._owed = self._keyboard.packets(LayoutChanged(self._layout))
            case MoveResize(wid, _, counter) | Resized(wid, _, _, counter):
                if wid in self._counters or len(self._counters) < _MAX_COUNTED:
                    self._counters[wid] = counter
            case LostWindow(wid):
                self._counters.pop(wid, None)
            case _:
                pass


def _greeted(line: bytes) -> str:
    """The version of the server by the bridge's first line; raises ProtocolBroken."""
    found = _GREETING.fullmatch(line)
    if found is None:
        raise ProtocolBroken("what listens in it is not the bridge of the guest tools")
    if found[1] != b"1":
        raise UnknownServer(f"{found[2].decode()}, with newer guest tools")
    return found[2].decode()
