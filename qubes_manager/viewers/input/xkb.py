"""Keyboard maps and names of keys, by libxkbcommon: Qt has it loaded on X11 and on Wayland.

Numbers and names are X's: a *keysym* is what a key means (``0x61``, ``a``), a *keycode* which key it is (8 to 255), a
*group* one of a map's layouts, counted from 0, and of modifiers the lowest eight bits are those of the core protocol.
https://xkbcommon.org/doc/current/
"""

import ctypes
import weakref
from collections.abc import Iterable
from functools import cache
from typing import Any

from qubes_manager.viewers.protocol.packets import KeyboardLayout

MODIFIERS = ("shift", "lock", "control", "mod1", "mod2", "mod3", "mod4", "mod5")
# Of Caps Lock and Num Lock: they hold without a key being down.
LOCKS = frozenset({"lock", "mod2"})
FIRST_KEYCODE, LAST_KEYCODE = 8, 255
_TEXT_V1 = 1
_EFFECTIVE_MODIFIERS = 1 << 3
_KEY_DOWN = 1
_MAX_NAME = 64
# From ISO_Group_Latch to ISO_Last_Group_Lock: they switch layouts.
_GROUP_KEYSYMS = range(0xFE06, 0xFE10)
# From Shift_L to Hyper_R, Mode_switch and Num_Lock, and from ISO_Lock to ISO_Level5_Lock.
_MODIFIER_KEYSYMS = frozenset({*range(0xFFE1, 0xFFEF), 0xFF7E, 0xFF7F, *range(0xFE01, 0xFE06), *range(0xFE11, 0xFE14)})


class _Names(ctypes.Structure):
    _fields_ = tuple((name, ctypes.c_char_p) for name in ("rules", "model", "layout", "variant", "options"))


@cache
def _library() -> Any:
    library = ctypes.CDLL("libxkbcommon.so.0")
    pointer, number, text = ctypes.c_void_p, ctypes.c_uint32, ctypes.c_char_p
    for name, result, *arguments in (
        ("xkb_context_new", pointer, ctypes.c_int),
        ("xkb_context_set_log_level", None, pointer, ctypes.c_int),
        ("xkb_keymap_new_from_names", pointer, pointer, ctypes.POINTER(_Names), ctypes.c_int),
        ("xkb_keymap_new_from_string", pointer, pointer, text, ctypes.c_int, ctypes.c_int),
        ("xkb_keymap_unref", None, pointer),
        ("xkb_keymap_num_layouts", number, pointer),
        ("xkb_keymap_layout_get_name", text, pointer, number),
        ("xkb_keymap_num_layouts_for_key", number, pointer, number),
        ("xkb_keymap_key_get_syms_by_level", ctypes.c_int, pointer, number, number, number, pointer),
        ("xkb_state_new", pointer, pointer),
        ("xkb_state_unref", None, pointer),
        ("xkb_state_update_mask", ctypes.c_int, pointer, *[number] * 6),
        ("xkb_state_update_key", ctypes.c_int, pointer, number, ctypes.c_int),
        ("xkb_state_serialize_mods", number, pointer, ctypes.c_int),
        ("xkb_state_key_get_one_sym", number, pointer, number),
        ("xkb_keysym_get_name", ctypes.c_int, number, text, ctypes.c_size_t),
        ("xkb_keysym_to_utf32", number, number),
        ("xkb_utf32_to_keysym", number, number),
    ):
        function = getattr(library, str(name))
        function.restype, function.argtypes = result, arguments
    return library


@cache
def _context() -> Any:
    context = ctypes.c_void_p(_library().xkb_context_new(0))
    # Nothing: of a map that is not understood we say so ourselves.
    _library().xkb_context_set_log_level(context, 0)
    return context


@cache
def keysym_name(keysym: int) -> str:
    """X's name of a keysym; empty when it has none."""
    buffer = ctypes.create_string_buffer(_MAX_NAME)
    return buffer.value.decode() if _library().xkb_keysym_get_name(keysym, buffer, _MAX_NAME) > 0 else ""


def keysym_of(character: str) -> int:
    """The keysym that types a character; 0 when there is none."""
    return int(_library().xkb_utf32_to_keysym(ord(character)))


def character_of(keysym: int) -> str:
    """The character that a keysym types; empty when it types none."""
    return chr(code) if (code := _library().xkb_keysym_to_utf32(keysym)) else ""


