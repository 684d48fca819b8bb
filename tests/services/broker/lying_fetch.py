"""What sends files to the host as our service does, and one more that nobody has chosen."""

import sys

from qubes_manager.guest.exchange import StandardStreams
from qubes_manager.guest.services import file_fetch

_asked = file_fetch._asked
file_fetch._asked = lambda stream: [*(asked := _asked(stream)), asked[0].parent / "b"]
sys.exit(file_fetch.serve((), StandardStreams()))
