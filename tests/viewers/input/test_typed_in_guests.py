"""What is typed on the host is read back in a guest: in a real display server, by a window that writes what it sees."""

import socket
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from qubes_manager.core.gui_rules import GuiRules
from qubes_manager.viewers.input.host_keys import HostKeys
from qubes_manager.viewers.input.keyboard import Key, Keyboard
from qubes_manager.viewers.input.xkb import Keymap, keysym_of, modifier_mask
from qubes_manager.viewers.protocol.packets import (
    ClientHello,
    DamageDone,
    Draw,
    FromGuest,
    Greeting,
    KeyboardLayout,
    MapWindow,
    NewWindow,
    Ping,
    PingEcho,
    ToGuest,
)
from qubes_manager.viewers.protocol.session import GuestSession
from tests.native_guest import NativeGuest
from tests.waiting import PATIENCE, wait_until

# The first to come makes the server's tree.
pytestmark = pytest.mark.timeout(120, func_only=True)
RULES = GuiRules("work", "#3465a4")
LAYOUTS = KeyboardLayout("us,de,fr,ru")
SHIFT, ALTGR, CAPS, RETURN = 50, 108, 66, 36


class Typist:
    """Types at a host's keyboard; the guest's window hears it."""

    def __init__(self, connection: socket.socket, layout: KeyboardLayout) -> None:
        self._socket = connection
        self._session = GuestSession()
        self._layout = layout
        self.wid = 0
        self._is_shown = threading.Event()
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()
        assert self._is_shown.wait(60)
        self.keyboard = Keyboard(self._say, HostKeys(RULES), lambda _action: None, layout)
        self.keyboard.focus(self.wid)
        self.host = self._map(layout)

    @staticmethod
    def _map(layout: KeyboardLayout) -> Keymap:
        keymap = Keymap.of_layout(layout)
        assert keymap
        return keymap

    def _say(self, message: ToGuest) -> None:
        self._socket.sendall(self._session.say(message))

    def _read(self) -> None:
        while data := self._socket.recv(64 << 10):
            for packet in self._session.feed(data):
                self._hear(packet)

    def _hear(self, packet: FromGuest) -> None:
        match packet:
            case Greeting():
                self._say(ClientHello(1280, 800, 96, self._layout))
            case NewWindow(wid, box, True):
                self._say(MapWindow(wid, box))
                self.wid = wid
            case Ping(when):
                self._say(PingEcho(when))
            case Draw(wid, box, sequence=sequence):
                self._say(DamageDone(sequence, wid, box.width, box.height, 100))
                self._is_shown.set()
            case _:
                pass

    def close(self) -> None:
        """Hang up."""
        self._socket.shutdown(socket.SHUT_RDWR)
        self._reader.join(PATIENCE)

    def use(self, layout: KeyboardLayout) -> None:
        """Have another layout."""
        self.host = self._map(layout)
        self.keyboard.change_layout(layout)

    def hit(self, keycode: int, group: int = 0, *held: str) -> None:
        """Press a key and let it go, on one of the layouts."""
        self.down(keycode, group, *held)
        self.up(keycode, group, *held)

    def down(self, keycode: int, group: int = 0, *held: str) -> None:
        self.keyboard.press(self.wid, self._key(keycode, group, held))

    def up(self, keycode: int, group: int = 0, *held: str) -> None:
        self.keyboard.release(self._key(keycode, group, held))

    def _key(self, keycode: int, group: int, held: tuple[str, ...]) -> Key:
        mask = modifier_mask(held)
        return Key(keycode, self.host.keysym(keycode, group, mask), mask, group)

    def refocus(self, guest: NativeGuest) -> None:
        """The keyboard is elsewhere for a while: 3.1 takes two words of it within a millisecond in any order."""
        self.keyboard.focus(0)
        guest.run("xdotool", "getwindowfocus")
        self.keyboard.focus(self.wid)

    def hit_until_seen(self, window: "Window", name: str, keycode: int, group: int = 0, *held: str) -> None:
        """Press a key until the window sees it: it takes the keyboard when it is told to, and that takes it a while."""

        def is_seen() -> bool:
            self.hit(keycode, group, *held)
            return f"-{name}" in window.seen()

        wait_until(is_seen, window.seen)


