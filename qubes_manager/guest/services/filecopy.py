"""qubes.Filecopy: takes files from another domain into ~/QubesIncoming/DOMAIN.

With ``allow-all-names`` as its argument names come through that could deceive who reads them, if the policy lets that
be.
"""

import sys
from collections.abc import Collection, Sequence
from contextlib import suppress

from qubes_manager.core.crossing.file_messages import ALL_NAMES, Chosen, Clash, Failure, Go, Offer, Stored
from qubes_manager.core.errors import QubesManagerError, Refused
from qubes_manager.guest.archive.unpacking import MAX_TOP, refuse_without_room, unpack
from qubes_manager.guest.exchange import (
    Incoming,
    StandardStreams,
    Stream,
    clear_up_when_ended,
    expected,
    incoming_folder,
    line,
    plain_reason,
    source_domain,
)


def main(arguments: Sequence[str] = ()) -> int:
    """Entry point."""
    return serve(arguments, StandardStreams())


def serve(arguments: Sequence[str], stream: Stream) -> int:
    """Take what comes through *stream*; returns the exit code."""
    clear_up_when_ended()
    incoming, source = Incoming(stream.read), source_domain()
    words = {word for argument in arguments for word in argument.split("+")}
    try:
        offer, chosen = _offer(incoming)
        folder = incoming_folder(source)
        refuse_without_room(folder, offer)
        stream.write(line(Go()))
        taken = unpack(incoming.read, folder, offer, all_names=ALL_NAMES in words, clash=_clash(words), chosen=chosen)
        stream.write(line(Stored(taken.sha256, taken.renamed, len(taken.left_out))))
    except (QubesManagerError, OSError) as error:
        # Whom it is to be told to may have gone.
        with suppress(QubesManagerError, OSError):
            stream.write(line(Failure(plain_reason(error))))
        return 1
    return 0


def _offer(incoming: Incoming) -> tuple[Offer, frozenset[str]]:
    """What is to come, and the names that it may have, none for any; raises Refused."""
    chosen: frozenset[str] = frozenset()
    while isinstance(message := incoming.message(), Chosen):
        chosen |= frozenset(message.names)
        if len(chosen) > MAX_TOP:
            raise Refused("the other side says too much")
    return expected(message, Offer), chosen


def _clash(words: Collection[str]) -> Clash:
    """What to do when a name is taken, by the word of the user at the host: no domain's own call comes with one."""
    return next((wanted for wanted in (Clash.REPLACE, Clash.SKIP) if wanted in words), Clash.NUMBER)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
