"""What the commands that copy files between this machine and domains share."""

import asyncio
import os
import sys
from argparse import ArgumentParser, Namespace
from collections.abc import Sequence

from qubes_manager.cli.command import Session, run
from qubes_manager.cli.options import DONE, FAILED, new_parser
from qubes_manager.cli.output import steer
from qubes_manager.core.crossing.broker_messages import TransferStatus
from qubes_manager.core.crossing.file_messages import Clash
from qubes_manager.core.crossing.file_requests import CopyReport
from qubes_manager.core.crossing.transfer_words import how_far
from qubes_manager.core.domain import Domain
from qubes_manager.core.sizes import format_size
from qubes_manager.core.text import one_cell
from qubes_manager.services.crossing.file_copies import Copy

_CLEAR = "\r\x1b[K"


def copy_parser(name: str, about: str) -> ArgumentParser:
    """A parser with the options of all these commands."""
    parser = new_parser(name, about)
    parser.set_defaults(has_progress=True)
    parser.add_argument("--with-progress", dest="has_progress", action="store_true", help="say how far it is (default)")
    parser.add_argument("--without-progress", dest="has_progress", action="store_false", help="be silent until the end")
    parser.add_argument(
        "--existing",
        choices=[clash.value for clash in Clash],
        default=Clash.NUMBER.value,
        help="what to do about a name that is taken: take a number (default), take its place, or skip it",
    )
    return parser


def send_command(name: str, argv: Sequence[str] | None, *, moves: bool) -> int:
    """The whole of qvm-copy-to-vm and qvm-move-to-vm."""
    what = "Move" if moves else "Copy"
    ending = " They are deleted here when the domain has them all." if moves else ""
    parser = copy_parser(name, f"{what} files of this machine into a domain, to its ~/QubesIncoming/dom0.{ending}")
    parser.add_argument("--ignore-symlinks", dest="ignore_links", action="store_true", help="leave links out")
    parser.add_argument("--no-ignore-symlinks", dest="ignore_links", action="store_false", help="copy them (default)")
    parser.add_argument("TARGET", help="the domain; it is started if need be")
    parser.add_argument("FILE", nargs="+", help="files and folders")
    options = parser.parse_args(argv)
    if "/" in options.TARGET:
        parser.error(f"“{options.TARGET}” is no domain: its name comes first, and the files after it")
    # The broker has another working directory. Links are not followed.
    paths = [os.path.abspath(path) for path in options.FILE]  # noqa: PTH100

    async def job(session: Session) -> int:
        target = session.find(options.TARGET)
        return await carry(session, options, None, target, paths, moves=moves)

    return run(options, job)


async def carry(
    session: Session,
    options: Namespace,
    source: Domain | None,
    target: Domain | None,
    paths: Sequence[str],
    *,
    moves: bool = False,
) -> int:
    """Copy and say what has become of it; 1 when something stayed behind."""
    domains = [domain for domain in (source, target) if domain]
    keys = [None if domain is None or domain.is_host else domain.key for domain in (source, target)]
    links = getattr(options, "ignore_links", False)
    copy = Copy(domains[0].key.connection, keys[0], keys[1], paths, moves, Clash(options.existing), links)
    line = ProgressLine(is_wanted=options.has_progress and not options.quiet)
    following = asyncio.ensure_future(session.services.broker_links.run())
    try:
        report = await session.services.file_copies.copy(copy, on_status=line.show)
    finally:
        line.clear()
        following.cancel()
    return _tell(report, options, target.name if target else "dom0")


def _tell(report: CopyReport, options: Namespace, target: str) -> int:
    for remark in report.remarks:
        print(remark, file=sys.stderr)
    if options.verbose:
        for file in report.files:
            print(f"{file.sha256}  {one_cell(file.name)}")
    if not options.quiet and (sys.stderr.isatty() or options.verbose):
        files = f"{report.count} file{'' if report.count == 1 else 's'}"
        print(f"{files}, {format_size(report.size)}: in {report.folder} of “{target}”", file=sys.stderr)
    return FAILED if report.is_partial else DONE


class ProgressLine:
    """How far a copy is, as one line of the terminal; nothing without one."""

    def __init__(self, *, is_wanted: bool) -> None:
        self._is_wanted = is_wanted and sys.stderr.isatty()
        self._shown = ""

    def show(self, status: TransferStatus) -> None:
        """Say how far it is."""
        line = f"{one_cell(status.sentence)}: {how_far(status)}"
        if not self._is_wanted or status.is_over or line == self._shown:
            return
        self._shown = line
        steer(_CLEAR)
        print(line, end="", file=sys.stderr, flush=True)

    def clear(self) -> None:
        """Take the line away."""
        if self._shown:
            steer(_CLEAR)
            sys.stderr.flush()
