"""qvm-run: run a command in domains."""

import codecs
import os
import shlex
import subprocess
import sys
from argparse import REMAINDER, ArgumentParser, BooleanOptionalAction, Namespace
from collections.abc import Awaitable, Callable, Sequence
from contextlib import AsyncExitStack
from functools import partial
from typing import BinaryIO

from qubes_manager.cli.command import Session, complain, run
from qubes_manager.cli.options import DONE, FAILED, new_parser
from qubes_manager.cli.progress_line import progress_line
from qubes_manager.core.domain import Domain
from qubes_manager.core.errors import QubesManagerError, Refused
from qubes_manager.core.text import strip_escapes
from qubes_manager.services.gui.launching import SESSION_RUNNER
from qubes_manager.services.gui.link import has_screen

# Characters of a line that are kept back until it ends, and of an escape sequence until it is whole.
_LONG_LINE, _LONGEST_ESCAPE = 4096, 1024
# The eight colours of a terminal that are nearest to the labels.
_COLOURS = {"red": 31, "orange": 33, "yellow": 33, "green": 32, "gray": 37, "blue": 34, "purple": 35, "black": 30}


def _parser() -> ArgumentParser:
    parser = new_parser("qvm-run", "Run a command in domains, through their guest agents.")
    parser.add_argument("--user", "-u", default="", metavar="USER", help="as whom (default: user, where there is one)")
    start = parser.add_mutually_exclusive_group()
    start.add_argument("--autostart", "--auto", "-a", action="store_true", default=True, help="start a halted domain")
    start.add_argument("--no-autostart", "--no-auto", "-n", action="store_false", dest="autostart")
    parser.add_argument("--pass-io", "-p", action="store_true", help="connect stdin, stdout and stderr")
    parser.add_argument("--localcmd", metavar="COMMAND", help="with --pass-io: connect this local command instead")
    gui = parser.add_mutually_exclusive_group()
    gui.add_argument(
        "--gui",
        action="store_true",
        default=None,
        help="in the domain's session, with its windows (the default where it has one and there is a screen)",
    )
    gui.add_argument("--no-gui", "--nogui", action="store_false", dest="gui", help="without windows")
    for stream in ("output", "stderr"):
        group = parser.add_mutually_exclusive_group()
        names = [f"--{colour}-{stream}" for colour in ("colour", "color")]
        group.add_argument(*names, dest=f"colour_{stream}", type=int, metavar="COLOUR", help="number of an ANSI colour")
        none = [name.replace("--", "--no-", 1) for name in names]
        group.add_argument(*none, dest=f"colour_{stream}", action="store_const", const=0)
    parser.add_argument("--filter-escape-chars", action=BooleanOptionalAction, default=None, help="strip escapes")
    parser.add_argument("--service", action="store_true", help="not offered: services are for domains")
    parser.add_argument("--no-shell", action="store_true", help="COMMAND and ARG are words, not a shell line")
    parser.add_argument(
        "--dispvm",
        nargs="?",
        const=True,
        metavar="BASE",
        help="in a new disposable of BASE (--dispvm=BASE), or of the default one; it ends with the command",
    )
    parser.add_argument("--all", action="store_true", dest="all_domains", help="in all running domains")
    parser.add_argument("--exclude", action="append", default=[], metavar="VMNAME", help="leave out of --all")
    parser.add_argument("words", nargs=REMAINDER, metavar="[VMNAME] COMMAND [ARG …]")
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    """Entry point."""
    parser = _parser()
    options = parser.parse_args(argv)
    words = options.words[1:] if options.words[:1] == ["--"] else options.words
    if options.service:
        parser.error("--service is not offered: name a command")
    if options.dispvm and (options.all_domains or options.exclude):
        parser.error("--dispvm makes one domain: --all and --exclude do not go with it")
    if isinstance(options.dispvm, str) and not words:
        # “--dispvm firefox”: the one word is what is to be run.
        words, options.dispvm = [options.dispvm], True
    if options.localcmd and not options.pass_io:
        parser.error("--localcmd goes with --pass-io")
    names = [] if options.all_domains or options.dispvm else words[:1]
    command = words[len(names) :]
    if command[:1] == ["--"]:
        command = command[1:]
    if not command or not (names or options.all_domains or options.dispvm):
        parser.error("name a domain and a command")
    line = shlex.join(command) if options.no_shell else " ".join(command)

    async def job(session: Session) -> int:
        if options.dispvm:
            return await _run_in_disposable(session, line, options)
        if options.all_domains:
            running = [d for d in session.domains if not d.is_host and d.state.is_active and not d.only_waits]
            domains = session.without(running, options.exclude)
        else:
            domains = [session.find(name) for name in names]
        return await _run_in(session, domains, line, options)

    return run(options, job)


