"""qvm-check: do domains exist, and are they as asked?"""

from collections.abc import Callable, Sequence

from qubes_manager.cli.command import Session, chosen, run
from qubes_manager.cli.options import DONE, FAILED, add_domains, new_parser
from qubes_manager.core.domain import Domain, DomainClass, DomainState
from qubes_manager.core.errors import NotFound

_CHECKS: dict[str, Callable[[Domain], bool]] = {
    "running": lambda d: d.state is DomainState.RUNNING,
    "paused": lambda d: d.state is DomainState.PAUSED,
    "saved": lambda d: d.state is DomainState.SAVED,
    "template": lambda d: d.klass is DomainClass.TEMPLATE,
    "networked": lambda d: bool(d.config.netvm),
}


def main(argv: Sequence[str] | None = None) -> int:
    """Entry point."""
    parser = new_parser("qvm-check", "Exit with 0 when every domain exists and matches, with 1 otherwise.")
    add_domains(parser)
    for name in _CHECKS:
        parser.add_argument(f"--{name}", action="store_true", help=f"is it {name}?")
    options = parser.parse_args(argv)
    checks = [check for name, check in _CHECKS.items() if getattr(options, name)]

    async def job(session: Session) -> int:
        code = DONE
        if not options.VMNAME:
            domains = chosen(parser, options, session)
        else:
            domains = []
            for name in options.VMNAME:
                try:
                    domains.append(session.find(name))
                except NotFound as error:
                    code = FAILED
                    if not options.quiet:
                        print(error)
        for domain in domains:
            matches = all(check(domain) for check in checks)
            if not matches and not options.all_domains:
                code = FAILED
            if not options.quiet and (matches or not options.all_domains):
                print(f"{domain.name}: {'yes' if matches else 'no'}")
        return code

    needs_xml = options.template or options.networked
    return run(options, job, details=bool(needs_xml))
