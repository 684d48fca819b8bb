"""qvm-appmenus: which applications a domain's menu shows, and the menu's files on the desktop."""

import sys
from argparse import Namespace
from collections.abc import Sequence
from pathlib import Path

from qubes_manager.cli.command import Session, chosen, run
from qubes_manager.cli.options import DONE, FAILED, add_domains, new_parser
from qubes_manager.core.domain import Domain
from qubes_manager.core.errors import NotFound
from qubes_manager.services.applications.app_lists import selected
from qubes_manager.services.applications.menu_keeper import update_menu


def main(argv: Sequence[str] | None = None) -> int:
    """Entry point."""
    parser = new_parser("qvm-appmenus", "Show or set which applications domains’ menus have, and write the menus.")
    add_domains(parser)
    what = parser.add_mutually_exclusive_group(required=True)
    what.add_argument("--create", action="store_true", help="write the menu’s files, as --update")
    what.add_argument("--update", action="store_true", help="bring the menu’s files up to date")
    what.add_argument("--remove", action="store_true", help="take the domain out of the desktop’s menu until --update")
    what.add_argument("--get-available", action="store_true", help="list the applications that there are: id, name")
    what.add_argument("--get-whitelist", action="store_true", help="list the ids of those that the menu shows")
    what.add_argument("--set-whitelist", metavar="FILE", help="show those whose ids FILE has, one a line; - is stdin")
    what.add_argument("--set-all", action="store_true", help="show all, also those that come later")
    options = parser.parse_args(argv)

    async def job(session: Session) -> int:
        await session.services.lists.load()
        codes = [await _act(session, domain, options) for domain in chosen(parser, options, session)]
        return max(codes, default=DONE)

    return run(options, job)


async def _act(session: Session, domain: Domain, options: Namespace) -> int:
    lists, menus = session.services.lists, session.services.menus
    applications = lists.of(domain)
    if options.remove:
        await menus.remove(domain.key.uuid)
    elif options.get_available:
        for app in applications:
            print(f"{app.id}\t{app.name}")
    elif options.get_whitelist:
        for app in selected(domain, applications):
            print(app.id)
    else:
        if options.set_whitelist or options.set_all:
            menu = None if options.set_all else _read_ids(options.set_whitelist)
            await session.services.properties.set_menu(domain.key, menu)
        if not applications:
            print(f"{domain.name}: no applications are known yet; qvm-sync-appmenus asks for them", file=sys.stderr)
            return FAILED
        await update_menu(menus, lists, session.fresh(domain))
    return DONE


def _read_ids(name: str) -> list[str]:
    try:
        text = sys.stdin.read() if name == "-" else Path(name).read_text("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise NotFound(f"{name} cannot be read: {error}") from error
    return [line.strip().removesuffix(".desktop") for line in text.splitlines() if line.strip()]
