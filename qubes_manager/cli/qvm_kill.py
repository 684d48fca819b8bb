"""qvm-kill: end domains at once."""

from collections.abc import Sequence

from qubes_manager.cli.asking import may_end
from qubes_manager.cli.command import Session, chosen, for_each, run
from qubes_manager.cli.options import FAILED, add_domains, add_yes, new_parser
from qubes_manager.core.domain import Domain, DomainState
from qubes_manager.services.hosts.store import refuse_saved


def main(argv: Sequence[str] | None = None) -> int:
    """Entry point."""
    parser = new_parser("qvm-kill", "End domains at once; what they had not saved is lost.")
    add_domains(parser)
    parser.add_argument(
        "--discard-saved", action="store_true", help="of domains that are saved, discard the state that they go on with"
    )
    add_yes(parser)
    options = parser.parse_args(argv)

    async def job(session: Session) -> int:
        lifecycle = session.services.lifecycle

        async def act(domain: Domain) -> None:
            if domain.state is not DomainState.SAVED:
                await lifecycle.kill(domain.key)
            elif options.discard_saved:
                await lifecycle.discard_saved(domain.key)
            elif not options.all_domains:
                refuse_saved(domain)

        domains = chosen(parser, options, session)
        if not options.yes and not await may_end(domains):
            return FAILED
        return await for_each(domains, act, options.verbose)

    return run(options, job, details=options.discard_saved)
