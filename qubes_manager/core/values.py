"""Values that users type, and what they may be."""

from qubes_manager.core.errors import BadInput

MAX_WORD = 255
# Beyond what libvirt's drivers take; what a host and a machine take is theirs to say.
MAX_MEMORY_MIB, MAX_VCPUS = 1 << 24, 1 << 13
_TRUE = {"true", "yes", "on", "1"}
_FALSE = {"false", "no", "off", "0"}


def parse_bool(text: str, field: str) -> bool:
    """Return the truth that *text* means; raises BadInput."""
    word = text.strip().lower()
    if word not in _TRUE | _FALSE:
        raise BadInput(field, text[:80], "use True or False")
    return word in _TRUE


def parse_number(text: str, field: str, low: int, high: int) -> int:
    """Return the whole number that *text* means, *low* to *high*; raises BadInput."""
    if not (text.isascii() and text.isdigit() and low <= int(text) <= high):
        raise BadInput(field, text[:80], f"give a whole number from {low} to {high}")
    return int(text)


def check_word(text: str, field: str) -> str:
    """Return *text* when it can be a tag or the name of a feature; raises BadInput."""
    if not text or len(text) > MAX_WORD or not text.isprintable() or any(c.isspace() for c in text):
        raise BadInput(field, text[:80], "use 1 to 255 characters, none of them blank")
    return text
