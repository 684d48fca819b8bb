"""Layouts of keyboards, as libxkbcommon knows them: which keys make a text."""

import ctypes
from collections.abc import Iterator
from dataclasses import dataclass

_NO_FLAGS, _TEXT_V1 = 0, 1
# How X calls the keys that hold others down.
MODIFIERS = {
    "ctrl": "Control_L",
    "control": "Control_L",
    "shift": "Shift_L",
    "alt": "Alt_L",
    "super": "Super_L",
    "altgr": "ISO_Level3_Shift",
}


class _Names(ctypes.Structure):
    """xkb_rule_names."""

    _fields_ = [(name, ctypes.c_char_p) for name in ("rules", "model", "layout", "variant", "options")]


def _library() -> ctypes.CDLL:
    library = ctypes.CDLL("libxkbcommon.so.0")
    pointers = {
        "xkb_context_new": [ctypes.c_int],
        "xkb_keymap_new_from_names": [ctypes.c_void_p, ctypes.c_void_p, ctypes.c_int],
        "xkb_state_new": [ctypes.c_void_p],
    }
    numbers = {
        "xkb_keymap_min_keycode": [ctypes.c_void_p],
        "xkb_keymap_max_keycode": [ctypes.c_void_p],
        "xkb_keymap_num_levels_for_key": [ctypes.c_void_p, ctypes.c_uint32, ctypes.c_uint32],
        "xkb_keymap_key_get_syms_by_level": [ctypes.c_void_p, *[ctypes.c_uint32] * 3, ctypes.c_void_p],
        "xkb_utf32_to_keysym": [ctypes.c_uint32],
        "xkb_keysym_from_name": [ctypes.c_char_p, ctypes.c_int],
        "xkb_state_update_key": [ctypes.c_void_p, ctypes.c_uint32, ctypes.c_int],
        "xkb_state_serialize_mods": [ctypes.c_void_p, ctypes.c_int],
        "xkb_state_serialize_layout": [ctypes.c_void_p, ctypes.c_int],
    }
    for name, arguments in (pointers | numbers).items():
        function = getattr(library, name)
        function.argtypes = arguments
        function.restype = ctypes.c_void_p if name in pointers else ctypes.c_uint32
    library.xkb_keymap_get_as_string.argtypes = [ctypes.c_void_p, ctypes.c_int]
    library.xkb_keymap_get_as_string.restype = ctypes.c_char_p
    return library


_XKB = _library()


@dataclass(frozen=True)
class Modifiers:
    """What is held, latched and locked, and the layout: masks of XKB's."""

    depressed: int
    latched: int
    locked: int
    group: int


class Keymap:
    """One layout, with the state of the keys that are held."""

    def __init__(self, layout: str, options: str = "") -> None:
        names = _Names(b"evdev", b"pc105", layout.encode(), b"", options.encode())
        context = _XKB.xkb_context_new(0)
        self._keymap = _XKB.xkb_keymap_new_from_names(context, ctypes.byref(names), _NO_FLAGS)
        if not self._keymap:
            raise ValueError(f"there is no layout {layout!r}")
        self._state = _XKB.xkb_state_new(self._keymap)
        self.text: bytes = _XKB.xkb_keymap_get_as_string(self._keymap, _TEXT_V1)
        # A symbol is made by the key that needs the fewest others.
        self._keys = {symbol: (key, level) for level in (3, 2, 1, 0) for symbol, key in self._level(level)}

    def _level(self, level: int) -> Iterator[tuple[int, int]]:
        symbols = ctypes.POINTER(ctypes.c_uint32)()
        last = _XKB.xkb_keymap_max_keycode(self._keymap)
        for key in range(last, _XKB.xkb_keymap_min_keycode(self._keymap) - 1, -1):
            if level < _XKB.xkb_keymap_num_levels_for_key(self._keymap, key, 0):
                count = _XKB.xkb_keymap_key_get_syms_by_level(self._keymap, key, 0, level, ctypes.byref(symbols))
                yield from ((symbols[n], key) for n in range(count))

    def stroke(self, symbol: str) -> list[int]:
        """The keys (X's codes) to press one after the other for what X calls *symbol*, or for a letter."""
        number = _XKB.xkb_keysym_from_name(MODIFIERS.get(symbol, symbol).encode(), 0)
        if not number and len(symbol) == 1:
            number = _XKB.xkb_utf32_to_keysym(ord(symbol))
        if number not in self._keys:
            raise ValueError(f"no key of this layout makes {symbol!r}")
        key, level = self._keys[number]
        held = [name for bit, name in ((1, "shift"), (2, "altgr")) if level & bit]
        return [*(code for name in held for code in self.stroke(name)), key]

    def turn(self, key: int, pressed: bool) -> Modifiers:
        """Note that a key went down or up; returns what holds now."""
        _XKB.xkb_state_update_key(self._state, key, pressed)
        held, latched, locked = (_XKB.xkb_state_serialize_mods(self._state, 1 << bit) for bit in range(3))
        return Modifiers(held, latched, locked, _XKB.xkb_state_serialize_layout(self._state, 1 << 7))
