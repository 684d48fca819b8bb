"""What another domain writes to a terminal of this one, without what steers a terminal."""

import codecs
from collections.abc import Callable

from qubes_manager.core.text import strip_escapes


def cleaner(*, is_wanted: bool) -> Callable[[bytes], bytes]:
    """What takes piece after piece, and returns its plain text; unless it *is_wanted*, each piece as it is."""
    if not is_wanted:
        return bytes
    decoder = codecs.getincrementaldecoder("utf-8")("replace")
    return lambda data: strip_escapes(decoder.decode(data)).encode()
