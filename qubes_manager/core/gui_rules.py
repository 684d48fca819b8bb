"""What a domain's windows may do on the host's screen, and how they are marked."""

import re
from dataclasses import dataclass
from typing import ClassVar

from qubes_manager.core.errors import BadInput
from qubes_manager.core.json_lines import BadMessage, Fields, Message, shown
from qubes_manager.core.key_sequence import COPY_KEYS, FULLSCREEN_KEYS, PASTE_KEYS, KeySequence, parse_key_sequence
from qubes_manager.core.text import one_line

# A window that the window manager does not frame may take this part of the screen at most.
UNMANAGED_SHARE = 0.9
MAX_TITLE = 200
_NO_ASCII = re.compile(r"[^\x20-\x7e]")
_COLOUR = re.compile(r"#[0-9a-f]{6}", re.ASCII | re.IGNORECASE)
_MAX_NAME, _MAX_BORDER, _MAX_WINDOWS, _MAX_KEYS = 1000, 1000, 100_000, 40


@dataclass(frozen=True, slots=True)
class GuiRules(Message):
    """The rules for one domain's windows; *colour* is ``#rrggbb``, *border_width* in pixels.

    *copy_keys* and *paste_keys* are for the inter-domain clipboard, *fullscreen_keys* take a window to full screen and
    back; the guest never sees them. *shown* is what stands in titles in the place of the domain's name, which it has
    in it.
    """

    TYPE: ClassVar[str] = "rules"
    domain: str
    colour: str
    border_width: int = 6
    allow_fullscreen: bool = False
    override_redirect_protection: bool = True
    allow_utf8_titles: bool = False
    windows_count_limit: int = 500
    copy_keys: str = COPY_KEYS
    paste_keys: str = PASTE_KEYS
    fullscreen_keys: str = FULLSCREEN_KEYS
    shown: str = ""

    def title(self, text: str) -> str:
        """The title that a window gets, which always starts with the domain's name."""
        line = one_line(text, MAX_TITLE)
        if not self.allow_utf8_titles:
            line = _NO_ASCII.sub("_", line)
        return f"[{self.shown or self.domain}] {line}".rstrip()

    @classmethod
    def of(cls, fields: Fields) -> "GuiRules":
        """The rules in a message; raises BadMessage."""
        colour = fields.text("colour", 7)
        if not _COLOUR.fullmatch(colour):
            raise BadMessage(f"colour is no #rrggbb: {shown(colour)}")
        return cls(
            fields.sentence("domain", _MAX_NAME),
            colour,
            fields.number("border_width", _MAX_BORDER),
            fields.truth("allow_fullscreen"),
            fields.truth("override_redirect_protection"),
            fields.truth("allow_utf8_titles"),
            fields.number("windows_count_limit", _MAX_WINDOWS),
            str(_keys(fields, "copy_keys")),
            str(_keys(fields, "paste_keys")),
            str(_keys(fields, "fullscreen_keys")),
            fields.sentence("shown", _MAX_NAME),
        )


def _keys(fields: Fields, name: str) -> KeySequence:
    try:
        return parse_key_sequence(fields.text(name, _MAX_KEYS), name)
    except BadInput as error:
        raise BadMessage(str(error)) from None
