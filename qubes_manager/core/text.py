"""Making text from guests and logs safe to show."""

import html
import re
import unicodedata

# ECMA-48 control sequences and strings; what is left of a broken one is caught by the control characters below.
_ESCAPES = re.compile(r"\x1b(?:\[[0-?]*[ -/]*[@-~]|[\]PX^_][^\x07\x1b]*(?:\x07|\x1b\\)|[ -/]*[0-~])")
_KEPT = frozenset("\n\t")
_UNUSUAL = re.compile(r"[^\x20-\x7e\n\t]")
# Format characters can reorder or hide text (Unicode TR 36), so they go together with the controls.
_UNSAFE_CATEGORIES = frozenset({"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"})


def strip_escapes(text: str) -> str:
    """Return *text* without terminal escape sequences and control characters; line ends and tabs stay."""
    text = _ESCAPES.sub("", text.replace("\r\n", "\n"))
    return "".join(map(_printing, text))


def _printing(char: str) -> str:
    if char in _KEPT:
        return char
    category = unicodedata.category(char)
    # Unusual spaces can make one name look like another.
    return " " if category == "Zs" else "" if category in _UNSAFE_CATEGORIES else char


def one_line(text: str, limit: int = 200) -> str:
    """Return *text* on one line, safe to show, at most *limit* characters long."""
    line = " ".join(strip_escapes(text[: limit * 4]).split())
    return line if len(line) <= limit else line[: limit - 1] + "…"


def plain_tip(text: str) -> str:
    """Return what shows *text* as it is in a tool tip, which takes for markup whatever looks like it."""
    return f"<p style='white-space: pre-wrap'>{html.escape(text)}</p>" if "<" in text or "&" in text else text


def make_visible(data: bytes) -> str:
    """Return log bytes as text in which every byte or character that does not print is written out (``\\x1b``)."""
    text = data.decode("utf-8", "backslashreplace").replace("\r\n", "\n")
    return _UNUSUAL.sub(_visible, text)


def _visible(match: re.Match[str]) -> str:
    char = match[0]
    return char if char.isprintable() else char.encode("unicode_escape").decode("ascii")
