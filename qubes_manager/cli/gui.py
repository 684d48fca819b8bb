"""qubes-manager gui: shows the windows of a connection's domains. Started by the others when it is needed."""

import asyncio
from collections.abc import Sequence

from qubes_manager.cli.options import DONE, wanted_uris
from qubes_manager.cli.serving import log_to, serve, serving_parser, stop_running
from qubes_manager.services.assembly import Services
from qubes_manager.services.gui.service import GRACE


def main(argv: Sequence[str] | None = None) -> int:
    """Entry point of ``qubes-manager gui``."""
    parser = serving_parser("qubes-manager gui", "Show the windows of all running domains of a connection.", GRACE)
    options = parser.parse_args(argv)
    uri = wanted_uris(options)[0]
    services = Services.connecting(watch=True)
    if options.stop:
        return stop_running("the gui service of this screen", services.links.link(uri).stop())
    log_to(services.log_paths.gui_service, verbose=options.verbose > 0)
    asyncio.run(serve(services.gui_service(uri, options.grace)))
    return DONE