def switches_layout(keysym: int) -> bool:
    """Whether a key with this meaning switches the keyboard's layout."""
    return keysym in _GROUP_KEYSYMS


def is_modifier(keysym: int) -> bool:
    """Whether a key with this meaning does nothing by itself."""
    return keysym in _MODIFIER_KEYSYMS


def modifier_names(mask: int) -> tuple[str, ...]:
    """Modifiers by their names in X."""
    return tuple(name for bit, name in enumerate(MODIFIERS) if mask >> bit & 1)


def modifier_mask(names: Iterable[str]) -> int:
    """Modifiers as X's bits."""
    return sum(1 << MODIFIERS.index(name) for name in set(names))


class Keymap:
    """What each key means in each of a keyboard's layouts."""

    def __init__(self, keymap: int) -> None:
        library = _library()
        self._keymap = ctypes.c_void_p(keymap)
        self._state = ctypes.c_void_p(library.xkb_state_new(self._keymap))
        # The library has a count of its own on the map.
        weakref.finalize(self, library.xkb_keymap_unref, self._keymap)
        weakref.finalize(self, library.xkb_state_unref, self._state)
        self.groups = int(library.xkb_keymap_num_layouts(self._keymap))

    @classmethod
    def of_layout(cls, layout: KeyboardLayout) -> "Keymap | None":
        """The map that a display server makes of a layout's names; None when this machine does not know them."""
        words = (layout.layout, layout.variant, layout.options)
        names = _Names(b"evdev", b"pc105", *(word.encode() for word in words))
        keymap = _library().xkb_keymap_new_from_names(_context(), ctypes.byref(names), 0)
        return cls(keymap) if keymap else None

    @classmethod
    def of_text(cls, text: bytes) -> "Keymap | None":
        """The map that a Wayland compositor tells, as text; None when it is not understood."""
        keymap = _library().xkb_keymap_new_from_string(_context(), text, _TEXT_V1, 0)
        return cls(keymap) if keymap else None

    @property
    def group_names(self) -> tuple[str, ...]:
        """How people call the layouts (``English (US)``); empty where one has no name."""
        names = (_library().xkb_keymap_layout_get_name(self._keymap, group) for group in range(self.groups))
        return tuple((name or b"").decode(errors="replace") for name in names)

    def keysym(self, keycode: int, group: int, modifiers: int) -> int:
        """What a key means on a layout with these modifiers; 0 is nothing."""
        _library().xkb_state_update_mask(self._state, modifiers, 0, 0, 0, 0, group)
        return int(_library().xkb_state_key_get_one_sym(self._state, keycode))

    def plain(self, keycode: int) -> tuple[int, ...]:
        """What a key means without Shift, on each layout."""
        groups = _library().xkb_keymap_num_layouts_for_key(self._keymap, keycode)
        return tuple(self.level(keycode, group, 0) for group in range(groups))

    def level(self, keycode: int, group: int, level: int) -> int:
        """What stands on a *level* of a key (0 plain, 1 Shift, 2 AltGr, 3 both, mostly); 0 is nothing."""
        found = ctypes.POINTER(ctypes.c_uint32)()
        count = _library().xkb_keymap_key_get_syms_by_level(self._keymap, keycode, group, level, ctypes.byref(found))
        return int(found[0]) if count > 0 else 0

    def group_with(self, keycode: int, keysym: int, modifiers: int, likely: int) -> int | None:
        """The layout on which a key with these modifiers means *keysym*, *likely* if it does; None when none does."""
        others = (group for group in range(self.groups) if group != likely)
        return next((g for g in (likely, *others) if self.keysym(keycode, g, modifiers) == keysym), None)

    def keycode_of(self, keysym: int) -> int:
        """The first key that means *keysym* without Shift, on any layout; 0 when there is none."""
        codes = range(FIRST_KEYCODE, LAST_KEYCODE + 1)
        return next((code for code in codes if keysym in self.plain(code)), 0)

    def modifiers_of(self, keycode: int, group: int) -> int:
        """The modifiers that a key sets, or would lock, on a layout."""
        library = _library()
        # One in which no key was ever pressed.
        state = ctypes.c_void_p(library.xkb_state_new(self._keymap))
        library.xkb_state_update_mask(state, 0, 0, 0, 0, 0, group)
        library.xkb_state_update_key(state, keycode, _KEY_DOWN)
        modifiers = int(library.xkb_state_serialize_mods(state, _EFFECTIVE_MODIFIERS)) & 0xFF
        library.xkb_state_unref(state)
        return modifiers
