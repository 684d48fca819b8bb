"""qvm-prefs: show and set a domain's properties."""

from collections.abc import Sequence

from qubes_manager.cli.command import Session, run
from qubes_manager.cli.options import DONE, new_parser
from qubes_manager.core.domain import DomainConfig
from qubes_manager.core.errors import Refused
from qubes_manager.services.listing import align
from qubes_manager.services.properties import Properties
from qubes_manager.services.property_table import PROPERTIES, find_property


def main(argv: Sequence[str] | None = None) -> int:
    """Entry point."""
    parser = new_parser("qvm-prefs", "Show and set a domain's properties.")
    parser.add_argument("--help-properties", action="store_true", help="list all properties, and exit")
    parser.add_argument("--hide-default", action="store_true", help="leave out what is at its default")
    parser.add_argument("--get", "-g", action="store_true", help="show (the default without VALUE)")
    parser.add_argument("--set", "-s", action="store_true", help="set (the default with VALUE)")
    parser.add_argument("--default", "-D", action="store_true", help="set to the default")
    parser.add_argument("VMNAME", nargs="?", help="the domain")
    parser.add_argument("PROPERTY", nargs="?", help="the property; without it all are shown")
    parser.add_argument("VALUE", nargs="?", help="what to set it to")
    options = parser.parse_args(argv)
    if options.help_properties:
        print(
            align(("PROPERTY", "SET", ""), [(p.name, "yes" if p.write else "no", p.about) for p in PROPERTIES.values()])
        )
        return DONE
    if options.VMNAME is None:
        parser.error("name a domain")
    if options.set and options.VALUE is None:
        parser.error("--set needs PROPERTY and VALUE")
    if (options.get or options.default) and options.VALUE is not None:
        parser.error("--get and --default take no VALUE")
    if options.default and options.PROPERTY is None:
        parser.error("--default needs PROPERTY")

    async def job(session: Session) -> int:
        domain = session.find(options.VMNAME)
        if not domain.is_host:
            await session.hosts.refresh(domain.key)
        domain = session.fresh(domain)
        config = domain.config or DomainConfig()
        if options.PROPERTY is None:
            rows = []
            for prop in PROPERTIES.values():
                value = prop.read(domain, config)
                is_default = value == prop.default
                if not (is_default and options.hide_default):
                    rows.append((prop.name, "D" if is_default else "-", value))
            print(align(rows[0], rows[1:]))
            return DONE
        prop = find_property(options.PROPERTY)
        if options.VALUE is None and not options.default:
            print(prop.read(domain, config))
            return DONE
        if prop.write is None:
            raise Refused(f"{prop.name} can only be read")
        if options.default and prop.default is None:
            raise Refused(f"{prop.name} has no default")
        wanted = prop.default if options.default else options.VALUE
        await prop.write(Properties(session.hosts, session.store), domain.key, wanted or "")
        return DONE

    return run(options, job, details=True)
