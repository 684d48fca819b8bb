"""What is said to a guest: see packets.py."""

from dataclasses import dataclass

from qubes_manager.viewers.protocol.from_guest import Box


@dataclass(frozen=True, slots=True)
class KeyboardLayout:
    """Names of XKB: layouts separated by commas, as many variants (``us,de``, ``,nodeadkeys``), and options."""

    layout: str = "us"
    variant: str = ""
    options: str = ""


@dataclass(frozen=True, slots=True)
class ClientHello:
    """The first that is said: the size that the guest's screen is to have, in pixels, and its DPI.

    Nothing more is told of the host.
    """

    width: int
    height: int
    dpi: int = 96
    keyboard: KeyboardLayout = KeyboardLayout()


@dataclass(frozen=True, slots=True)
class ScreenChanged:
    """Screens have changed: as in ``ClientHello``."""

    width: int
    height: int
    dpi: int


@dataclass(frozen=True, slots=True)
class LayoutChanged:
    """The host's keyboard has another layout."""

    keyboard: KeyboardLayout


@dataclass(frozen=True, slots=True)
class KeymapChanged:
    """From now on keys mean what is said here, and nothing else, until ``LayoutChanged``; they are sent with group 0.

    *keys* are a keycode each and the names of its symbols in the order of X's core protocol (group 1: plain, Shift;
    group 2: the same; then the levels of AltGr of both), *modifiers* names of symbols, and what a key with one sets.
    """

    keyboard: KeyboardLayout
    keys: tuple[tuple[int, tuple[str, ...]], ...]
    modifiers: tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True)
class WindowState:
    """What the host's window manager made of a window; None is not said."""

    maximized: bool | None = None
    fullscreen: bool | None = None
    iconified: bool | None = None


@dataclass(frozen=True, slots=True)
class MapWindow:
    """A managed window is shown, at *box*: from now on it is drawn."""

    wid: int
    box: Box
    state: WindowState = WindowState()


@dataclass(frozen=True, slots=True)
class UnmapWindow:
    """A managed window is not seen (iconified): it is not drawn."""

    wid: int


@dataclass(frozen=True, slots=True)
class ConfigureWindow:
    """A managed window is at *box* now (None: where it was), or in another state."""

    wid: int
    box: Box | None
    state: WindowState = WindowState()


@dataclass(frozen=True, slots=True)
class CloseWindow:
    """The user wants a window closed; the application may ask or refuse."""

    wid: int


@dataclass(frozen=True, slots=True)
class RefreshWindow:
    """All of a window is to be drawn again."""

    wid: int


@dataclass(frozen=True, slots=True)
class Focus:
    """A window has the keyboard; 0 is none of this guest's."""

    wid: int
    modifiers: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class KeyAction:
    """A key went down or up.

    *keyname* and *keyval* are X's name and number of the symbol, *string* the text that the key makes, *keycode* X's
    code of the key on the host (0: none), *group* the layout's number from 0. *modifiers* are ``shift``, ``lock``,
    ``control``, ``mod1`` to ``mod5``.
    """

    wid: int
    keyname: str
    pressed: bool
    modifiers: tuple[str, ...] = ()
    keyval: int = 0
    string: str = ""
    keycode: int = 0
    group: int = 0


@dataclass(frozen=True, slots=True)
class PointerPosition:
    """The pointer is at *x*, *y* of the guest's screen, over a window."""

    wid: int
    x: int
    y: int
    modifiers: tuple[str, ...] = ()
    buttons: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class ButtonAction:
    """A button, 1 to 9 as X counts (4 to 7 are the wheel's), went down or up at *x*, *y* of the guest's screen."""

    wid: int
    button: int
    pressed: bool
    x: int
    y: int
    modifiers: tuple[str, ...] = ()
    buttons: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class WheelMotion:
    """The wheel turned: *right* and *down* in thousandths of a notch, negative to the left and up.

    A server that cannot turn its wheel in parts gets whole notches as clicks; what is left over waits for the next.
    """

    wid: int
    right: int
    down: int
    x: int
    y: int
    modifiers: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class DamageDone:
    """``Draw``, ``Scroll`` or ``NoDraw`` took *microseconds*: 0 when it is not seen, -1 when it could not be drawn."""

    sequence: int
    wid: int
    width: int
    height: int
    microseconds: int


@dataclass(frozen=True, slots=True)
class PingEcho:
    """The answer to ``Ping``."""

    time: int


@dataclass(frozen=True, slots=True)
class Goodbye:
    """The viewer ends; the session in the guest goes on."""


ToGuest = (
    ClientHello
    | ScreenChanged
    | LayoutChanged
    | KeymapChanged
    | MapWindow
    | UnmapWindow
    | ConfigureWindow
    | CloseWindow
    | RefreshWindow
    | Focus
    | KeyAction
    | PointerPosition
    | ButtonAction
    | WheelMotion
    | DamageDone
    | PingEcho
    | Goodbye
)
