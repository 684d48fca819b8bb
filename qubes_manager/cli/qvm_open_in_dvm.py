"""qvm-open-in-dvm: open files of this machine in a new disposable."""

import asyncio
import os
import sys
from collections.abc import Sequence

from qubes_manager.cli.command import Session, run
from qubes_manager.cli.copying import ProgressLine
from qubes_manager.cli.options import DONE, FAILED, new_parser


def main(argv: Sequence[str] | None = None) -> int:
    """Entry point."""
    parser = new_parser(
        "qvm-open-in-dvm",
        "Open files of this machine in a new disposable, and wait until they are closed. What is changed there takes "
        "the place of the original, which is kept beside it.",
    )
    parser.add_argument("--view-only", action="store_true", help="files are read-only there, and nothing comes back")
    parser.add_argument("--dispvm", metavar="BASE", help="what the disposable is made of (default: default_dispvm)")
    parser.add_argument("FILE", nargs="+", help="files and folders; several are opened in one disposable")
    options = parser.parse_args(argv)
    # The broker has another working directory. Links are not followed.
    paths = [os.path.abspath(path) for path in options.FILE]  # noqa: PTH100

    async def job(session: Session) -> int:
        template = session.find(options.dispvm).key if options.dispvm else None
        uri = template.connection if template else session.uris[0]
        line = ProgressLine(is_wanted=not options.quiet)
        following = asyncio.ensure_future(session.services.broker_links.run())
        try:
            report = await session.services.file_copies.open(
                uri, paths, view_only=options.view_only, template=template, on_status=line.show
            )
        finally:
            line.clear()
            following.cancel()
        for remark in report.remarks:
            print(remark, file=sys.stderr)
        return FAILED if report.is_partial else DONE

    return run(options, job)
