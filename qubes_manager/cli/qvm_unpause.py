"""qvm-unpause: let paused domains go on."""

from collections.abc import Sequence

from qubes_manager.cli.command import Session, chosen_in, for_each, run
from qubes_manager.cli.options import add_domains, new_parser
from qubes_manager.core.domain import Domain, DomainState
from qubes_manager.core.errors import Refused

_PAUSED = (DomainState.PAUSED, DomainState.SUSPENDED)


def main(argv: Sequence[str] | None = None) -> int:
    """Entry point."""
    parser = new_parser("qvm-unpause", "Let paused domains go on.")
    add_domains(parser)
    options = parser.parse_args(argv)

    async def job(session: Session) -> int:
        async def act(domain: Domain) -> None:
            if domain.state not in _PAUSED:
                raise Refused(f"“{domain.name}” is not paused")
            await session.services.lifecycle.start(domain.key)

        return await for_each(chosen_in(_PAUSED, parser, options, session), act, options.verbose)

    return run(options, job, details=False)
