"""qubes.OpenURL: opens a web address, which comes on a line, with this domain's browser."""

import re
import sys
from collections.abc import Sequence

from qubes_manager.core.errors import QubesManagerError, Refused
from qubes_manager.guest.exchange import plain_reason, standard_input
from qubes_manager.guest.opening.programs import Opening

# The characters of an address (RFC 3986) and the schemes that Qubes takes; mailto and file are others' business.
_ADDRESS = re.compile(r"(?:https?|ftp)://[A-Za-z0-9._~:/?#\[\]@!$&'()*+,;=%-]{1,4000}", re.ASCII)
_MOST = 8000
# A browser takes long to come on a slow machine; who asked need not wait for ever.
_WINDOW_TIMEOUT = 180.0


def main(_arguments: Sequence[str] = ()) -> int:
    """Entry point; returns when there is a window, so that a disposable does not end before."""
    try:
        address = check_address(_read_line())
        with Opening(own_bus=False) as opening:
            opening.open([address])
            opening.watch.wait_for_window(_WINDOW_TIMEOUT)
    except (QubesManagerError, OSError) as error:
        print(plain_reason(error), file=sys.stderr)
        return 1
    return 0


def check_address(text: str) -> str:
    """Return *text* when it is an address that may be opened; raises Refused."""
    if not _ADDRESS.fullmatch(text):
        raise Refused("only addresses that begin with http://, https:// or ftp:// are opened, of plain characters")
    return text


def _read_line() -> str:
    read, data = standard_input(), b""
    while b"\n" not in data and len(data) <= _MOST and (part := read(_MOST)):
        data += part
    return data.partition(b"\n")[0].decode("ascii", "replace")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
