"""What a hostile server says: packets that are well-formed and mean no good, a kind of them in each of ``LIES``.

All of it comes from a ``random.Random``, so that it can be said again. Windows have the numbers in ``WINDOWS``.
"""

import random
import struct
import zlib
from collections.abc import Callable, Iterator

import lz4.block

from qubes_manager.viewers.wire.rencode import Packet, Value

WINDOWS = range(100, 164)
# What lies draw: no desktop, no frame and no honest window has it.
LIE = (255, 0, 255)
_PIXEL = bytes((*LIE[::-1], 255))
_SIDES = (1, 2, 7, 40, 300, 799, 800, 1280, 1281, 5000, 16384, 16385, 32767, 0, -1, 32768, 1 << 31)
_PLACES = (0, 1, -1, 20, 300, 1279, 1280, -5000, 5000, 32767, -32768, 1 << 20, -(1 << 20), (1 << 31) - 1, -(1 << 31))
_TYPES = (b"NORMAL", b"DIALOG", b"UTILITY", b"SPLASH", b"DOCK", b"DESKTOP", b"NOTIFICATION", b"MENU")
_MENUS = (b"POPUP_MENU", b"DROPDOWN_MENU", b"TOOLTIP", b"COMBO", b"DND")
_TITLES = (
    "[vault] secrets",
    "\u202e]tluav[ desrever",
    "\x1b]0;[vault]\x07\x1b[31mred",
    "<b>bold</b>&amp;<img src=x>",
    "two\nlines\r\0end",
    "\u200b\ufeff\u2066" * 90,
    "ÄÖ😀" * 2000,
    "%s%n%x" * 40,
    "",
)
_STATES = (b"modal", b"fullscreen", b"iconic", b"maximized", b"above", b"below", b"sticky", b"skip-taskbar", b"shaded")

Lies = Iterator[Packet]


def opened(wid: int, x: int, y: int, width: int, height: int, **said: Value) -> Packet:
    """A window that the desktop manages."""
    return [b"new-window", wid, x, y, width, height, _table(said), {}]


def popped_up(wid: int, x: int, y: int, width: int, height: int, **said: Value) -> Packet:
    """A window that places itself."""
    return [b"new-override-redirect", wid, x, y, width, height, _table(said), {}]


def told(wid: int, **said: Value) -> Packet:
    """Something said of a window."""
    return [b"window-metadata", wid, _table(said)]


def painted(wid: int, width: int, height: int, x: int = 0, y: int = 0, pixel: bytes = _PIXEL) -> Packet:
    """A picture of one colour; it is short on the wire."""
    pixels = lz4.block.compress(pixel * (width * height))
    said: dict[bytes | int, Value] = {b"rgb_format": b"BGRX", b"lz4": 1}
    return [b"draw", wid, x, y, width, height, b"rgb32", pixels, 1, 4 * width, said]


def gone(wid: int) -> Packet:
    """A window is gone."""
    return [b"lost-window", wid]


def _one_of(chance: random.Random, *values: Value) -> Value:
    return chance.choice(values)


def _table(said: dict[str, Value]) -> dict[bytes | int, Value]:
    return {name.replace("_", "-").encode(): value for name, value in said.items()}


def _any_window(chance: random.Random, wid: int) -> Packet:
    make = chance.choice((opened, popped_up))
    box = (chance.choice(_PLACES), chance.choice(_PLACES), chance.choice(_SIDES), chance.choice(_SIDES))
    return make(wid, *box, title=b"box")


def _plain_windows(chance: random.Random, count: int) -> Lies:
    for wid in WINDOWS[:count]:
        yield opened(wid, chance.randrange(900), chance.randrange(600), 200, 150, title=b"lie")
        yield painted(wid, 200, 150)


def boxes(chance: random.Random) -> Lies:
    """Windows at the bounds of numbers, of no size and of huge ones."""
    for wid in WINDOWS[:16]:
        yield _any_window(chance, wid)
        yield painted(wid, 700, 500)
        for _ in range(4):
            name = chance.choice((b"window-move-resize", b"configure-override-redirect"))
            yield [name, wid, *(chance.choice(_PLACES) for _ in "xy"), *(chance.choice(_SIDES) for _ in "wh"), 1]
            yield [b"window-resized", wid, chance.choice(_SIDES), chance.choice(_SIDES), 2]


def popups(chance: random.Random) -> Lies:
    """Popups of popups, of windows that are gone, of nothing, walking away."""
    yield from _plain_windows(chance, 3)
    last = 0
    for wid in WINDOWS[3:40]:
        parent = chance.choice((wid - 1, WINDOWS[0], WINDOWS[1], WINDOWS[60], wid, 0, last))
        types: Value = [chance.choice(_MENUS)]
        box = (chance.choice(_PLACES), chance.choice(_PLACES), chance.randrange(1, 700), chance.randrange(1, 500))
        yield popped_up(wid, *box, transient_for=parent, window_type=types)
        yield painted(wid, 700, 500)
        if chance.random() < 0.3:
            yield gone(last := chance.choice(WINDOWS[: wid - WINDOWS[0]]))
        yield [b"configure-override-redirect", wid, chance.choice(_PLACES), 100, 300, 200]


