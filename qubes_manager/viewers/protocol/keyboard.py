"""How a server is told of keys: by their codes, which are the same on all machines, and of layouts by name ("raw").

So the guest's own X server makes of a key what the host's makes of it. What no layout has is told as a map of our own.
"""

from dataclasses import replace

from qubes_manager.viewers.protocol.packets import (
    Focus,
    KeyAction,
    KeyboardLayout,
    KeymapChanged,
    LayoutChanged,
)
from qubes_manager.viewers.wire.rencode import Sayable

# Of these the events of the pointer do not tell: the server leaves them as keys have set them.
_NOT_WITH_POINTER = ("lock", "mod2", "mod3", "mod5")
# Version 6 takes no layout from who names no key: keyval, name, keycode, group, level of one.
_SOME_KEY = ((97, "a", 38, 0, 0),)
# X's first, which is none of Linux' keys.
_NO_KEY = 8

Message = Focus | KeyAction | LayoutChanged | KeymapChanged


def described(layout: KeyboardLayout, *, is_3_1: bool) -> dict[str, Sayable]:
    """What the hello says of the keyboard. Keys repeat in the guest, as long as nobody says that they are let go."""
    names: dict[str, Sayable] = {"layout": layout.layout, "variant": layout.variant, "options": layout.options}
    return {"keyboard_sync": True, "key_repeat": (0, 0), **_options(names | _RAW, is_3_1)}


class Keyboard:
    """Says keys and layouts to one server."""

    def __init__(self, *, is_3_1: bool) -> None:
        self._is_3_1 = is_3_1
        # 3.1 and 5 go back to the first group with each of these, and do not know it.
        self._group_is_lost = True

    def packets(self, message: Message) -> list[list[Sayable]]:
        """What says *message*."""
        match message:
            case KeyAction():
                return [*self._group_again(message), _key(message)]
            case Focus(wid, modifiers):
                self._group_is_lost = True
                return [["focus", wid, modifiers]]
            case LayoutChanged(layout):
                self._group_is_lost = True
                return [["keymap-changed", _options(_named(layout) | _RAW, self._is_3_1)]]
            case KeymapChanged(layout, keys, modifiers):
                self._group_is_lost = True
                said: dict[str, Sayable] = {"raw": False, "x11_keycodes": dict(keys), "mod_meanings": dict(modifiers)}
                if self._is_3_1:
                    # It wants to be told as text, too, but does not read it.
                    said["query"] = "layout"
                return [["keymap-changed", _options(_named(layout) | said, self._is_3_1)]]

    def _group_again(self, action: KeyAction) -> list[list[Sayable]]:
        """Have the server switch to the key's group, by way of the first one: it would not if it was that before.

        A key goes up there that never was down, which does nothing else; of others they know the group from then.
        """
        if not (self._group_is_lost and action.group):
            return []
        self._group_is_lost = False
        return [_key(replace(action, keyname="", pressed=False, keycode=_NO_KEY, group=0))]


_RAW: dict[str, Sayable] = {"raw": True}


def _named(layout: KeyboardLayout) -> dict[str, Sayable]:
    names = {"layout": layout.layout, "variant": layout.variant, "options": layout.options}
    return {"query_struct": {"rules": "evdev", "model": "pc105", **names}}


def _options(said: dict[str, Sayable], is_3_1: bool) -> dict[str, Sayable]:
    said = {**said, "layout_groups": True, "mod_pointermissing": _NOT_WITH_POINTER}
    if is_3_1:
        return {f"xkbmap_{name}": value for name, value in said.items()}
    return {"keymap": {**said, "keycodes": _SOME_KEY}}


def _key(action: KeyAction) -> list[Sayable]:
    said: list[Sayable] = ["key-action", action.wid, action.keyname, action.pressed, action.modifiers]
    return [*said, action.keyval, action.string, action.keycode, action.group]
