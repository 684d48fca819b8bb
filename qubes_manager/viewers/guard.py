"""Stands between the guest's display server and the client that draws: what breaks the rules does not get through.

Packets are those of xpra 3 (``new-window``, ``draw``, …), as lists whose first item is the type. The guest is hostile:
a packet that is malformed, of a kind that is not needed, or against the rules is dropped or put right here, so that
nothing depends on what the client would do with it.

The guard also makes room for the border: a window on the host is larger than the guest's by the border on each side,
and coordinates are shifted on their way in and out. So the border hides nothing of what the application draws.
"""

import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from qubes_manager.core.gui_rules import UNMANAGED_SHARE, GuiRules

Packet = list[Any]
# Width and height in pixels of the smallest screen that a window may come to lie on.
ScreenSize = Callable[[], tuple[int, int]]

# What passes as it is. Left out on purpose: grabs, raising, bells, notifications, trays, sound, clipboard, files, URLs,
# printing, remote control, log lines, and questions for passwords.
_PASSED = frozenset({"hello", "disconnect", "startup-complete", "ping", "ping_echo", "lost-window", "eos"})
# The client's own words for the end of the connection.
_OWN = frozenset({"connection-lost", "gibberish", "invalid"})
_ENCODINGS = frozenset({"rgb24", "rgb32", "png", "png/P", "png/L", "scroll", "void"})
_FRAMED_TYPES = frozenset({"NORMAL", "DIALOG", "UTILITY", "TOOLBAR"})
# Types that the client or a window manager leaves without a frame, whatever else is said of them.
_UNMANAGED_TYPES = frozenset({"SPLASH", "MENU", "DROPDOWN_MENU", "POPUP_MENU", "TOOLTIP", "COMBO", "DND"})
_WINDOW_TYPES = _FRAMED_TYPES | _UNMANAGED_TYPES
_NO_CLASS = re.compile(r"[^A-Za-z0-9_.-]")
_MAX_SIDE = 16384
# Pixels of a window that stay on the screen wherever the guest puts it.
_MIN_VISIBLE = 64
_MAX_ICON = 256
# A pointer as large as a window would be a window without a border.
_MAX_CURSOR = 96


@dataclass(slots=True)
class _Window:
    border: int
    managed: bool
    decorated: bool
    width: int
    height: int
    fullscreen: bool = False


