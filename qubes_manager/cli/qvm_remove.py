"""qvm-remove: remove domains with all that is theirs."""

import sys
from collections.abc import Sequence

from qubes_manager.cli.asking import agreed
from qubes_manager.cli.command import Session, chosen, for_each, run
from qubes_manager.cli.options import FAILED, add_domains, new_parser
from qubes_manager.core.domain import Domain
from qubes_manager.services.domains.removal import Removal, in_removal_order, refuse_removal


def main(argv: Sequence[str] | None = None) -> int:
    """Entry point."""
    parser = new_parser("qvm-remove", "Remove domains, with the volumes that were made for them.")
    add_domains(parser)
    parser.add_argument("--force", "-f", action="store_true", help="do not ask")
    options = parser.parse_args(argv)

    async def job(session: Session) -> int:
        domains = chosen(parser, options, session)
        for domain in domains:
            stay = [d for d in session.store.of_host(domain.key.connection) if d not in domains]
            refuse_removal(domain, stay)
        removal = session.services.removal
        if not options.force and not await _agreed(removal, domains):
            return FAILED

        async def act(domain: Domain) -> None:
            await removal.remove(domain.key)

        return max([await for_each([domain], act, options.verbose) for domain in in_removal_order(domains)])

    return run(options, job, recover=True)


async def _agreed(removal: Removal, domains: Sequence[Domain]) -> bool:
    going = {domain.key for domain in domains}
    for domain in domains:
        print(f"Delete “{domain.name}”? {await removal.describe_loss(domain, going)}", file=sys.stderr)
    if agreed("This cannot be undone. Delete?"):
        return True
    print("nothing was removed", file=sys.stderr)
    return False
