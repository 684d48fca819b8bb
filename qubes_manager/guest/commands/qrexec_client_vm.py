"""qrexec-client-vm: calls any service of another domain, as in Qubes; a user's own services are called by it."""

import argparse
import os
import sys
from collections.abc import Callable, Sequence

from qubes_manager.guest.commands.calling import Caller, Command, Conversation
from qubes_manager.guest.commands.cleaning import cleaner
from qubes_manager.guest.crossing.client import Result, call


def main(arguments: Sequence[str] | None = None, caller: Caller = call) -> int:
    """Entry point."""
    options = _parser().parse_args(arguments)
    command = Command("qrexec-client-vm", caller, is_plain=True)
    service, _, argument = options.service.partition("+")
    # Names of Qubes 3: “$default” for “@default”; none is that too.
    target = options.target.replace("$", "@") or "@default"
    join = _join_streams(options.cleans) if not options.program else _join_program(options.program)
    return command.run(lambda: _run(command, service, argument, target, join))


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        "qrexec-client-vm",
        description="Call a service of another domain, if the policy allows it. Its input and output are this "
        "command's, or those of the local program, whose exit code is this one's then.",
        epilog="Exit codes: that of the service; 126: it was refused; 125: the call failed.",
        allow_abbrev=False,
    )
    clean = "no escape sequences on the terminal (default for a terminal)"
    parser.add_argument("-t", "--filter-escape-chars-stdout", dest="cleans", action="store_true", help=clean)
    parser.add_argument(
        "--no-filter-escape-chars-stdout", dest="cleans", action="store_false", help="all bytes as they come"
    )
    always = "accepted: what a service says to its standard error is always plain text"
    parser.add_argument("-T", "--filter-escape-chars-stderr", action="store_true", help=always)
    parser.add_argument("--no-filter-escape-chars-stderr", action="store_true", help=argparse.SUPPRESS)
    parser.add_argument("--buffer-size", metavar="BYTES", type=int, help="accepted: buffers have a size that fits")
    parser.set_defaults(cleans=None)
    parser.add_argument("target", metavar="TARGET", help="the domain's name; empty or @default: the policy chooses")
    parser.add_argument("service", metavar="SERVICE[+ARGUMENT]")
    parser.add_argument("program", metavar="LOCAL_PROGRAM ARGUMENT", nargs=argparse.REMAINDER)
    return parser


def _run(
    command: Command, service: str, argument: str, target: str, join: Callable[[Conversation], tuple[Result, int]]
) -> int:
    with command.call(service, argument, target) as conversation:
        result, code = join(conversation)
    if result.reason:
        command.say(result.reason)
    return code


def _join_streams(cleans: bool | None) -> Callable[[Conversation], tuple[Result, int]]:
    def join(conversation: Conversation) -> tuple[Result, int]:
        clean = cleaner(is_wanted=sys.stdout.isatty() if cleans is None else cleans)
        result = conversation.join(sys.stdin.fileno(), sys.stdout.fileno(), clean=clean)
        return result, result.code

    return join


def _join_program(words: Sequence[str]) -> Callable[[Conversation], tuple[Result, int]]:
    """The service's input and output are a program's; it is started once the call goes ahead."""

    def join(conversation: Conversation) -> tuple[Result, int]:
        # Most calls need none of it, and on a slow machine it takes long to come.
        import subprocess

        # Where it finds the streams of this command, as in Qubes.
        streams = {"SAVED_FD_0": sys.stdin, "SAVED_FD_1": sys.stdout}
        saved = {name: os.dup(stream.fileno()) for name, stream in streams.items()}
        environment = {**os.environ, **{name: str(fd) for name, fd in saved.items()}}
        environment["QREXEC_REMOTE_DOMAIN"] = conversation.target
        with subprocess.Popen(
            words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=environment, pass_fds=list(saved.values())
        ) as program:
            for fd in saved.values():
                os.close(fd)
            assert program.stdin
            assert program.stdout
            os.set_blocking(program.stdin.fileno(), False)
            try:
                result = conversation.join(program.stdout.fileno(), program.stdin.fileno(), drops=True)
            finally:
                program.stdin.close()
                program.stdout.close()
        code = program.returncode
        return result, 128 - code if code < 0 else code

    return join
