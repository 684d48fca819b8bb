"""qvm-start-gui: show the windows of running domains on this screen."""

from collections.abc import Sequence

from qubes_manager.cli.command import Session, chosen, for_each, run
from qubes_manager.cli.options import add_domains, new_parser
from qubes_manager.core.domain import Domain
from qubes_manager.core.gui_messages import Show


def main(argv: Sequence[str] | None = None) -> int:
    """Entry point."""
    parser = new_parser("qvm-start-gui", "Show the windows of running domains on this screen.")
    parser.add_argument("--take-over", action="store_true", help="take them from another screen of yours")
    add_domains(parser)
    options = parser.parse_args(argv)

    async def job(session: Session) -> int:
        async def show(domain: Domain) -> None:
            link = session.services.links.link(domain.key.connection)
            await link.ensure()
            await link.ask(Show(domain.key.uuid, options.take_over))

        domains = chosen(parser, options, session)
        if options.all_domains:
            domains = [domain for domain in domains if domain.has_gui]
        return await for_each(domains, show, options.verbose)

    return run(options, job)