def families(chance: random.Random) -> Lies:
    """Windows that belong to themselves, to one another in rings, to who comes later."""
    for wid in WINDOWS[:24]:
        wanted = chance.choice(WINDOWS[:24])
        yield chance.choice((opened, popped_up))(wid, 50, 50, 200, 150, transient_for=wanted, modal=True)
        yield painted(wid, 200, 150)
    for wid in WINDOWS[:24]:
        yield told(wid, transient_for=WINDOWS[(wid + 1) % 24], modal=True)
    for wid in chance.sample(WINDOWS[:24], 12):
        yield gone(wid)


def numbers_again(chance: random.Random) -> Lies:
    """Numbers of windows that mean another one at once."""
    for _ in range(60):
        wid = chance.choice(WINDOWS[:4])
        yield chance.choice((opened, popped_up))(wid, chance.randrange(600), chance.randrange(400), 300, 200)
        if chance.random() < 0.5:
            yield painted(wid, 300, 200)
        if chance.random() < 0.5:
            yield told(wid, fullscreen=True, iconic=chance.random() < 0.5, maximized=True)
        if chance.random() < 0.8:
            yield gone(wid)


def pictures(chance: random.Random) -> Lies:
    """Pictures beside their windows, larger and smaller, with rows that do not fit and forms that are none."""
    yield from _plain_windows(chance, 3)
    for _ in range(80):
        wid = chance.choice((*WINDOWS[:4], 0, -1, 1 << 40))
        width, height = chance.choice(_SIDES[:9]), chance.choice(_SIDES[:9])
        packet = painted(wid, min(width, 900), min(height, 900), chance.choice(_PLACES), chance.choice(_PLACES))
        at = chance.choice((4, 5, 6, 7, 9, 10, None, None))
        if at in (4, 5, 9):
            packet[at] = chance.choice((*_SIDES, 1 << 17, 4, -4))
        elif at == 6:
            packet[at] = chance.choice((b"rgb24", b"png", b"jpeg", b"h264", b"scroll", b"void", b"mmap", b"x" * 99))
        elif at == 7:
            packet[at] = chance.choice((b"", b"\xff" * 64, struct.pack("<I", (1 << 32) - 1) + b"\xff" * 999, 7, []))
        elif at == 10:
            packet[at] = _one_of(chance, {}, {b"rgb_format": b"RGBP"}, {b"rgb_format": 1, b"lz4": 1}, [])
        yield packet


def scrolls(chance: random.Random) -> Lies:
    """Parts that move from nowhere to nowhere, as many as can be said."""
    yield from _plain_windows(chance, 2)
    for _ in range(30):
        moves: list[Value] = [
            [*(chance.choice(_PLACES) for _ in "xy"), *(chance.choice(_SIDES) for _ in "wh"), 3, -(1 << 15)]
            for _ in range(chance.choice((1, 5, 1001)))
        ]
        small: list[Value] = [[0, 0, 150, 140, dx, 9 - dx] for dx in range(chance.choice((1, 3, 999)))]
        yield [b"draw", WINDOWS[0], 0, 0, 200, 150, b"scroll", _one_of(chance, moves, small, [[]], 7), 5, 0, {}]


