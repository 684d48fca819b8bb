"""Which names of files may cross from one domain into another, and where links may point."""

import re
import unicodedata
from collections.abc import Collection

from qubes_manager.core.errors import Refused
from qubes_manager.core.text import one_cell

# Linux opens no path longer than this (PATH_MAX, its end not counted) and no part longer than that (NAME_MAX).
MAX_PATH, MAX_PART = 4095, 255
# Folders within each other; each is open while something comes for it.
MAX_DEPTH = 100
# How the folders of copies that go on are called, beside where they go; who finds one that is forgotten removes it.
HIDDEN = ".incoming-"
_HIDDEN = re.compile(re.escape(HIDDEN) + "[0-9a-f]{16}", re.ASCII)
# As in Qubes: what is written from left to right in a script whose letters cannot pass for others too easily.
_SCRIPTS = frozenset(
    {
        "LATIN", "CYRILLIC", "GREEK", "BRAILLE", "CJK", "HIRAGANA", "KATAKANA", "KATAKANA-HIRAGANA",
        "HALFWIDTH", "FULLWIDTH", "HANGUL", "BOPOMOFO", "IDEOGRAPHIC", "MODIFIER", "MICRO", "FEMININE", "MASCULINE",
        "OHM", "KELVIN", "ANGSTROM", "DOUBLE-STRUCK", "SCRIPT", "SUPERSCRIPT", "EULER", "VERTICAL", "COMBINING",
    }
)  # fmt: skip
_RIGHT_TO_LEFT = frozenset({"R", "AL", "AN", "RLE", "RLO", "RLI", "LRE", "LRO", "LRI", "PDF", "PDI", "FSI", "BN"})
_SHOWN = 120


def shown_name(name: str) -> str:
    """*name* for people: on one line, what does not print written out, its middle left out where it is long."""
    text = one_cell(name.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace"))
    return text if len(text) <= _SHOWN else f"{text[: _SHOWN // 2]}…{text[-_SHOWN // 2 :]}"


def is_unusual(name: str) -> bool:
    """Whether a name, or a link's target, holds what could deceive who reads it, or is no valid UTF-8."""
    if name.isascii():
        return not name.isprintable()
    return any(not char.isascii() and _is_unusual(char) for char in name) or any(char < " " for char in name)


def _is_unusual(char: str) -> bool:
    category = unicodedata.category(char)
    if category[0] == "C" or category in ("Zl", "Zp") or unicodedata.bidirectional(char) in _RIGHT_TO_LEFT:
        return True
    if category == "Zs":
        return char != "\u3000"
    if category[0] not in "LM":
        return False
    return unicodedata.name(char, "").partition(" ")[0] not in _SCRIPTS


def is_hidden(name: str) -> bool:
    """Whether a folder is called as those of copies that go on are."""
    return _HIDDEN.fullmatch(name) is not None


def split_name(name: str) -> tuple[str, ...]:
    """The parts of a name inside an archive; raises Refused unless it is plain and stays inside."""
    parts = tuple(name.split("/"))
    if any(part in ("", ".", "..") for part in parts):
        raise Refused(f"“{shown_name(name)}” is no plain name: it is empty, absolute, or has “.”, “..” or “//” in it")
    if is_hidden(parts[0]):
        raise Refused(f"“{shown_name(name)}” is called as copies are that go on, and would be cleared away as such")
    if "\0" in name:
        raise Refused(f"“{shown_name(name)}” has a zero byte in it")
    if len(parts) > MAX_DEPTH:
        raise Refused(f"“{shown_name(name)}” lies {len(parts)} folders deep; at most {MAX_DEPTH} are taken")
    if _bytes(name) > MAX_PATH or any(_bytes(part) > MAX_PART for part in parts):
        raise Refused(f"“{shown_name(name)}” is too long: at most {MAX_PART} bytes a name, {MAX_PATH} bytes in all")
    return parts


def refuse_unchosen(top: str, chosen: Collection[str]) -> None:
    """Raise Refused for a name that is none of those that are *chosen*, if any are."""
    if chosen and top not in chosen:
        raise Refused(f"“{shown_name(top)}” comes, and was not chosen: nothing was kept")


def check_link(name: str, target: str) -> None:
    """Raise Refused unless the link *name* to *target* stays inside the folder that is copied as a whole.

    ``..`` may only stand at the beginning, where it climbs out of real folders: behind another link it could lead
    anywhere.
    """
    parts, steps = split_name(name), target.split("/")
    climbs = next((at for at, step in enumerate(steps) if step != ".."), len(steps))
    plain = steps[climbs:-1] if steps[-1] == "" else steps[climbs:]
    if not target or "\0" in target or _bytes(target) > MAX_PATH or any(step in ("", "..") for step in plain):
        raise Refused(f"the link “{shown_name(name)}” has a target that cannot be copied: “{shown_name(target)}”")
    if len(parts) < 2 or climbs > len(parts) - 2:
        raise Refused(f"the link “{shown_name(name)}” points out of what is copied, to “{shown_name(target)}”")


def _bytes(name: str) -> int:
    return len(name.encode("utf-8", "surrogateescape"))
