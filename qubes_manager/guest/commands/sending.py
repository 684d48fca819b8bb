"""Sends files into another domain: what copying, moving and opening there have in common."""

import json
from collections.abc import Callable, Iterable
from pathlib import Path

from qubes_manager.core.crossing.file_messages import Go, Offer, Stored
from qubes_manager.core.crossing.guest_messages import MAX_NAMES
from qubes_manager.core.errors import QubesManagerError, Refused
from qubes_manager.guest.archive.names import shown_name
from qubes_manager.guest.archive.packing import pack
from qubes_manager.guest.archive.walking import Entry, Problem, Survey
from qubes_manager.guest.commands.calling import Conversation
from qubes_manager.guest.commands.terminal_progress import TerminalProgress
from qubes_manager.guest.crossing.client import CallFailed
from qubes_manager.guest.exchange import Incoming, line

# Bytes of all names in a call's message, which has 16 KiB in all.
_ALL_NAMES = 6000


class NotStored(QubesManagerError):
    """The receiver has not all that was sent, or says so of something else."""


def names_to_ask(paths: Iterable[Path]) -> tuple[str, ...]:
    """The names that whoever is asked is told, as many as fit."""
    names: list[str] = []
    size = 0
    for path in paths:
        # pathlib knows no name of “.”
        name = shown_name(path.absolute().name)
        size += len(json.dumps(name))
        if len(names) == MAX_NAMES or size > _ALL_NAMES:
            break
        names.append(name)
    return tuple(names)


def send_files(
    conversation: Conversation,
    incoming: Incoming,
    found: Survey,
    *,
    problem: Problem,
    on_sent: Callable[[Entry], object] = lambda _entry: None,
    progress: TerminalProgress,
) -> Stored:
    """Send what *found* holds and wait until the receiver has it on its disk, with the digest that it has here.

    Raises Refused with the receiver's reason, NotStored, CallFailed, and what ``pack`` raises.
    """
    conversation.write(line(Offer(found.size, found.count)))
    incoming.expect(Go)
    try:
        sent = pack(found, conversation.write, problem=problem, on_sent=on_sent, on_bytes=progress.add)
    except CallFailed as broken:
        raise _why(incoming, broken) from broken
    finally:
        progress.clear()
    stored = incoming.expect(Stored)
    if stored.sha256 != sent.sha256:
        raise NotStored("the receiver has something else than what was sent; nothing is deleted here")
    return stored


def _why(incoming: Incoming, broken: CallFailed) -> QubesManagerError:
    """Why a receiver takes no more: its own words, if they have come."""
    try:
        incoming.expect(Stored)
    except CallFailed:
        return broken
    except Refused as reason:
        return reason
    return broken
