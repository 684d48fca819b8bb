"""qvm-sync-appmenus: read a domain's applications anew, and let the desktop's menu follow."""

import asyncio
from collections.abc import Sequence

from qubes_manager.cli.command import Session, run
from qubes_manager.cli.options import DONE, new_parser
from qubes_manager.core.domain import DomainClass
from qubes_manager.services.applications.menu_keeper import update_menu
from qubes_manager.services.hosts.store import refuse_saved


def main(argv: Sequence[str] | None = None) -> int:
    """Entry point."""
    parser = new_parser(
        "qvm-sync-appmenus", "Read the applications of a template (or of a domain without one), and update the menus."
    )
    parser.add_argument("--regenerate-only", action="store_true", help="ask no guest; only write the menus anew")
    parser.add_argument("VMNAME", help="the domain; one that is halted is started, and shut down afterwards")
    options = parser.parse_args(argv)

    async def job(session: Session) -> int:
        lists = session.services.lists
        await lists.load()
        domain = session.find(options.VMNAME)
        if not options.regenerate_only:
            refuse_saved(domain)
            is_started = await session.services.lifecycle.start(domain.key)
            try:
                found = await lists.refresh(domain.key)
            except BaseException:
                if is_started:
                    # A guest that does not answer may not shut down either.
                    await asyncio.shield(session.services.lifecycle.kill(domain.key))
                raise
            if is_started:
                await session.services.lifecycle.shutdown(domain.key)
            if not options.quiet:
                notice = "; ".join(filter(None, (_counted(len(found)), lists.notice(session.fresh(domain)))))
                print(f"{domain.name}: {notice}")
        users = [
            d
            for d in session.domains
            if d.key == domain.key or (domain.klass is DomainClass.TEMPLATE and lists.source(d) == domain.key.uuid)
        ]
        for user in users:
            if not user.is_host:
                await update_menu(session.services.menus, lists, session.fresh(user))
        return DONE

    return run(options, job, watch=True, recover=True)


def _counted(number: int) -> str:
    return f"{number} application{'' if number == 1 else 's'}"
