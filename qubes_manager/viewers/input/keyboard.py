"""Keys on their way to the guest: each as the same key of the same layout, which means there what it means here."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace

from qubes_manager.viewers.input.host_keys import HostAction, HostKeys
from qubes_manager.viewers.input.spare_keys import SpareKeys
from qubes_manager.viewers.input.xkb import (
    FIRST_KEYCODE,
    LAST_KEYCODE,
    LOCKS,
    Keymap,
    is_modifier,
    keysym_name,
    modifier_names,
    switches_layout,
)
from qubes_manager.viewers.protocol.packets import Focus, KeyAction, KeyboardLayout, LayoutChanged, ToGuest

_ASCII = 0x80


@dataclass(frozen=True, slots=True)
class Key:
    """A key of the host's that went down or up: what it means, and the modifiers (X's bits) that were held before.

    *group* is the layout; with None it is one on which the key has that meaning.
    """

    keycode: int
    keysym: int
    modifiers: int = 0
    group: int | None = None
    text: str = ""


class Keyboard:
    """Which keys the guest has down, and in which layout it reads them; *on_host_key* hears of the host's.

    A key that means something else on the host than it would in the guest (a map of the user's own, a keyboard on the
    screen) goes as one that is given that meaning there, and so does text. Keys repeat by the guest's own X server.
    """

    def __init__(
        self,
        say: Callable[[ToGuest], object],
        host_keys: HostKeys,
        on_host_key: Callable[[HostAction], object],
        layout: KeyboardLayout,
    ) -> None:
        self._say = say
        self._host_keys = host_keys
        self._on_host_key = on_host_key
        # What the guest has down, by the host's key: what it was told then.
        self._held: dict[int, KeyAction] = {}
        self._locks: tuple[str, ...] = ()
        self._focused = 0
        self._group = 0
        self._use_layout(layout)

    @property
    def focused(self) -> int:
        """The window that has the keyboard; 0 is none of the guest's."""
        return self._focused

    def change_layout(self, layout: KeyboardLayout) -> None:
        """The host's keyboard has another layout."""
        self.release_all()
        self._use_layout(layout)
        self._say(LayoutChanged(layout))

    def _use_layout(self, layout: KeyboardLayout) -> None:
        self._keymap = Keymap.of_layout(layout)
        self._spare = SpareKeys(self._keymap, layout) if self._keymap else None

    def focus(self, wid: int) -> None:
        """Another window has the keyboard (0: none of the guest's): no key stays down in the one that had it."""
        if wid != self._focused:
            self.release_all()
            self._focused = wid
            self._say(Focus(wid, self._locks))

    def release_all(self) -> None:
        """Let go of all keys, the last first; what becomes of them on the host is nothing to the guest."""
        self._release(self._held)
        self._host_keys.forget()

    def _release(self, keycodes: Iterable[int]) -> None:
        for keycode in list(keycodes)[::-1]:
            self._say(_released(self._held.pop(keycode), self._locks))

    def press(self, wid: int, key: Key) -> None:
        """A key went down; it is not one that repeats."""
        modifiers = modifier_names(key.modifiers)
        self._locks = tuple(name for name in modifiers if name in LOCKS)
        self._group = self._group_of(key)
        kept, action = self._host_keys.press(key.keycode, self._names(key), modifiers, switches_layout(key.keysym))
        if action:
            self._on_host_key(action)
        if kept or key.keycode in self._held:
            return
        if sent := self._action(wid, key, modifiers):
            self._held[key.keycode] = sent
            self._say(sent)

    def release(self, key: Key) -> None:
        """A key went up."""
        self._host_keys.release(key.keycode)
        modifiers = modifier_names(key.modifiers)
        self._locks = tuple(name for name in modifiers if name in LOCKS)
        if action := self._held.pop(key.keycode, None):
            self._say(_released(action, modifiers))

    def type_text(self, wid: int, text: str) -> None:
        """Type *text*, which an input method has made of keys."""
        if not self._spare:
            return
        # An input method that took over in the midst of a key keeps its end for itself.
        self._release(keycode for keycode, action in self._held.items() if not is_modifier(action.keyval))
        without_caps = tuple(name for name in self._locks if name != "lock")
        for part in self._spare.parts(text):
            for message in self._spare.make_room(part, self._group):
                self._say(message)
            for keysym in part:
                name, keycode = keysym_name(keysym), self._spare.keycode_of(keysym)
                for pressed in (True, False):
                    self._say(KeyAction(wid, name, pressed, without_caps, keysym, keycode=keycode))

    def _action(self, wid: int, key: Key, modifiers: tuple[str, ...]) -> KeyAction | None:
        keycode, group = key.keycode, self._group
        if self._keymap and self._spare and key.keysym:
            if self._spare.has(keycode) or self._meaning(key, group) != key.keysym:
                keycode = self._elsewhere(key.keysym)
            else:
                for message in self._spare.follow(group):
                    self._say(message)
        if not _is_x(keycode):
            return None
        if self._spare and self._spare.in_use:
            group = 0
        return KeyAction(wid, keysym_name(key.keysym), True, modifiers, key.keysym, key.text, keycode, group)

    def _meaning(self, key: Key, group: int) -> int:
        """What the key means in the guest, as far as its layout's names say; 0 is nothing."""
        if self._keymap and _is_x(key.keycode):
            return self._keymap.keysym(key.keycode, group, key.modifiers)
        return 0

    def _elsewhere(self, keysym: int) -> int:
        """A key of the guest's with this meaning: for modifiers one that has it, else one that is given it."""
        assert self._keymap and self._spare
        if is_modifier(keysym):
            return self._keymap.keycode_of(keysym)
        for message in self._spare.make_room((keysym,), self._group):
            self._say(message)
        return self._spare.keycode_of(keysym)

    def _group_of(self, key: Key) -> int:
        """The layout on which the key means what it does: the one that was told, or else the one before, if it may be.

        What is told of layouts may be ahead of a key that waited. Modifiers mean the same on many: they tell nothing.
        """
        likely = self._group if key.group is None else key.group
        if not self._keymap or not _is_x(key.keycode) or is_modifier(key.keysym):
            return likely
        found = self._keymap.group_with(key.keycode, key.keysym, key.modifiers, likely)
        return likely if found is None else found

    def _names(self, key: Key) -> list[str]:
        """What X calls a key without Shift: on its layout, or on any where that one has no Latin letter."""
        plain = self._keymap.plain(key.keycode) if self._keymap and _is_x(key.keycode) else ()
        here = plain[self._group % len(plain)] if plain else 0
        keysyms = plain if here >= _ASCII else (here,)
        if key.keysym != self._meaning(key, self._group):
            keysyms = (key.keysym,)
        names = [keysym_name(keysym) for keysym in keysyms]
        return [name.lower() if len(name) == 1 else name for name in names]


def _is_x(keycode: int) -> bool:
    """Whether X has such a key: Wayland's may have larger numbers."""
    return FIRST_KEYCODE <= keycode <= LAST_KEYCODE


def _released(action: KeyAction, modifiers: tuple[str, ...]) -> KeyAction:
    return replace(action, pressed=False, modifiers=modifiers)
