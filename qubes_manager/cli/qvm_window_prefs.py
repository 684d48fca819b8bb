"""qvm-window-prefs: the options of domains' windows, for all domains or for one."""

from argparse import Namespace
from collections.abc import Sequence

from qubes_manager.cli.command import Session, report, run
from qubes_manager.cli.options import DONE, add_property_options, check_property_options, new_parser
from qubes_manager.core.gui_options import GUI_OPTIONS, find_option
from qubes_manager.services.gui.settings import GuiSettings


def main(argv: Sequence[str] | None = None) -> int:
    """Entry point."""
    parser = new_parser("qvm-window-prefs", "Show or set the options of domains' windows.")
    parser.add_argument("VMNAME", help="the domain, or “global” for all domains")
    add_property_options(parser)
    options = parser.parse_args(argv)
    if options.help_properties:
        lines = [f"{o.key:<30} {o.about} (default: {o.default})" for o in GUI_OPTIONS.values()]
        return report(options, lambda: print("\n".join(lines)))
    check_property_options(parser, options)

    async def job(session: Session) -> int:
        domain = None if options.VMNAME == "global" else session.find(options.VMNAME)
        for uri in session.uris:
            session.services.links.link(uri)
        settings = session.services.gui_settings
        if options.VALUE is not None or options.default:
            value = None if options.default else find_option(options.PROPERTY).parse(options.VALUE)
            await settings.put({options.PROPERTY: value}, domain)
        else:
            await _show(settings, domain.key.uuid if domain else "", options)
        return DONE

    return run(options, job)


async def _show(settings: GuiSettings, uuid: str, options: Namespace) -> None:
    values = await settings.load()
    if options.PROPERTY:
        print(values.value(find_option(options.PROPERTY).key, uuid))
        return
    for key in GUI_OPTIONS:
        own = key in (values.domains.get(uuid, {}) if uuid else values.everywhere)
        if own or not options.hide_default:
            print(f"{key:<30} {'-' if own else 'D'}  {values.value(key, uuid)}")
