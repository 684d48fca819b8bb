"""qubes-prefs: what new domains get when nothing else is said."""

from collections.abc import Sequence

from qubes_manager.cli.command import report
from qubes_manager.cli.options import DONE, add_property_options, check_property_options, new_parser
from qubes_manager.cli.tables import print_table
from qubes_manager.services.assembly import Services
from qubes_manager.services.files.global_defaults import GLOBAL_PROPERTIES, find_global


def main(argv: Sequence[str] | None = None) -> int:
    """Entry point."""
    parser = new_parser("qubes-prefs", "Show and set the properties that belong to no domain.")
    add_property_options(parser)
    options = parser.parse_args(argv)
    if options.help_properties:
        about = [(p.name, p.default, p.about) for p in GLOBAL_PROPERTIES.values()]
        return report(options, lambda: print_table(("PROPERTY", "DEFAULT", ""), about))
    check_property_options(parser, options)
    defaults = Services.connecting(watch=False).defaults

    def work() -> int:
        if options.PROPERTY is None:
            rows = [(p.name, defaults.get(p.name)) for p in GLOBAL_PROPERTIES.values()]
            found = [(n, "D" if v == find_global(n).default else "-", v) for n, v in rows]
            print("\n".join(f"{n:18}{mark:3}{v}" for n, mark, v in found if not (options.hide_default and mark == "D")))
        elif options.VALUE is None and not options.default:
            print(defaults.get(options.PROPERTY))
        else:
            defaults.set(options.PROPERTY, None if options.default else options.VALUE)
        return DONE

    return report(options, work)
