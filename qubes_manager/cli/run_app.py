"""qubes-manager run: start an application in a domain; what the desktop's menu calls."""

import asyncio
import os
from collections.abc import Sequence

from qubes_manager.cli.command import Session, run
from qubes_manager.cli.options import DONE, FAILED, new_parser
from qubes_manager.core.background import Background
from qubes_manager.core.errors import QubesManagerError
from qubes_manager.core.progress import Progress
from qubes_manager.services.gui.notices import Notice


def main(argv: Sequence[str] | None = None) -> int:
    """Entry point of ``qubes-manager run``."""
    parser = new_parser("qubes-manager run", "Start an application in a domain, the domain first if need be.")
    parser.add_argument("VMNAME", help="the domain")
    parser.add_argument("APPLICATION", help="the name of its .desktop file in the domain, without the ending")
    parser.add_argument(
        "--dispvm", action="store_true", help="in a new disposable of VMNAME, which is gone with its last window"
    )
    options = parser.parse_args(argv)

    async def job(session: Session) -> int:
        notice = Notice(f"{options.VMNAME}: {options.APPLICATION}")
        try:
            domain = session.find(options.VMNAME)
            steps = _Steps()
            telling = Background()
            telling.spawn(_show_steps(notice, steps))
            try:
                startup_id = os.environ.get("DESKTOP_STARTUP_ID", "")
                launching = session.services.launching
                start = launching.in_disposable if options.dispvm else launching.application
                await start(domain.key, options.APPLICATION, progress=steps, startup_id=startup_id)
            finally:
                await telling.close()
        except QubesManagerError as error:
            await notice.say(str(error), urgent=True)
            return FAILED
        return DONE

    return run(options, job)


class _Steps(Progress):
    """Steps that were not said yet."""

    def __init__(self) -> None:
        self.queue: asyncio.Queue[str] = asyncio.Queue()

    def step(self, text: str, total: int = 0) -> None:
        self.queue.put_nowait(text)


async def _show_steps(notice: Notice, steps: _Steps) -> None:
    while True:
        await notice.say(await steps.queue.get())
