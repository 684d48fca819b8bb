"""qvm-shutdown: ask domains to shut down."""

from collections.abc import Sequence

from qubes_manager.cli.asking import may_end
from qubes_manager.cli.command import Session, chosen, for_each, run
from qubes_manager.cli.options import FAILED, add_domains, add_yes, new_parser
from qubes_manager.core.domain import Domain
from qubes_manager.core.errors import Refused
from qubes_manager.services.domains.lifecycle import SHUTDOWN_TIMEOUT, ShutdownTimedOut
from qubes_manager.services.domains.removal import netvm_users


def main(argv: Sequence[str] | None = None) -> int:
    """Entry point."""
    parser = new_parser("qvm-shutdown", "Ask domains to shut down.")
    add_domains(parser)
    parser.add_argument("--wait", action="store_true", help="wait until they have; then kill those that have not")
    parser.add_argument(
        "--timeout", type=float, default=SHUTDOWN_TIMEOUT, metavar="SECONDS", help="how long to wait (default 60)"
    )
    parser.add_argument("--force", action="store_true", help="also where running domains depend on it")
    parser.add_argument("--dry-run", action="store_true", help="only say what would be shut down")
    add_yes(parser)
    options = parser.parse_args(argv)
    if options.timeout <= 0:
        parser.error("--timeout takes a number of seconds above 0")

    async def job(session: Session) -> int:
        lifecycle = session.services.lifecycle
        domains = chosen(parser, options, session)
        if options.all_domains:
            domains = [domain for domain in domains if domain.state.is_active]
        if not (options.yes or options.force or options.dry_run) and not await may_end(domains):
            return FAILED
        going = {domain.name for domain in domains}

        async def act(domain: Domain) -> None:
            if not domain.state.is_active:
                return
            users = [name for name in netvm_users(domain, session.domains) if name not in going]
            if users and not options.force:
                raise Refused(f"“{domain.name}” is the netvm of {', '.join(users)}, which run; use --force")
            if options.dry_run:
                print(domain.name)
            elif not options.wait:
                await lifecycle.request_shutdown(domain.key)
            else:
                try:
                    await lifecycle.shutdown(domain.key, options.timeout)
                except ShutdownTimedOut:
                    await lifecycle.kill(domain.key)

        return await for_each(domains, act, options.verbose)

    return run(options, job, watch=options.wait)
