"""What no key of the layout types, typed all the same: keys that mean nothing are given a meaning in the guest.

This is how the text of input methods reaches a guest, and keys of maps that have no names (on-screen keyboards, maps of
the user's own). The guest then has one map of one layout that we say whole, as X's core protocol can: four levels.
"""

from collections.abc import Collection, Iterator
from functools import cached_property

from qubes_manager.viewers.input.xkb import (
    FIRST_KEYCODE,
    LAST_KEYCODE,
    MODIFIERS,
    Keymap,
    is_modifier,
    keysym_name,
    keysym_of,
)
from qubes_manager.viewers.protocol.packets import KeyboardLayout, KeymapChanged

_CODES = range(FIRST_KEYCODE, LAST_KEYCODE + 1)
_LATIN_A = 0x61
# Enough that a sentence needs no second map, and that a key's meaning is long read when it gets another one.
_MOST = 32
_LINE_END = 0xFF0D  # Return


class SpareKeys:
    """Which keys of the guest's have been given which meaning, over a *keymap* with a *layout*'s names."""

    def __init__(self, keymap: Keymap, layout: KeyboardLayout) -> None:
        self._keymap = keymap
        self._layout = layout
        self._group = 0
        # The keysym that each has, the one that was used last at the end.
        self._given: dict[int, int] = {}

    @cached_property
    def _free(self) -> list[int]:
        return [code for code in reversed(_CODES) if _is_spare(self._keymap, code)][:_MOST]

    @property
    def in_use(self) -> bool:
        """Whether the guest has our map: its only group is the first."""
        return bool(self._given)

    def has(self, keycode: int) -> bool:
        """Whether a key of this number means something else in the guest now."""
        return keycode in self._given.values()

    def keycode_of(self, keysym: int) -> int:
        """The key that has been given this meaning."""
        return self._given[keysym]

    def parts(self, text: str) -> Iterator[tuple[int, ...]]:
        """The keysyms of a text, in parts of which each finds room at once; what cannot be typed is left out."""
        keysyms = [keysym for c in text if (keysym := _LINE_END if c == "\n" else keysym_of(c))]
        for start in range(0, len(keysyms), _MOST // 2):
            yield tuple(keysyms[start : start + _MOST // 2])

    def make_room(self, keysyms: Collection[int], group: int) -> list[KeymapChanged]:
        """Give keys these meanings; returns what is to be said to the guest before they are pressed."""
        missing = [keysym for keysym in dict.fromkeys(keysyms) if keysym not in self._given]
        # Those that are asked for now are the last to go.
        for keysym in dict.fromkeys(keysyms):
            if keysym in self._given:
                self._given[keysym] = self._given.pop(keysym)
        for keysym in missing:
            code = self._free.pop() if self._free else self._given.pop(next(iter(self._given)))
            self._given[keysym] = code
        if not missing and group == self._group:
            return []
        self._group = group
        return [self._changed()]

    def follow(self, group: int) -> list[KeymapChanged]:
        """The host types in another of its layouts; returns what is to be said to the guest before that."""
        return self.make_room((), group) if self.in_use else []

    def _changed(self) -> KeymapChanged:
        groups = [self._group]
        if not self._is_latin(self._group):
            # Applications look for the letters of their shortcuts in other groups.
            groups += [group for group in range(self._keymap.groups) if self._is_latin(group)][:1]
        keys = {code: names for code in _CODES if any(names := self._names(code, groups))}
        meanings: dict[str, str] = {}
        for code, names in keys.items():
            if modifiers := is_modifier_key(self._keymap, code, self._group) and self._keymap.modifiers_of(
                code, self._group
            ):
                lowest = MODIFIERS[(modifiers & -modifiers).bit_length() - 1]
                meanings |= {name: lowest for name in names if name}
        # Twice: of one alone X would make a capital letter with Shift or Caps Lock.
        keys |= {code: (keysym_name(keysym),) * 2 for keysym, code in self._given.items()}
        return KeymapChanged(self._layout, tuple(sorted(keys.items())), tuple(sorted(meanings.items())))

    def _names(self, code: int, groups: list[int]) -> tuple[str, ...]:
        """What stands on a key, in the order of X's core protocol; modifiers are those of the first group alone."""
        levels = [self._levels(code, group) for group in groups]
        if len(levels) < 2 or is_modifier_key(self._keymap, code, groups[0]):
            levels = [levels[0], [0] * 4] if any(levels[0][2:]) else [levels[0]]
        first, *second = levels
        order = [*first[:2], *second[0][:2], *first[2:], *second[0][2:]] if second else first[:2]
        while order and not order[-1]:
            order.pop()
        return tuple(keysym_name(keysym) if keysym else "" for keysym in order)

    def _levels(self, code: int, group: int) -> list[int]:
        count = len(self._keymap.plain(code))
        return [self._keymap.level(code, group % count, level) for level in range(4)] if count else [0] * 4

    def _is_latin(self, group: int) -> bool:
        return any(_LATIN_A in self._levels(code, group)[:1] for code in _CODES)


def is_modifier_key(keymap: Keymap, code: int, group: int) -> bool:
    """Whether a key does nothing by itself on a layout."""
    plain = keymap.plain(code)
    return bool(plain) and (is_modifier(plain[group % len(plain)]) or is_modifier(keymap.level(code, group, 1)))


def _is_spare(keymap: Keymap, code: int) -> bool:
    """Whether a key means nothing that is typed: nothing at all, or what desktops do (volume, brightness)."""
    return all(not keysym or keysym_name(keysym).startswith("XF86") for keysym in keymap.plain(code))