@pytest.fixture(scope="module", params=["3.1", "6.5"])
def guest(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[NativeGuest]:
    guest = NativeGuest(tmp_path_factory.mktemp("guest"), request.param)
    yield guest
    guest.close()


class Window:
    """The window in the guest, and what it has seen."""

    def __init__(self, guest: NativeGuest) -> None:
        self._file: Path = guest.log_keys("typed")
        self._at = 0

    def seen(self) -> str:
        """What it has seen since the last time."""
        return self._file.read_text()[self._at :].strip()

    def until_seen(self, key: str, times: int) -> None:
        """Wait until it has seen a key so often."""
        wait_until(lambda: self.seen().split().count(key) >= times, self.seen)

    def until(self, *keys: str) -> None:
        """Wait until it has seen these, and no others, since the last time."""
        wait_until(lambda: self.seen().split() == [*keys], lambda: f"{self.seen().split()} and not {keys}")
        self._at = len(self._file.read_text())

    def until_last(self, *keys: str) -> None:
        """Wait until it has seen these after others."""
        said = lambda: f"{self.seen().split()} and not at its end {keys}"  # noqa: E731
        wait_until(lambda: self.seen().split()[-len(keys) :] == [*keys], said)


def strokes(*names: str) -> tuple[str, ...]:
    """Keys that went down and up."""
    return tuple(sign + name for name in names for sign in "+-")


@pytest.fixture
def window(guest: NativeGuest) -> Iterator[Window]:
    yield Window(guest)
    guest.clear()


@pytest.fixture
def typist(guest: NativeGuest, window: Window) -> Iterator[Typist]:
    with guest.connect() as connection:
        typist = Typist(connection, LAYOUTS)
        yield typist
        typist.close()


def test_a_key_means_on_each_layout_what_it_means_on_the_host(typist: Typist, window: Window) -> None:
    for group in range(4):
        for keycode in (24, 29, 47):
            typist.hit(keycode, group)
    us, de, fr = ("q", "y", "semicolon"), ("q", "z", "odiaeresis"), ("a", "y", "m")
    window.until(*strokes(*us, *de, *fr, "Cyrillic_shorti", "Cyrillic_en", "Cyrillic_zhe"))


def test_modifiers_dead_keys_and_locks_are_the_host_s(typist: Typist, window: Window) -> None:
    typist.down(SHIFT, 1)
    typist.hit(24, 1, "shift")
    typist.up(SHIFT, 1, "shift")
    typist.down(ALTGR, 1)
    typist.hit(24, 1, "mod5")
    typist.up(ALTGR, 1, "mod5")
    typist.hit(21, 1)
    window.until("+Shift_L", *strokes("Q"), "-Shift_L", "+ISO_Level3_Shift", *strokes("at"), "-ISO_Level3_Shift",
                 *strokes("dead_acute"))  # fmt: skip
    # Caps Lock was pressed when the keyboard was elsewhere: the guest's is made the same. 6 looks a while after it was
    # told a layout for the key that does it.
    typist.hit_until_seen(window, "Q", 24, 0, "lock")
    typist.hit(24, 0)
    window.until_last(*strokes("Q", "Caps_Lock", "q"))
    assert window.seen().count("+Caps_Lock") == 2


def test_the_layout_stays_when_the_keyboard_was_elsewhere(guest: NativeGuest, typist: Typist, window: Window) -> None:
    typist.hit(24, 3)
    window.until(*strokes("Cyrillic_shorti"))
    typist.refocus(guest)
    typist.hit_until_seen(window, "Cyrillic_shorti", 24, 3)
    assert set(window.seen().split()) <= {"+Cyrillic_shorti", "-Cyrillic_shorti"}


def test_another_layout_is_taken_while_running(typist: Typist, window: Window) -> None:
    typist.hit(24, 3)
    window.until(*strokes("Cyrillic_shorti"))
    japanese = ("q", "Henkan", "backslash")
    for layout, keys, names in (("jp", (24, 100, 132), japanese), ("fr", (24,), ("a",)), ("us,ru", (24,), ("q",))):
        typist.use(KeyboardLayout(layout))
        for keycode in keys:
            typist.hit(keycode)
        window.until(*strokes(*names))
    typist.hit(24, 1)
    window.until(*strokes("Cyrillic_shorti"))


def test_a_key_that_is_held_repeats_until_it_is_let_go(guest: NativeGuest, typist: Typist, window: Window) -> None:
    typist.down(25)
    window.until_seen("+w", 30)
    typist.refocus(guest)
    typist.hit_until_seen(window, "q", 24)
    keys = window.seen().split()
    assert keys.count("-w") == 1 and "+w" not in keys[keys.index("-w") :]


def test_texts_of_input_methods_are_typed_and_keys_go_on(typist: Typist, window: Window) -> None:
    typist.hit(24, 1)
    typist.keyboard.type_text(typist.wid, "你é😀")
    window.until(*strokes("q", "U+4F60", "eacute", "U+1F600"))
    # Each layout is another map now, and programs look what a key means when they come to it.
    typist.hit(24, 1)
    typist.down(SHIFT, 1)
    typist.hit(24, 1, "shift")
    typist.up(SHIFT, 1, "shift")
    window.until(*strokes("q"), "+Shift_L", *strokes("Q"), "-Shift_L")
    typist.hit(24, 3)
    window.until(*strokes("Cyrillic_shorti"))
    typist.down(37, 3)
    typist.hit(54, 3, "control")
    typist.up(37, 3, "control")
    window.until("+Control_L", *strokes("Cyrillic_es"), "-Control_L")
    typist.hit(24, 0, "lock")
    window.until(*strokes("Caps_Lock", "Q"))
    typist.hit(24, 0)
    window.until(*strokes("Caps_Lock", "q"))
    typist.hit(RETURN)
    window.until(*strokes("Return"))


def test_keys_of_a_map_without_a_name_mean_what_they_mean_on_the_host(typist: Typist, window: Window) -> None:
    for keycode, letter, name in ((9, "a", "a"), (10, "ß", "ssharp"), (11, "ж", "Cyrillic_zhe"), (12, "A", "A")):
        key = Key(keycode, keysym_of(letter), 0, 0)
        typist.keyboard.press(typist.wid, key)
        typist.keyboard.release(key)
        # Before there is another map.
        window.until(*strokes(name))
