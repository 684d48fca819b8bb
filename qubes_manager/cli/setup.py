"""qubes-manager setup: template and first domains unattended, or the demo domains."""

import sys
from argparse import Namespace
from collections.abc import Sequence
from dataclasses import replace

from qubes_manager.cli.command import Session, for_each, report, run
from qubes_manager.cli.options import DONE, new_parser
from qubes_manager.cli.progress_line import progress_line
from qubes_manager.core.creation_request import DEFAULT_MEMORY
from qubes_manager.core.domain import Domain
from qubes_manager.core.template_recipe import SUGGESTED_PACKAGES, SUITES, TemplateRecipe
from qubes_manager.services.files.user_folders import UserFolders
from qubes_manager.services.setup.first_setup import SetupPlan


def main(argv: Sequence[str] | None = None) -> int:
    """Entry point of ``qubes-manager setup``."""
    parser = new_parser(
        "qubes-manager setup",
        "Make a template and the domains work, personal and untrusted, or demo domains; or enter the desktop's menu.",
    )
    what = parser.add_mutually_exclusive_group(required=True)
    what.add_argument("--yes", action="store_true", help="build a Debian template and make the three domains from it")
    what.add_argument("--demo", action="store_true", help="make three small demo domains")
    what.add_argument("--remove-demo", action="store_true", help="remove the demo domains, running or not")
    what.add_argument("--desktop", action="store_true", help="put this program into your desktop's menu")
    parser.add_argument("--template", default="", metavar="NAME", help="use this template instead of building one")
    parser.add_argument(
        "--suite", choices=SUITES, help=f"its Debian release (default: one that is there, or {SUITES[0]})"
    )
    parser.add_argument("--packages", metavar="NAMES", help="its further packages, by commas")
    parser.add_argument("--memory", type=int, default=DEFAULT_MEMORY, metavar="MIB", help="memory of each domain")
    parser.add_argument("--start", action="store_true", help="start the three domains")
    options = parser.parse_args(argv)
    if options.desktop:
        return report(options, _enter_menu)
    return run(
        options, lambda session: _set_up(session, options) if options.yes else _demo(session, options), recover=True
    )


def _enter_menu() -> None:
    from qubes_manager.services.setup.desktop_files import install_desktop_files

    print("\n".join(map(str, install_desktop_files(UserFolders.of_environment().data))))


async def _set_up(session: Session, options: Namespace) -> int:
    packages = SUGGESTED_PACKAGES if options.packages is None else tuple(filter(None, options.packages.split(",")))
    suite = options.suite or session.services.setup.usual_suite(session.uris[0])
    plan = SetupPlan(TemplateRecipe(suite, packages=packages), memory=options.memory)
    if options.template:
        plan = replace(plan, recipe=None, template=options.template)
    if notice := session.services.setup.notice(session.uris[0], plan):
        print(notice, file=sys.stderr)
    with progress_line(quiet=bool(options.quiet)) as progress:
        result = await session.services.setup.run(session.uris[0], plan, progress=progress)
    names = [session.store.domains[key].name for key in result.made]
    print(f"template {result.template}; made {', '.join(names)}" if names else "all domains are there already")
    if not options.start:
        return DONE
    lifecycle = session.services.lifecycle

    async def start(domain: Domain) -> None:
        await lifecycle.start(domain.key)
        await session.serve(domain.key)

    return await for_each([session.store.domains[key] for key in result.made], start, options.verbose)


async def _demo(session: Session, options: Namespace) -> int:
    uri = session.uris[0]
    demo = session.services.demo
    if options.demo:
        with progress_line(quiet=bool(options.quiet)) as progress:
            made = await demo.create(uri, progress)
        names = [session.store.domains[key].name for key in made]
        print(f"made {', '.join(names)}" if names else "the demo domains are there already")
    else:
        names = await demo.remove(uri)
        print(f"removed {', '.join(names)}" if names else "there are no demo domains")
    return DONE
