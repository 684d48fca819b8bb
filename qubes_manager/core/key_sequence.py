"""Keys that are pressed together, as Qubes OS writes them in its options: ``Ctrl-Shift-c``, ``Mod4-c``."""

import re
from collections.abc import Collection
from dataclasses import dataclass

from qubes_manager.core.errors import BadInput

# Those of Qubes OS for its clipboard.
COPY_KEYS, PASTE_KEYS = "Ctrl-Shift-c", "Ctrl-Shift-v"
FULLSCREEN_KEYS = "Win-F11"
# Words for modifiers, and what X calls them; of several words for one the first is how it is written.
_MODIFIERS = {"Ctrl": "control", "Shift": "shift", "Alt": "mod1", "Win": "mod4", "Mod1": "mod1", "Mod4": "mod4"}
_NAMES = {word.lower(): name for word, name in _MODIFIERS.items()} | {"super": "mod4", "control": "control"}
_WRITTEN = {name: word for word, name in reversed(_MODIFIERS.items())}
# Locks are no part of a sequence: they hold long before it.
_LOCKS = frozenset({"lock", "mod2", "mod3"})
# Names of keys that one would not type a text with, in X (keysymdef.h); digits and letters besides.
_KEYS = {name.lower(): name for name in ("Insert", "Delete", "Home", "End", "Pause", "Print")} | {
    "ins": "Insert",
    "del": "Delete",
    **{f"f{number}": f"F{number}" for number in range(1, 13)},
}
_LETTER = re.compile(r"[a-z0-9]")


@dataclass(frozen=True, slots=True)
class KeySequence:
    """Modifiers, by their names in X, and the key, by its name there (a letter is small)."""

    modifiers: frozenset[str]
    key: str

    def __str__(self) -> str:
        words = [word for name, word in _WRITTEN.items() if name in self.modifiers]
        return "-".join([*sorted(words, key=list(_MODIFIERS).index), self.key])

    @property
    def spoken(self) -> str:
        """How people write it: ``Ctrl+Shift+C``."""
        return "+".join(word.upper() if len(word) == 1 else word for word in str(self).split("-"))

    def fits(self, modifiers: Collection[str], key: str) -> bool:
        """Whether these modifiers, by their names in X, and the key of this name are the sequence."""
        return key == self.key and frozenset(modifiers) - _LOCKS == self.modifiers


def parse_key_sequence(text: str, option: str = "keys") -> KeySequence:
    """The sequence that *text* names, in capitals or small; raises BadInput, which names *option*."""
    *words, key = text.strip().replace("+", "-").lower().split("-")
    modifiers = {_NAMES.get(word, "") for word in words}
    name = key if _LETTER.fullmatch(key) else _KEYS.get(key, "")
    # Shift and a letter is what texts are typed with.
    if "" in modifiers or not name or not modifiers or (modifiers == {"shift"} and len(name) == 1):
        raise BadInput(
            option,
            text[:40],
            "give Ctrl, Alt or Win (with Shift if you like) and a key: Ctrl-Shift-c, Win-c, Ctrl-Insert",
        )
    return KeySequence(frozenset(modifiers), name)