async def _run_in_disposable(session: Session, line: str, options: Namespace) -> int:
    """Run the command in a disposable of its own; returns its exit code."""
    disposables = session.services.disposables
    if options.dispvm is True:
        template = await disposables.default_for(session.uris[0])
    else:
        template = session.find(options.dispvm)
    async with AsyncExitStack() as running:
        with progress_line(quiet=bool(options.quiet or options.pass_io)) as progress:
            key = await running.enter_async_context(disposables.new(template.key, progress=progress))
        domain = session.store.require(key)
        return await _run_in(session, [domain], line, options, partial(disposables.record_program, key))


async def _run_in(
    session: Session,
    domains: Sequence[Domain],
    line: str,
    options: Namespace,
    started: Callable[[int], Awaitable[object]] | None = None,
) -> int:
    """Run the command in one domain after the other; returns the highest exit code."""
    commands = session.services.commands
    data = b"" if not options.pass_io or options.localcmd or sys.stdin is None else _standard_input()
    highest = DONE
    for domain in domains:
        local = _LocalCommand(options.localcmd) if options.localcmd else None
        out, err = _sinks(domain, options, local)
        try:
            words = await _for_session(session, domain, line, options)
            if domain.config.crossing_ports:
                # What runs there may send something elsewhere.
                await session.services.broker_links.link(domain.key.connection).start()
            code = await commands.run(
                domain.key,
                words,
                user=options.user,
                data=data,
                out=out,
                err=err,
                autostart=options.autostart,
                started=started,
            )
        except QubesManagerError as error:
            complain(error, options.verbose)
            code = FAILED
        finally:
            for sink in (out, err):
                if sink:
                    sink.finish()
        highest = max(highest, code)
    return highest


async def _for_session(session: Session, domain: Domain, line: str, options: Namespace) -> str:
    """The command line as it is run: in the session where windows may come to the screen."""
    has_session = domain.config.gui_port and options.user in ("", "user")
    if not (options.gui or (options.gui is None and has_session and has_screen() and not options.pass_io)):
        return line
    if not has_session:
        raise Refused(f"“{domain.name}” has no session for windows")
    if has_screen():
        # The service shows the windows as soon as the domain runs.
        await session.services.links.link(domain.key.connection).ensure()
        await session.services.launching.announce(domain.key, os.environ.get("DESKTOP_STARTUP_ID", ""))
    return shlex.join([SESSION_RUNNER, line])


def _standard_input() -> bytes:
    """All of standard input; nothing from a terminal, since the guest's agent takes it only as a whole."""
    return b"" if sys.stdin.isatty() else sys.stdin.buffer.read()


class _Sink:
    """Writes a guest's output to one of our streams, made safe for a terminal where need be."""

    def __init__(self, stream: BinaryIO, *, strip: bool, colour: int, on_finish: Callable[[], None]) -> None:
        self._stream = stream
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace") if strip else None
        self._colour = colour
        self._rest = ""
        self._on_finish = on_finish

    def __call__(self, data: bytes) -> None:
        if self._decoder is None:
            self._write(data)
            return
        # An escape sequence may come in two pieces: only whole lines are stripped and shown, and of a long one
        # all but what may be the beginning of an escape.
        text = self._rest + self._decoder.decode(data)
        end = text.rfind("\n") + 1
        if len(text) - end > _LONG_LINE:
            escape = text.rfind("\x1b", len(text) - _LONGEST_ESCAPE)
            end = len(text) if escape == -1 else escape
        self._rest = text[end:]
        self._write(strip_escapes(text[:end]).encode())

    def finish(self) -> None:
        if self._rest:
            self._write(strip_escapes(self._rest).encode())
            self._rest = ""
        self._on_finish()

    def _write(self, data: bytes) -> None:
        if not data:
            return
        if self._colour:
            data = b"\x1b[0;%dm" % self._colour + data + b"\x1b[0m"
        self._stream.write(data)
        self._stream.flush()


class _LocalCommand:
    """A local command whose standard input is the guest's output."""

    def __init__(self, line: str) -> None:
        self._process = subprocess.Popen(line, shell=True, stdin=subprocess.PIPE)  # noqa: S602 - the user's own line

    @property
    def stdin(self) -> BinaryIO:
        assert self._process.stdin is not None
        return self._process.stdin  # type: ignore[return-value]

    def finish(self) -> None:
        self.stdin.close()
        self._process.wait()


def _sinks(domain: Domain, options: Namespace, local: _LocalCommand | None) -> tuple[_Sink | None, _Sink | None]:
    if not options.pass_io:
        return None, None
    out_stream = local.stdin if local else sys.stdout.buffer
    sinks = []
    for stream, colour, is_local in (
        (out_stream, options.colour_output, local is not None),
        (sys.stderr.buffer, options.colour_stderr, False),
    ):
        terminal = not is_local and os.isatty(stream.fileno())
        strip = terminal if options.filter_escape_chars is None else options.filter_escape_chars
        if colour is None:
            colour = _COLOURS.get(domain.label.name, 0) if terminal and domain.label else 0
        finish = local.finish if local and is_local else _nothing
        sinks.append(_Sink(stream, strip=strip, colour=colour, on_finish=finish))
    return sinks[0], sinks[1]


def _nothing() -> None:
    return None
