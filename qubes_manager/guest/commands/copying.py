"""The commands that copy and move files into other domains."""

import argparse
import sys
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path

from qubes_manager.core.crossing.file_messages import ALL_NAMES, INCOMING
from qubes_manager.core.crossing.services import FILECOPY
from qubes_manager.core.sizes import format_size
from qubes_manager.guest.archive.walking import Survey, survey
from qubes_manager.guest.commands.calling import FAULT, Caller, Command
from qubes_manager.guest.commands.sending import names_to_ask, send_files
from qubes_manager.guest.commands.sent_files import SentFiles
from qubes_manager.guest.crossing.client import call
from qubes_manager.guest.exchange import Incoming


def copy_command(
    name: str,
    arguments: Sequence[str] | None,
    *,
    moves: bool = False,
    has_target: bool = False,
    caller: Caller = call,
) -> int:
    """The whole of qvm-copy and its like; returns the exit code."""
    options = _parser(name, moves, has_target).parse_args(arguments)
    command = Command(name, caller)
    target = "@default"
    if has_target:
        target = options.target
        is_file = Path(target).exists() and not any(path.exists() for path in options.files)
        if "/" in target or is_file:
            command.say(f"“{target}” is a file: the domain's name comes first, and the files after it")
            return FAULT
        command.say(f"the policy still decides, and may ask; without a target: {name.removesuffix('-to-vm')} FILE …")
    return command.run(lambda: _Copy(command, options, moves).run(target))


def _parser(name: str, moves: bool, has_target: bool) -> argparse.ArgumentParser:
    what = "Move" if moves else "Copy"
    ending = "; they are deleted here when the other domain has them" if moves else ""
    parser = argparse.ArgumentParser(
        name, description=f"{what} files into another domain, to its ~/{INCOMING}{ending}.", allow_abbrev=False
    )
    parser.set_defaults(has_progress=True, ignore_links=False)
    shown = "show how far it is (default)"
    parser.add_argument("--with-progress", dest="has_progress", action="store_true", help=shown)
    parser.add_argument("--without-progress", dest="has_progress", action="store_false", help="be silent")
    links = "leave links out, and say nothing of them"
    parser.add_argument("--ignore-symlinks", dest="ignore_links", action="store_true", help=links)
    kept = "copy links that stay inside the folder that is copied (default)"
    parser.add_argument("--no-ignore-symlinks", dest="ignore_links", action="store_false", help=kept)
    if has_target:
        parser.add_argument("target", metavar="TARGET", help="the domain's name")
    parser.add_argument("files", metavar="FILE", nargs="+", type=Path)
    return parser


class _Copy:
    """One copy, or one move."""

    def __init__(self, command: Command, options: argparse.Namespace, moves: bool) -> None:
        self._command = command
        self._moves = moves
        self._files: list[Path] = options.files
        self._ignore_links: bool = options.ignore_links
        self._has_progress: bool = options.has_progress
        self._left_out = 0

    def run(self, target: str) -> int:
        """Copy to *target*; returns the exit code, 1 when anything was left out."""
        found = survey(self._files, ignore_links=self._ignore_links)
        if not found.count:
            survey(self._files, ignore_links=self._ignore_links, problem=self._problem)
            self._command.say("there is nothing to be sent")
            return FAULT
        with ExitStack() as stack:
            sent = stack.enter_context(SentFiles()) if self._moves else None
            self._send(target, found, sent)
            if sent:
                sent.delete(self._problem)
        if self._left_out:
            self._command.say(f"not all is {'moved' if self._moves else 'copied'}: {self._left_out} stay as they were")
        return FAULT if self._left_out else 0

    def _send(self, target: str, found: Survey, sent: SentFiles | None) -> None:
        argument = ALL_NAMES if found.is_unusual else ""
        names = names_to_ask(self._files)
        with self._command.call(
            FILECOPY, argument, target, names=names, count=found.count, size=found.size
        ) as conversation:
            stored = send_files(
                conversation,
                Incoming(conversation.read),
                found,
                problem=self._problem,
                on_sent=sent.add if sent else lambda _entry: None,
                progress=self._command.progress(found.size, is_wanted=self._has_progress),
            )
            conversation.finish()
            conversation.result()
            if self._has_progress and sys.stderr.isatty():
                numbered = f"; {stored.renamed} got a number, since the name was taken" if stored.renamed else ""
                self._command.say(f"{format_size(found.size)} are in “{conversation.target}” now{numbered}")

    def _problem(self, path: str, reason: str) -> None:
        self._left_out += 1
        self._command.problem(path, reason)
