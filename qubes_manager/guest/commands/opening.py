"""The commands that open files and addresses in other domains."""

import argparse
import os
import re
import shutil
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from qubes_manager.core.crossing.file_messages import ALL_NAMES, VIEW_ONLY, Changed, Failure, Offer
from qubes_manager.core.crossing.services import OPEN_IN_VM, OPEN_URL
from qubes_manager.core.errors import Refused
from qubes_manager.guest.archive.hidden_folder import make_hidden_folder
from qubes_manager.guest.archive.names import shown_name
from qubes_manager.guest.archive.placing import place_beside
from qubes_manager.guest.archive.unpacking import refuse_without_room, unpack
from qubes_manager.guest.archive.walking import Entry, identity, survey
from qubes_manager.guest.commands.calling import FAULT, Caller, Command, Conversation
from qubes_manager.guest.commands.putting_back import put_back
from qubes_manager.guest.commands.sending import names_to_ask, send_files
from qubes_manager.guest.crossing.client import call
from qubes_manager.guest.exchange import Incoming, incoming_folder

# The folder of what has come back, until it is in its place.
_EDITED = "edited"
_ADDRESS = re.compile(r"[a-z][a-z0-9+.-]*://", re.ASCII)


def open_command(name: str, arguments: Sequence[str] | None, *, has_target: bool = False, caller: Caller = call) -> int:
    """The whole of qvm-open-in-vm and qvm-open-in-dvm; returns the exit code."""
    where = "another domain" if has_target else "a new disposable"
    parser = argparse.ArgumentParser(
        name,
        description=f"Open files, a folder or a web address in {where}. What is changed there comes back.",
        allow_abbrev=False,
    )
    parser.add_argument("--view-only", action="store_true", help="files are read-only there, and nothing comes back")
    if has_target:
        parser.add_argument("target", metavar="TARGET", help="the domain's name")
    parser.add_argument("what", metavar="FILE-OR-URL", nargs="+")
    options = parser.parse_args(arguments)
    command = Command(name, caller)
    target = options.target if has_target else "@dispvm"
    return command.run(lambda: _open(command, target, options.what, is_view=options.view_only))


def _open(command: Command, target: str, what: Sequence[str], *, is_view: bool) -> int:
    opened_for = os.environ.get("QREXEC_SERVICE_FULL_NAME", "")
    if target.startswith("@dispvm") and opened_for.startswith((OPEN_IN_VM, OPEN_URL)):
        raise Refused("this was opened for another domain itself, and is not passed on to a further disposable")
    addresses = [text for text in what if _ADDRESS.match(text)]
    if not addresses:
        return _Files(command, [Path(text) for text in what], is_view).open(target)
    if len(what) > 1:
        raise Refused("give one address at a time, and files by themselves")
    return _open_address(command, target, addresses[0])


def _open_address(command: Command, target: str, address: str) -> int:
    with command.call(OPEN_URL, "", target, names=[shown_name(address)], count=1) as conversation:
        conversation.write(f"{address}\n".encode("utf-8", "surrogateescape"))
        return _end(command, conversation)


def _end(command: Command, conversation: Conversation) -> int:
    conversation.finish()
    result = conversation.result()
    if result.code and result.reason:
        command.say(result.reason)
    return result.code


@dataclass(frozen=True, slots=True)
class _Sent:
    """A file that is open elsewhere: its path here, and what it was when it went out."""

    path: Path
    identity: tuple[int, ...]


class _Files:
    """Files and folders of one call."""

    def __init__(self, command: Command, paths: Sequence[Path], is_view: bool) -> None:
        self._command = command
        self._paths = paths
        self._is_view = is_view
        self._sent: dict[str, _Sent] = {}
        self._left_out = 0

    def open(self, target: str) -> int:
        """Open them in *target*; returns the exit code when they have been closed."""
        names = [path.absolute().name for path in self._paths]
        if len(set(names)) < len(names):
            raise Refused("two of the files have the same name: open them one after the other")
        found = survey(self._paths)
        if not found.count:
            survey(self._paths, problem=self._command.problem)
            return FAULT
        words = [word for word, is_set in ((VIEW_ONLY, self._is_view), (ALL_NAMES, found.is_unusual)) if is_set]
        asked = names_to_ask(self._paths)
        with self._command.call(
            OPEN_IN_VM, "+".join(words), target, names=asked, count=found.count, size=found.size
        ) as conversation:
            incoming = Incoming(conversation.read)
            send_files(
                conversation,
                incoming,
                found,
                problem=self._problem,
                on_sent=self._note,
                progress=self._command.progress(found.size),
            )
            conversation.finish()
            if not self._is_view:
                self._take_back(incoming, conversation.target)
            elif isinstance(failure := incoming.last_message(), Failure):
                raise Refused(failure.reason)
            return _end(self._command, conversation) or (FAULT if self._left_out else 0)

    def _note(self, entry: Entry) -> None:
        if entry.is_file:
            self._sent[entry.name] = _Sent(Path(entry.path), identity(entry.status))

    def _problem(self, path: str, reason: str) -> None:
        self._left_out += 1
        self._command.problem(path, reason)

    def _take_back(self, incoming: Incoming, target: str) -> None:
        """Take the files that were changed, all of them before the first is put into its place."""
        changed: dict[str, _Sent] = {}
        while isinstance(message := incoming.message(), Changed):
            if message.name not in self._sent or message.name in changed:
                raise Refused(f"“{shown_name(message.name)}” comes back, and was not sent")
            changed[message.name] = self._sent[message.name]
        if isinstance(message, Failure):
            raise Refused(message.reason)
        if not isinstance(message, Offer) or message.count != len(changed):
            raise Refused("the other side does not say what comes back")
        if changed:
            self._take(incoming, message, list(changed.values()), target)

    def _take(self, incoming: Incoming, offer: Offer, changed: Sequence[_Sent], target: str) -> None:
        landing = incoming_folder(target)
        try:
            came = _unpack_numbered(incoming, offer, landing, len(changed))
            try:
                for number, sent in enumerate(changed):
                    done = put_back(came / str(number), sent.path, sent.identity, landing)
                    self._command.say(done.sentence)
                    self._left_out += not done.is_in_place
            except BaseException:
                self._command.say(f"what came back is in {came}")
                raise
            shutil.rmtree(came, ignore_errors=True)
        finally:
            # What could not be put into its place stays there.
            with suppress(OSError):
                landing.rmdir()


def _unpack_numbered(incoming: Incoming, offer: Offer, landing: Path, count: int) -> Path:
    """Take *count* files, which are called by their numbers, into a new folder; raises Refused for anything else.

    From then on they are seen: when this program is killed nobody else has them any more.
    """
    refuse_without_room(landing, offer)
    hidden = make_hidden_folder(landing)
    try:
        taken = unpack(incoming.read, hidden.path, offer)
        names = [str(number) for number in range(count)]
        if sorted(taken.names) != sorted(names) or not all((hidden.path / name).is_file() for name in names):
            raise Refused("what comes back is something else than was said")
        return place_beside(hidden.path, landing, _EDITED)
    finally:
        hidden.remove()
