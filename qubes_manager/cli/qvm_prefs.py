"""qvm-prefs: show and set a domain's properties."""

from collections.abc import Sequence

from qubes_manager.cli.command import Session, report, run
from qubes_manager.cli.options import DONE, add_property_options, check_property_options, new_parser
from qubes_manager.cli.tables import print_table
from qubes_manager.core.errors import Refused
from qubes_manager.services.domains.property_table import PROPERTIES, Property, find_property


def main(argv: Sequence[str] | None = None) -> int:
    """Entry point."""
    parser = new_parser("qvm-prefs", "Show and set a domain's properties.")
    parser.add_argument("VMNAME", nargs="?", help="the domain")
    add_property_options(parser)
    parser.add_argument("--force", action="store_true", help="“netvm none” takes all of several interfaces away")
    options = parser.parse_args(argv)
    if options.help_properties:
        rows = [(p.name, "yes" if p.write else "no", p.about) for p in PROPERTIES.values()]
        return report(options, lambda: print_table(("PROPERTY", "SET", ""), rows))
    if options.VMNAME is None:
        parser.error("name a domain")
    check_property_options(parser, options)

    async def job(session: Session) -> int:
        domain = session.find(options.VMNAME)
        if not domain.is_host:
            domain = await session.services.properties.stored(domain.key)

        def shown(prop: Property) -> str:
            value = prop.read(domain, domain.config)
            return session.services.defaults.get(prop.of_all) if prop.of_all and value == prop.default else value

        if options.PROPERTY is None:
            rows = []
            for prop in PROPERTIES.values():
                is_default = prop.read(domain, domain.config) == prop.default
                if not (is_default and options.hide_default):
                    rows.append((prop.name, "D" if is_default else "-", shown(prop)))
            print_table(rows[0], rows[1:])
            return DONE
        prop = find_property(options.PROPERTY)
        if options.VALUE is None and not options.default:
            print(shown(prop))
            return DONE
        if prop.write is None:
            raise Refused(f"{prop.name} can only be read")
        if options.default and prop.default is None:
            raise Refused(f"{prop.name} has no default")
        wanted = prop.default if options.default else options.VALUE
        write = (prop.force if options.force else None) or prop.write
        await write(session.services.properties, domain.key, wanted or "")
        return DONE

    return run(options, job, details=True)
