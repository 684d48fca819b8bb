"""qvm-features: show and set a domain's features."""

from collections.abc import Sequence

from qubes_manager.cli.command import Session, run
from qubes_manager.cli.options import DONE, FAILED, new_parser
from qubes_manager.cli.tables import print_table


def main(argv: Sequence[str] | None = None) -> int:
    """Entry point."""
    parser = new_parser("qvm-features", "Show and set a domain's features.")
    parser.add_argument("VMNAME", help="the domain")
    parser.add_argument("FEATURE", nargs="?", help="the feature; without it all are shown")
    parser.add_argument("VALUE", nargs="?", help="what to set it to")
    parser.add_argument("--unset", "--default", "--delete", "-D", dest="unset", action="store_true", help="remove it")
    options = parser.parse_args(argv)
    if options.unset and (options.FEATURE is None or options.VALUE is not None):
        parser.error("--unset takes one FEATURE and no VALUE")

    async def job(session: Session) -> int:
        domain = session.find(options.VMNAME)
        await session.hosts.refresh(domain.key)
        features = dict(session.fresh(domain).config.features)
        if options.unset or options.VALUE is not None:
            value = None if options.unset else options.VALUE
            await session.services.properties.set_feature(domain.key, options.FEATURE, value)
        elif options.FEATURE is not None:
            if options.FEATURE not in features:
                return FAILED
            print(features[options.FEATURE])
        elif features:
            head, *rows = sorted(features.items())
            print_table(head, rows)
        return DONE

    return run(options, job, details=False)