class Guard:
    """Judges packets. *on_refused* is told in a word what was refused; it may be called from another thread."""

    def __init__(self, rules: GuiRules, screen: ScreenSize, on_refused: Callable[[str], object]) -> None:
        self.rules = rules
        self._screen = screen
        self._on_refused = on_refused
        self._windows: dict[int, _Window] = {}
        self._judges: dict[str, Callable[[Packet], Iterable[Packet]]] = {
            "new-window": self._new_window,
            "new-override-redirect": self._new_override_redirect,
            "window-metadata": self._window_metadata,
            "window-move-resize": self._window_move_resize,
            "window-resized": self._window_resized,
            "configure-override-redirect": self._configure_override_redirect,
            "window-icon": self._window_icon,
            "initiate-moveresize": self._initiate_moveresize,
            "cursor": self._cursor,
            "draw": self._draw,
        }

    def change_rules(self, rules: GuiRules) -> list[Packet]:
        """Take new rules; returns packets that bring windows in line with them. The border's width stays."""
        self.rules = rules
        if rules.allow_fullscreen:
            return []
        large = [(wid, window) for wid, window in self._windows.items() if window.fullscreen]
        for _wid, window in large:
            window.fullscreen = False
        return [["window-metadata", wid, {b"fullscreen": False}] for wid, _window in large]

    # From the guest.

    def admit(self, packet: Sequence[Any]) -> list[Packet]:
        """Return what may be handed to the client in place of *packet*: nothing, or one packet or more."""
        try:
            kind = _text(packet[0])
            if kind in _PASSED or kind in _OWN:
                if kind == "lost-window":
                    self._windows.pop(_number(packet[1]), None)
                return [[kind, *packet[1:]]]
            judge = self._judges.get(kind)
            return list(judge(list(packet))) if judge else []
        except (IndexError, KeyError, TypeError, ValueError, AttributeError):
            # Whatever a malformed packet breaks on, it is not worth more than that.
            self._on_refused("a malformed packet")
            return []

    def _new_window(self, packet: Packet, managed: bool = True) -> Iterable[Packet]:
        wid, x, y = _number(packet[1]), _number(packet[2]), _number(packet[3])
        if wid in self._windows or wid <= 0:
            raise ValueError(wid)
        if len(self._windows) >= self.rules.windows_count_limit:
            self._on_refused("too many windows")
            return
        border = self.rules.border_width
        width, height = self._size(packet[4]) + 2 * border, self._size(packet[5]) + 2 * border
        window = _Window(border, managed, managed, width, height)
        metadata = self._cook(packet[6], window)
        types = metadata.get(b"window-type", ())
        window.managed = managed and not _UNMANAGED_TYPES.intersection(types)
        if not window.managed and self._is_protected(width, height):
            # It becomes a window like any other, which the user can move, lower and close.
            window.managed = window.decorated = True
            metadata |= {b"window-type": ["NORMAL"], b"decorations": True, b"set-initial-position": False}
            self._on_refused("an unmanaged window over most of the screen")
        self._keep_decorated(window, metadata)
        # Without a word on it the client would guess, by what the server says that it can do.
        metadata.setdefault(b"decorations", window.managed)
        self._windows[wid] = window
        metadata.setdefault(b"title", self.rules.title("").encode())
        # A window that was not placed yet says 0, 0: the host's window manager finds it a place.
        if (x, y) != (0, 0) or not window.managed:
            x, y = self._place(x - border, y - border, width)
        kind = "new-window" if managed or window.managed else "new-override-redirect"
        yield [kind, wid, x, y, width, height, metadata, {}]

    def _new_override_redirect(self, packet: Packet) -> Iterable[Packet]:
        return self._new_window(packet, managed=False)

    def _window_metadata(self, packet: Packet) -> Iterable[Packet]:
        wid = _number(packet[1])
        window = self._windows[wid]
        metadata = self._cook(packet[2], window)
        # What a window is was judged when it was made.
        metadata.pop(b"window-type", None)
        self._keep_decorated(window, metadata)
        if metadata:
            yield ["window-metadata", wid, metadata]

    def _window_move_resize(self, packet: Packet) -> Iterable[Packet]:
        wid = _number(packet[1])
        window = self._windows[wid]
        yield from self._resize(wid, window, packet[4], packet[5])
        x, y = _number(packet[2]) - window.border, _number(packet[3]) - window.border
        rest = [_number(packet[6])] if len(packet) > 6 else []
        x, y = self._place(x, y, window.width)
        yield [_text(packet[0]), wid, x, y, window.width, window.height, *rest]

    def _configure_override_redirect(self, packet: Packet) -> Iterable[Packet]:
        return self._window_move_resize(packet[:6])

    def _window_resized(self, packet: Packet) -> Iterable[Packet]:
        wid = _number(packet[1])
        window = self._windows[wid]
        yield from self._resize(wid, window, packet[2], packet[3])
        rest = [_number(packet[4])] if len(packet) > 4 else []
        yield ["window-resized", wid, window.width, window.height, *rest]

    def _window_icon(self, packet: Packet) -> Iterable[Packet]:
        if 0 < _number(packet[2]) <= _MAX_ICON and 0 < _number(packet[3]) <= _MAX_ICON:
            yield packet

    def _cursor(self, packet: Packet) -> Iterable[Packet]:
        if len(packet) < 5:
            # The default pointer.
            yield ["cursor", ""]
            return
        # Before x, y, width and height there may be the encoding's name.
        first = 1 if isinstance(packet[1], int) else 2
        width, height = _number(packet[first + 2]), _number(packet[first + 3])
        if 0 < width <= _MAX_CURSOR and 0 < height <= _MAX_CURSOR:
            yield packet

    def _initiate_moveresize(self, packet: Packet) -> Iterable[Packet]:
        self._windows[_number(packet[1])]
        yield ["initiate-moveresize", *map(_number, packet[1:7])]

    def _draw(self, packet: Packet) -> Iterable[Packet]:
        window = self._windows.get(_number(packet[1]))
        if window is None or _text(packet[6]) not in _ENCODINGS:
            return
        border = window.border
        if _text(packet[6]) == "scroll":
            moved = [(_number(x) + border, _number(y) + border, *map(_number, rest)) for x, y, *rest in packet[7]]
            packet[7] = moved
        packet[2], packet[3] = _number(packet[2]) + border, _number(packet[3]) + border
        yield packet

    # To the guest.

    def send(self, packet: Sequence[Any]) -> Sequence[Any]:
        """Return what to tell the guest in place of *packet*: sizes without the border, nothing of the host's name."""
        if packet and packet[0] == "hello":
            return [packet[0], {**packet[1], "hostname": "host", "username": "", "name": "", "argv": []}, *packet[2:]]
        if not packet or packet[0] not in ("map-window", "configure-window"):
            return packet
        kind, wid, x, y, width, height, *rest = packet
        if (window := self._windows.get(wid)) is None:
            return packet
        border = window.border
        window.width, window.height = width, height
        inner = max(1, width - 2 * border), max(1, height - 2 * border)
        return [kind, wid, x + border, y + border, *inner, *rest]

    # What windows may be.

    def _size(self, value: object) -> int:
        return max(1, min(_number(value), _MAX_SIDE))

    def _is_large(self, width: int, height: int) -> bool:
        screen_width, screen_height = self._screen()
        seen = min(width, screen_width) * min(height, screen_height)
        return seen > UNMANAGED_SHARE * screen_width * screen_height

    def _is_protected(self, width: int, height: int) -> bool:
        return self.rules.override_redirect_protection and self._is_large(width, height)

    def _resize(self, wid: int, window: _Window, width: object, height: object) -> Iterable[Packet]:
        window.width, window.height = (self._size(side) + 2 * window.border for side in (width, height))
        if not window.managed and self._is_protected(window.width, window.height):
            screen_width, screen_height = self._screen()
            window.width = min(window.width, screen_width)
            window.height = int(UNMANAGED_SHARE * screen_height)
            self._on_refused("an unmanaged window over most of the screen")
        changes: dict[bytes, Any] = {}
        self._keep_decorated(window, changes)
        if changes:
            yield ["window-metadata", wid, changes]

    def _keep_decorated(self, window: _Window, metadata: dict[bytes, Any]) -> None:
        """A window over most of the screen has a frame, unless it may be in full screen."""
        if self.rules.allow_fullscreen or not window.managed or window.decorated:
            return
        if metadata.get(b"maximized") or self._is_large(window.width, window.height):
            window.decorated = True
            metadata[b"decorations"] = True
            self._on_refused("a window without a frame over most of the screen")

    def _place(self, x: int, y: int, width: int) -> tuple[int, int]:
        screen_width, screen_height = self._screen()
        x = max(_MIN_VISIBLE - width, min(x, max(screen_width, _MIN_VISIBLE) - _MIN_VISIBLE))
        return x, max(0, min(y, max(screen_height, _MIN_VISIBLE) - _MIN_VISIBLE))

    def _cook(self, raw: dict[Any, Any], window: _Window) -> dict[bytes, Any]:
        """The metadata that a window may have. What is not named here (opacity, shape, struts, …) is left out."""
        given = {_text(key): value for key, value in raw.items()}
        cooked: dict[bytes, Any] = {}
        for name in ("title", "icon-title"):
            if name in given:
                cooked[name.encode()] = self.rules.title(_text(given[name])).encode()
        if "class-instance" in given:
            words = [_NO_CLASS.sub("_", _text(word))[:64] for word in given["class-instance"]][:2]
            cooked[b"class-instance"] = [f"{self.rules.domain}:{word}" for word in words]
        if "role" in given:
            cooked[b"role"] = _NO_CLASS.sub("_", _text(given["role"]))[:64]
        if "window-type" in given:
            cooked[b"window-type"] = [t for t in map(_text, given["window-type"]) if t in _WINDOW_TYPES] or ["NORMAL"]
        if "size-constraints" in given:
            cooked[b"size-constraints"] = self._constraints(given["size-constraints"], window.border)
        if _truth(given.get("transient-for")) and _number(given["transient-for"]) > 0:
            cooked[b"transient-for"] = _number(given["transient-for"])
        if "decorations" in given:
            window.decorated = _truth(given["decorations"])
            cooked[b"decorations"] = window.decorated
        for name in ("set-initial-position", "maximized"):
            if name in given:
                cooked[name.encode()] = _truth(given[name])
        if _truth(given.get("iconic")):
            cooked[b"iconic"] = True
        if "fullscreen" in given:
            self._cook_fullscreen(_truth(given["fullscreen"]), window, cooked)
        return cooked

    def _cook_fullscreen(self, wanted: bool, window: _Window, cooked: dict[bytes, Any]) -> None:
        if wanted and not self.rules.allow_fullscreen:
            self._on_refused("full screen")
            return
        window.fullscreen = wanted
        cooked[b"fullscreen"] = wanted

    def _constraints(self, raw: dict[Any, Any], border: int) -> dict[bytes, tuple[int, int]]:
        result: dict[bytes, tuple[int, int]] = {}
        most = [int(UNMANAGED_SHARE * side) for side in self._screen()]
        for key, value in raw.items():
            name = _text(key)
            if name not in ("maximum-size", "minimum-size", "base-size", "increment"):
                continue
            width, height = (max(0, min(_number(side), _MAX_SIDE)) for side in value)
            if name != "increment":
                width, height = width + 2 * border, height + 2 * border
            if name == "minimum-size":
                width, height = min(width, most[0]), min(height, most[1])
            result[name.encode()] = (width, height)
        return result


def _text(value: object) -> str:
    if isinstance(value, bytes):
        return value.decode("utf-8", "replace")
    if isinstance(value, str):
        return value
    raise TypeError(value)


def _number(value: object) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or abs(value) > 1 << 31:
        raise TypeError(value)
    return value


def _truth(value: object) -> bool:
    return bool(value) and isinstance(value, int)
