"""qvm-pause: stop domains' CPUs, or suspend the guests."""

from collections.abc import Sequence

from qubes_manager.cli.command import Session, chosen_in, for_each, run
from qubes_manager.cli.options import add_domains, new_parser
from qubes_manager.core.domain import Domain, DomainState
from qubes_manager.core.errors import Refused


def main(argv: Sequence[str] | None = None) -> int:
    """Entry point."""
    parser = new_parser("qvm-pause", "Stop domains' CPUs; their memory stays.")
    add_domains(parser)
    parser.add_argument("--suspend", "-S", action="store_true", help="ask the guests to suspend to RAM instead")
    options = parser.parse_args(argv)

    async def job(session: Session) -> int:
        lifecycle = session.services.lifecycle

        async def act(domain: Domain) -> None:
            if not domain.state.is_active:
                raise Refused(f"“{domain.name}” is not running")
            await (lifecycle.suspend(domain.key) if options.suspend else lifecycle.pause(domain.key))

        domains = chosen_in([DomainState.RUNNING], parser, options, session)
        return await for_each(domains, act, options.verbose)

    return run(options, job, details=False)