def icons(chance: random.Random) -> Lies:
    """Icons and pointers of every size, with as many pixels as they like."""
    yield from _plain_windows(chance, 4)
    for side in (1, 2, 63, 64, 65, 255, 256, 257, 16384, 0, -1):
        for length in (4 * side * side, 4 * side * side - 1, 0):
            pixels = _PIXEL * (min(max(length, 0), 300_000) // 4) + bytes(max(length, 0) % 4)
            yield [b"window-icon", chance.choice(WINDOWS[:5]), side, side, b"png", _png(side, pixels)]
            yield [b"window-icon", chance.choice(WINDOWS[:5]), side, side, b"premult_argb32", pixels]
            hot = chance.choice((0, side - 1, side, -1, 1 << 30))
            yield [b"cursor-data", b"raw", side, side, hot, hot, 1, pixels, b"name"]
            yield [b"cursor", b"raw", 0, 0, side, side, hot, hot, 1, pixels, b"name"]
    yield [b"cursor", b""]


def _png(side: int, pixels: bytes) -> bytes:
    """A picture of a *side* that may have other pixels than it says."""
    side = max(side, 0)
    rows = b"".join(bytes([row % 6]) + pixels[4 * side * row :][: 4 * side] for row in range(min(side, 300)))
    chunks = ((b"IHDR", struct.pack("!IIBBBBB", side, side, 8, 6, 0, 0, 0)), (b"IDAT", zlib.compress(rows)))
    said = b"".join(struct.pack("!I", len(body)) + kind + body + bytes(4) for kind, body in chunks)
    return b"\x89PNG\r\n\x1a\n" + said


def names(chance: random.Random) -> Lies:
    """Titles, classes and roles that are others', commands to a terminal, markup, or no text at all."""
    yield from _plain_windows(chance, 6)
    for wid in WINDOWS[:6]:
        for title in _TITLES:
            raw = chance.choice((title.encode(), title.encode()[1:], b"\xed\xa0\x80\xff" + title.encode()))
            group = _one_of(chance, [raw, raw], [raw], raw, [b"qubes-manager", b"vault:XTerm"])
            yield told(wid, title=raw, icon_title=raw, class_instance=group, role=raw, window_type=[raw])


def states(chance: random.Random) -> Lies:
    """Storms of states: modal, in full screen, minimised, above all others."""
    yield from _plain_windows(chance, 5)
    for _ in range(150):
        said: dict[str, Value] = {name.decode(): chance.random() < 0.5 for name in chance.sample(_STATES, 3)}
        yield told(chance.choice(WINDOWS[:5]), **said, attention_requested=True, decorations=chance.random() < 0.5)


def many(chance: random.Random) -> Lies:
    """More windows than there may be, most of them at one place."""
    for wid in WINDOWS:
        make = opened if wid % 3 else popped_up
        yield make(wid, chance.randrange(40), 30, 250, 120, title=b"many")
        yield painted(wid, 250, 120)


def grabs(chance: random.Random) -> Lies:
    """The pointer and the keyboard, taken while no button is held; windows put before all others."""
    yield from _plain_windows(chance, 3)
    for direction in range(-1, 14):
        wid = chance.choice((*WINDOWS[:3], 1))
        yield [b"initiate-moveresize", wid, 5, 5, direction, chance.choice((0, 1, 255)), 1]
        for name in (b"pointer-grab", b"pointer-ungrab", b"raise-window", b"restack-window", b"window-grab"):
            yield [name, wid, 1, 1]


def forbidden(chance: random.Random) -> Lies:
    """What no viewer of ours does, and what no server says."""
    text = b"\x1b]0;x\x07" * 20
    for _ in range(20):
        said: list[Packet] = [
            [b"bell", 1, 100, 100, 1000, 0, 0, text],
            [b"notify_show", b"", 1, b"[vault]", 0, b"", text, text, 5000, {}],
            [b"clipboard-token", b"CLIPBOARD", [b"UTF8_STRING"], b"UTF8_STRING", b"x", 8, b"bytes", text, True, True],
            [b"clipboard-request", 1, b"CLIPBOARD", b"UTF8_STRING"],
            [b"open-url", b"file:///etc/passwd", 1],
            [b"send-file", b"x.desktop", b"text/plain", True, True, 4, b"x", {}],
            [b"challenge", text, {}, b"hmac", b"prompt", b"xor"],
            [b"setting-change", b"xsettings", {b"a": text}],
            [b"startup-complete"],
            [b"hello", {b"version": 6.5, b"actual_desktop_size": [1 << 31, 1]}],
            [text, 1],
            [b"ping", chance.choice((0, -1, (1 << 63) - 1))],
            [],
            [[b"new-window"]],
        ]
        yield from said


def hints(chance: random.Random) -> Lies:
    """Sizes that a window must and must not have, all at once."""
    yield from _plain_windows(chance, 4)
    for _ in range(80):
        constraints: dict[bytes | int, Value] = {
            name: _one_of(chance, None, 7, [], [chance.choice(_SIDES), chance.choice(_SIDES)])
            for name in (b"minimum-size", b"maximum-size", b"base-size", b"increment", b"aspect-ratio")
        }
        wid = chance.choice(WINDOWS[:4])
        yield told(wid, size_constraints=constraints, decorations=chance.random() < 0.5)
        yield [b"window-resized", wid, chance.choice(_SIDES[:9]), chance.choice(_SIDES[:9]), 1]


LIES: tuple[Callable[[random.Random], Lies], ...] = (
    boxes,
    popups,
    families,
    numbers_again,
    pictures,
    scrolls,
    icons,
    names,
    states,
    many,
    grabs,
    forbidden,
    hints,
)


def mixed(chance: random.Random) -> Lies:
    """Some of all, as they come, each of the others' windows too."""
    said = [packet for lie in chance.sample(LIES, 4) for packet in lie(chance)]
    chance.shuffle(said)
    yield from said[:400]
