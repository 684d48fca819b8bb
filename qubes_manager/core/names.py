"""What a domain may be called, and what the host is."""

import re

from qubes_manager.core.errors import BadInput

HOST_NAME = "dom0"
ALLOWED = "use letters, digits, “-”, “_” and “.”, start with a letter, at most 31 characters"
_PATTERN = re.compile(r"[A-Za-z][A-Za-z0-9_.-]{0,30}", re.ASCII)
_LONGEST_TITLE = 40
# These words mean something else wherever a domain's name is expected.
_RESERVED = frozenset({HOST_NAME, "domain-0", "none", "default", "user"})


def check_name(name: str) -> str:
    """Return *name* when a domain may have it; raises BadInput otherwise."""
    if not _PATTERN.fullmatch(name):
        raise BadInput("name", name[:80], ALLOWED)
    if name.lower() in _RESERVED:
        raise BadInput("name", name, "this word is reserved; choose another")
    return name


def check_title(title: str) -> str:
    """Return *title* when a disposable may be shown under it; raises BadInput otherwise. None (empty) is one too."""
    if len(title) > _LONGEST_TITLE or not title.isprintable() or title != title.strip():
        raise BadInput("title", title[:80], f"use one line of at most {_LONGEST_TITLE} characters, no blanks around it")
    return title
