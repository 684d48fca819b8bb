"""What a domain's windows may do on the host's screen, and how they are marked."""

import json
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields

from qubes_manager.core.text import one_line

# A window that the window manager does not frame may take this part of the screen at most.
UNMANAGED_SHARE = 0.9
MAX_TITLE = 200
_NO_ASCII = re.compile(r"[^\x20-\x7e]")


@dataclass(frozen=True, slots=True)
class GuiRules:
    """The rules for one domain's windows; *colour* is ``#rrggbb``, *border_width* in pixels."""

    domain: str
    colour: str
    border_width: int = 6
    allow_fullscreen: bool = False
    override_redirect_protection: bool = True
    allow_utf8_titles: bool = False
    windows_count_limit: int = 500

    def title(self, text: str) -> str:
        """The title that a window gets, which always starts with the domain's name."""
        line = one_line(text, MAX_TITLE)
        if not self.allow_utf8_titles:
            line = _NO_ASCII.sub("_", line)
        return f"[{self.domain}] {line}".rstrip()

    def to_json(self) -> str:
        """One line for the program that shows the windows."""
        return json.dumps(asdict(self))

    @classmethod
    def of(cls, data: Mapping[str, object]) -> "GuiRules":
        """The rules that ``to_json`` wrote; raises KeyError, TypeError."""
        return cls(**{f.name: data[f.name] for f in fields(cls)})  # type: ignore[arg-type]
