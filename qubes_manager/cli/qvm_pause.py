"""qvm-pause: stop domains' CPUs, or suspend the guests."""

from collections.abc import Sequence

from qubes_manager.cli.command import Session, chosen, for_each, run
from qubes_manager.cli.options import add_domains, new_parser
from qubes_manager.core.domain import Domain


def main(argv: Sequence[str] | None = None) -> int:
    """Entry point."""
    parser = new_parser("qvm-pause", "Stop domains' CPUs; their memory stays.")
    add_domains(parser)
    parser.add_argument("--suspend", "-S", action="store_true", help="ask the guests to suspend to RAM instead")
    options = parser.parse_args(argv)

    async def job(session: Session) -> int:
        lifecycle = session.services.lifecycle

        async def act(domain: Domain) -> None:
            await (lifecycle.suspend(domain.key) if options.suspend else lifecycle.pause(domain.key))

        return await for_each(chosen(parser, options, session), act, options.verbose)

    return run(options, job, details=False)
