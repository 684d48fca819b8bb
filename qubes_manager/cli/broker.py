"""qubes-manager broker: carries what crosses between a connection's domains. Started by the others."""

import asyncio
from collections.abc import Sequence

from qubes_manager.cli.options import DONE, wanted_uris
from qubes_manager.cli.serving import log_to, serve, serving_parser, stop_running
from qubes_manager.services.assembly import Services
from qubes_manager.services.broker.service import GRACE
from qubes_manager.services.broker_assembly import BrokerParts


def main(argv: Sequence[str] | None = None) -> int:
    """Entry point of ``qubes-manager broker``."""
    parser = serving_parser("qubes-manager broker", "Carry what crosses between the domains of a connection.", GRACE)
    options = parser.parse_args(argv)
    uri = wanted_uris(options)[0]
    services = Services.connecting(watch=True)
    if options.stop:
        return stop_running("the broker", services.broker_links.link(uri).stop())
    log_to(services.log_paths.broker, verbose=options.verbose > 0)
    asyncio.run(serve(BrokerParts(services, uri).program(options.grace)))
    return DONE
