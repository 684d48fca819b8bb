"""Making text from guests, hosts, files and logs safe to show."""

import re
import unicodedata

# ECMA-48 control sequences and strings; what is left of a broken one is caught by the control characters below.
_ESCAPES = re.compile(r"\x1b(?:\[[0-?]*[ -/]*[@-~]|[\]PX^_][^\x07\x1b]*(?:\x07|\x1b\\)|[ -/]*[0-~])")
_UNUSUAL = re.compile(r"[^\x20-\x7e\n\t]")
# Letters and marks by their category, which draw nothing (Unicode: Default_Ignorable_Code_Point, and Braille's blank).
_BLANKS = frozenset("\u034f\u115f\u1160\u17b4\u17b5\u2800\u3164\uffa0")
# A tool tip of more than this is no help to anybody, and laying it out takes seconds.
_MAX_TIP = 4000
# Format characters can reorder or hide text (Unicode TR 36), so they go together with the controls.
_UNSAFE_CATEGORIES = frozenset({"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"})


def strip_escapes(text: str) -> str:
    """Return *text* without terminal escape sequences and control characters; line ends and tabs stay."""
    text = _ESCAPES.sub("", text.replace("\r\n", "\n"))
    return _UNUSUAL.sub(_printing, text)


def _printing(match: re.Match[str]) -> str:
    char = match[0]
    category = unicodedata.category(char)
    # Unusual spaces can make one name look like another.
    return " " if category == "Zs" else "" if category in _UNSAFE_CATEGORIES else char


def one_line(text: str, limit: int = 200) -> str:
    """Return *text* on one line, safe to show, at most *limit* characters long."""
    line = " ".join(strip_escapes(text[: limit * 4]).split())
    return line if len(line) <= limit else line[: limit - 1] + "…"


def harmless(text: str) -> str:
    """Return *text* with whatever steers a terminal, hides or reorders text written out (``\\x1b``, ``\\u202e``).

    Line ends and tabs stay. It says what is there, so it suits names and errors; ``strip_escapes`` suits a guest's
    output, which is full of colours.
    """
    return _UNUSUAL.sub(_visible, text.replace("\r\n", "\n"))


def _visible(match: re.Match[str]) -> str:
    char = match[0]
    if char.isprintable() and char not in _BLANKS:
        return char
    # Unusual spaces stand in plain texts of many languages.
    return " " if unicodedata.category(char) == "Zs" else char.encode("unicode_escape").decode("ascii")


def one_cell(text: str) -> str:
    """Return *text* harmless and on one line, for a cell of a table; nothing of it is left out."""
    if text.isascii() and text.isprintable():
        return text
    return harmless(text).replace("\n", "\\n").replace("\t", "\\t")


def plain_tip(text: str) -> str:
    """Return what shows *text* as it is in a tool tip, which takes for markup whatever looks like it."""
    shown = harmless(text[:_MAX_TIP])
    if "<" not in shown and "&" not in shown:
        return shown
    return f"<p style='white-space: pre-wrap'>{shown.replace('&', '&amp;').replace('<', '&lt;')}</p>"


def make_visible(data: bytes) -> str:
    """Return log bytes as text in which every byte or character that does not print is written out."""
    return harmless(data.decode("utf-8", "backslashreplace"))
