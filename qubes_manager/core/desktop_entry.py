"""Desktop entries and menus of the host (freedesktop.org: desktop entry and menu specifications), as text."""

import re
from collections.abc import Iterable, Mapping
from html import escape

_PLAIN = re.compile(r"[A-Za-z0-9_./:=@+,-]+", re.ASCII)
# Within double quotes these are escaped (desktop entry specification, "The Exec key").
_QUOTED = re.compile(r'(["`$\\])')
_STRING = {"\\": "\\\\", "\n": "\\n", "\t": "\\t", "\r": "\\r"}


def exec_line(words: Iterable[str]) -> str:
    """The value of an Exec key that runs exactly *words*."""
    return " ".join(_exec_word(word) for word in words)


def _exec_word(word: str) -> str:
    word = word.replace("%", "%%")
    return word if _PLAIN.fullmatch(word) else '"' + _QUOTED.sub(r"\\\1", word) + '"'


def desktop_entry(values: Mapping[str, str]) -> str:
    """A desktop entry with these keys; their values are escaped, so that a value stays one."""
    lines = [f"{key}={_string(value)}" for key, value in values.items()]
    return "\n".join(["[Desktop Entry]", *lines]) + "\n"


def _string(value: str) -> str:
    text = "".join(_STRING.get(char, char) for char in value)
    # Blanks at the front would be taken for the file's own.
    return "\\s" + text[1:] if text.startswith(" ") else text


def submenu(name: str, directory: str, category: str) -> str:
    """A menu file that adds one submenu, with the entries of one category, to the desktop's application menu."""
    name, directory, category = map(escape, (name, directory, category))
    return f"""<!DOCTYPE Menu PUBLIC "-//freedesktop//DTD Menu 1.0//EN"
  "http://www.freedesktop.org/standards/menu-spec/1.0/menu.dtd">
<Menu>
  <Name>Applications</Name>
  <Menu>
    <Name>{name}</Name>
    <Directory>{directory}</Directory>
    <Include><Category>{category}</Category></Include>
  </Menu>
</Menu>
"""
