"""What a guest says: see packets.py."""

from dataclasses import dataclass
from enum import Enum, IntEnum


@dataclass(frozen=True, slots=True)
class Box:
    """A rectangle in pixels; width and height of those that a guest names are 1 to 32767, or 0 where it says so."""

    x: int
    y: int
    width: int
    height: int


class PixelFormat(Enum):
    """How pixels lie in memory. None has alpha: windows are opaque, and the fourth byte of BGRX means nothing."""

    BGRX = "BGRX"
    RGB = "RGB"

    @property
    def bytes_per_pixel(self) -> int:
        """How many bytes a pixel takes."""
        return 4 if self is PixelFormat.BGRX else 3


@dataclass(frozen=True, slots=True)
class SizeConstraints:
    """Sizes that an application wants of its window, each (width, height) in pixels; None is not said."""

    minimum: tuple[int, int] | None = None
    maximum: tuple[int, int] | None = None
    base: tuple[int, int] | None = None
    increment: tuple[int, int] | None = None


@dataclass(frozen=True, slots=True)
class Metadata:
    """What is said of a window; None is what was not said (and so has not changed).

    *window_types* are the names of EWMH without their prefix, the best first (``NORMAL``, ``POPUP_MENU`` …);
    a name that is not one of EWMH's is left out. *transient_for* is a wid. *set_initial_position* says that the
    application itself wanted the place that ``NewWindow`` names.
    """

    title: str | None = None
    icon_title: str | None = None
    class_instance: tuple[str, str] | None = None
    role: str | None = None
    window_types: tuple[str, ...] | None = None
    constraints: SizeConstraints | None = None
    transient_for: int | None = None
    decorations: bool | None = None
    maximized: bool | None = None
    fullscreen: bool | None = None
    iconic: bool | None = None
    attention: bool | None = None
    set_initial_position: bool | None = None


@dataclass(frozen=True, slots=True)
class Greeting:
    """The guest is there and its server is of *version*, one that is known: the viewer says ``ClientHello`` now."""

    version: str


@dataclass(frozen=True, slots=True)
class ServerHello:
    """The server has taken our hello."""

    version: str


@dataclass(frozen=True, slots=True)
class StartupComplete:
    """All windows that there are have been told."""


@dataclass(frozen=True, slots=True)
class Ping:
    """The server asks whether somebody is there: the viewer says ``PingEcho`` with this *time* (of the guest's)."""

    time: int


@dataclass(frozen=True, slots=True)
class NewWindow:
    """A window was made. One that is not *managed* (a menu, a tip) is neither mapped nor configured."""

    wid: int
    box: Box
    managed: bool
    metadata: Metadata


@dataclass(frozen=True, slots=True)
class WindowMetadata:
    """Something said of a window has changed."""

    wid: int
    metadata: Metadata


@dataclass(frozen=True, slots=True)
class LostWindow:
    """A window is gone."""

    wid: int


@dataclass(frozen=True, slots=True)
class MoveResize:
    """The application, or an unmanaged window itself, has moved and resized a window.

    *counter* is for the session alone, as that of ``Resized``: by it the server knows sizes that we said too early.
    """

    wid: int
    box: Box
    counter: int = 0


@dataclass(frozen=True, slots=True)
class Resized:
    """The application has resized a window."""

    wid: int
    width: int
    height: int
    counter: int = 0


@dataclass(frozen=True, slots=True)
class Draw:
    """A picture of a part of a window. Row *n* begins at byte ``n * stride`` of *pixels*; all rows are there.

    It is answered by ``DamageDone``, and so are ``Scroll`` and ``NoDraw``: a server that hears nothing sends less and
    less.
    """

    wid: int
    box: Box
    stride: int
    pixel_format: PixelFormat
    pixels: bytes
    sequence: int


@dataclass(frozen=True, slots=True)
class Scroll:
    """Parts of a window move within it: each (x, y, width, height, dx, dy), all of them from the picture as it was."""

    wid: int
    moves: tuple[tuple[int, int, int, int, int, int], ...]
    sequence: int


@dataclass(frozen=True, slots=True)
class NoDraw:
    """Nothing is to be drawn, but it is to be answered."""

    wid: int
    box: Box
    sequence: int


@dataclass(frozen=True, slots=True)
class WindowIcon:
    """A window's icon, as rows of blue, green, red, alpha without gaps (``QImage.Format_ARGB32_Premultiplied``)."""

    wid: int
    width: int
    height: int
    pixels: bytes


@dataclass(frozen=True, slots=True)
class Cursor:
    """The pointer's picture; the point that points lies inside of it.

    Pixels are red, green, blue, alpha, premultiplied: xpra turns only those of pointers round.
    """

    x_hot: int
    y_hot: int
    width: int
    height: int
    pixels: bytes


@dataclass(frozen=True, slots=True)
class DefaultCursor:
    """The pointer is the host's usual one."""


class Direction(IntEnum):
    """What ``InitiateMoveResize`` begins; the numbers are those of EWMH's _NET_WM_MOVERESIZE."""

    TOP_LEFT = 0
    TOP = 1
    TOP_RIGHT = 2
    RIGHT = 3
    BOTTOM_RIGHT = 4
    BOTTOM = 5
    BOTTOM_LEFT = 6
    LEFT = 7
    MOVE = 8
    SIZE_KEYBOARD = 9
    MOVE_KEYBOARD = 10
    CANCEL = 11


@dataclass(frozen=True, slots=True)
class InitiateMoveResize:
    """The application asks the window manager to move or resize its window with the pointer, which is at *x*, *y*."""

    wid: int
    x: int
    y: int
    direction: Direction
    button: int


@dataclass(frozen=True, slots=True)
class Disconnect:
    """The server ends the session, and says why."""

    reason: str


FromGuest = (
    Greeting
    | ServerHello
    | StartupComplete
    | Ping
    | NewWindow
    | WindowMetadata
    | LostWindow
    | MoveResize
    | Resized
    | Draw
    | Scroll
    | NoDraw
    | WindowIcon
    | Cursor
    | DefaultCursor
    | InitiateMoveResize
    | Disconnect
)
