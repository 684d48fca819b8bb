"""qvm-run-vm: runs a command in another domain, its input, output and exit code joined to this one's."""

import argparse
import re
import shlex
import sys
from collections.abc import Sequence

from qubes_manager.core.crossing.guest_messages import MAX_ARGUMENT
from qubes_manager.core.crossing.services import VM_EXEC, VM_EXEC_GUI, VM_SHELL
from qubes_manager.guest.command_words import encode_words
from qubes_manager.guest.commands.calling import Caller, Command
from qubes_manager.guest.commands.cleaning import cleaner
from qubes_manager.guest.crossing.client import call

_PROGRAM = re.compile(r"[A-Za-z0-9._/+-]+", re.ASCII)


def main(arguments: Sequence[str] | None = None, caller: Caller = call) -> int:
    """Entry point."""
    parser = argparse.ArgumentParser(
        "qvm-run-vm", description="Run a command in another domain, if the policy lets it.", allow_abbrev=False
    )
    parser.add_argument("-t", "--no-gui", action="store_true", help="do not wait until windows can be shown there")
    parser.add_argument("-d", "--dispvm", action="store_true", help="in a new disposable; there is no domain to name")
    parser.add_argument("words", metavar="DOMAIN COMMAND", nargs=argparse.REMAINDER)
    options = parser.parse_args(arguments)
    words: list[str] = options.words
    target = "@dispvm"
    if not options.dispvm and words:
        target, *words = words
    # What REMAINDER keeps of “--”.
    words = words[1:] if words[:1] == ["--"] else words
    if not words:
        parser.error("a command is needed" if options.dispvm else "a domain and a command are needed")
    command = Command("qvm-run-vm", caller, is_plain=True)
    return command.run(lambda: _run(command, target, words, has_gui=not options.no_gui))


def _run(command: Command, target: str, words: Sequence[str], *, has_gui: bool) -> int:
    if len(words) == 1 and not _PROGRAM.fullmatch(words[0]):
        # One word may be a whole line for a shell, as people write it.
        words = ["sh", "-c", words[0]]
    argument = encode_words(words)
    is_long = len(argument) > MAX_ARGUMENT
    service = VM_SHELL if is_long else VM_EXEC_GUI if has_gui else VM_EXEC
    shown = shlex.join(words)
    with command.call(service, "" if is_long else argument, target, names=[shown[:200]], count=1) as conversation:
        if is_long:
            conversation.write(f"exec {shown}\n".encode("utf-8", "surrogateescape"))
        result = conversation.join(
            sys.stdin.fileno(), sys.stdout.fileno(), clean=cleaner(is_wanted=sys.stdout.isatty())
        )
    if result.reason:
        command.say(result.reason)
    return result.code
