"""qubes-manager gui: shows the windows of a connection's domains. Started by the others when it is needed."""

import asyncio
import logging
import signal
from collections.abc import Sequence
from logging.handlers import RotatingFileHandler

from qubes_manager.cli.options import DONE, new_parser, wanted_uris
from qubes_manager.services.assembly import Services
from qubes_manager.services.gui.service import GRACE, GuiService

_LOG_BYTES = 1 << 20


def main(argv: Sequence[str] | None = None) -> int:
    """Entry point of ``qubes-manager gui``."""
    parser = new_parser("qubes-manager gui", "Show the windows of all running domains of a connection.")
    parser.add_argument("--grace", type=float, default=GRACE, metavar="SECONDS", help="stay so long without work")
    options = parser.parse_args(argv)
    services = Services.connecting(watch=True)
    path = services.log_paths.gui_service
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    file = RotatingFileHandler(path, maxBytes=_LOG_BYTES, backupCount=1, encoding="utf-8")
    file.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(name)s: %(message)s"))
    logging.basicConfig(level=logging.DEBUG if options.verbose else logging.INFO, handlers=[file])
    asyncio.run(_serve(services.gui_service(wanted_uris(options)[0], options.grace)))
    return DONE


async def _serve(service: GuiService) -> None:
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, service.stop)
    await service.run()
