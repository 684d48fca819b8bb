"""What a domain may be called."""

import re

from qubes_manager.core.errors import BadInput

ALLOWED = "use letters, digits, “-”, “_” and “.”, start with a letter, at most 31 characters"
_PATTERN = re.compile(r"[A-Za-z][A-Za-z0-9_.-]{0,30}", re.ASCII)
# These words mean something else wherever a domain's name is expected.
_RESERVED = frozenset({"dom0", "domain-0", "none", "default", "user"})


def check_name(name: str) -> str:
    """Return *name* when a domain may have it; raises BadInput otherwise."""
    if not _PATTERN.fullmatch(name):
        raise BadInput("name", name[:80], ALLOWED)
    if name.lower() in _RESERVED:
        raise BadInput("name", name, "this word is reserved; choose another")
    return name
