"""qvm-prefs: show and set a domain's properties."""

from collections.abc import Sequence

from qubes_manager.cli.command import Session, run
from qubes_manager.cli.options import DONE, add_property_options, check_property_options, new_parser
from qubes_manager.core.errors import Refused
from qubes_manager.services.domains.listing import align
from qubes_manager.services.domains.property_table import PROPERTIES, find_property


def main(argv: Sequence[str] | None = None) -> int:
    """Entry point."""
    parser = new_parser("qvm-prefs", "Show and set a domain's properties.")
    parser.add_argument("VMNAME", nargs="?", help="the domain")
    add_property_options(parser)
    options = parser.parse_args(argv)
    if options.help_properties:
        print(
            align(("PROPERTY", "SET", ""), [(p.name, "yes" if p.write else "no", p.about) for p in PROPERTIES.values()])
        )
        return DONE
    if options.VMNAME is None:
        parser.error("name a domain")
    check_property_options(parser, options)

    async def job(session: Session) -> int:
        domain = session.find(options.VMNAME)
        if not domain.is_host:
            await session.hosts.refresh(domain.key)
        domain = session.fresh(domain)
        if options.PROPERTY is None:
            rows = []
            for prop in PROPERTIES.values():
                value = prop.read(domain, domain.config)
                is_default = value == prop.default
                if not (is_default and options.hide_default):
                    rows.append((prop.name, "D" if is_default else "-", value))
            print(align(rows[0], rows[1:]))
            return DONE
        prop = find_property(options.PROPERTY)
        if options.VALUE is None and not options.default:
            print(prop.read(domain, domain.config))
            return DONE
        if prop.write is None:
            raise Refused(f"{prop.name} can only be read")
        if options.default and prop.default is None:
            raise Refused(f"{prop.name} has no default")
        wanted = prop.default if options.default else options.VALUE
        await prop.write(session.services.properties, domain.key, wanted or "")
        return DONE

    return run(options, job, details=True)
