"""qvm-window-prefs: the options of domains' windows, for all domains or for one."""

from argparse import Namespace
from collections.abc import Sequence
from typing import NoReturn

from qubes_manager.cli.command import Session, run
from qubes_manager.cli.options import DONE, add_property_options, check_property_options, new_parser
from qubes_manager.core.errors import BadInput
from qubes_manager.core.gui_options import GUI_OPTIONS, Value
from qubes_manager.core.values import parse_bool, parse_number
from qubes_manager.services.gui.settings import GuiSettings


def main(argv: Sequence[str] | None = None) -> int:
    """Entry point."""
    parser = new_parser("qvm-window-prefs", "Show or set the options of domains' windows.")
    parser.add_argument("VMNAME", help="the domain, or “global” for all domains")
    add_property_options(parser)
    options = parser.parse_args(argv)
    if options.help_properties:
        for option in GUI_OPTIONS.values():
            print(f"{option.key:<30} {option.about} (default: {option.default})")
        return DONE
    check_property_options(parser, options)

    async def job(session: Session) -> int:
        name = "" if options.VMNAME == "global" else session.find(options.VMNAME).name
        for uri in session.uris:
            session.services.links.link(uri)
        settings = session.services.gui_settings
        if options.VALUE is not None or options.default:
            value = None if options.default else _parse(options.PROPERTY, options.VALUE)
            await settings.put({options.PROPERTY: value}, name)
        else:
            await _show(settings, name, options)
        return DONE

    return run(options, job)


async def _show(settings: GuiSettings, name: str, options: Namespace) -> None:
    values = await settings.load()
    if options.PROPERTY:
        if options.PROPERTY not in GUI_OPTIONS:
            _unknown(options.PROPERTY)
        print(values.value(options.PROPERTY, name))
        return
    for key in GUI_OPTIONS:
        own = key in (values.domains.get(name, {}) if name else values.everywhere)
        if own or not options.hide_default:
            print(f"{key:<30} {'-' if own else 'D'}  {values.value(key, name)}")


def _parse(key: str, text: str) -> Value:
    option = GUI_OPTIONS.get(key)
    if option is None:
        _unknown(key)
    if isinstance(option.default, bool):
        return parse_bool(text, key)
    return parse_number(text, key, option.low, option.high)


def _unknown(key: str) -> NoReturn:
    raise BadInput("window option", key[:80], f"use one of {', '.join(GUI_OPTIONS)}")
