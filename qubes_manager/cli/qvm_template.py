"""qvm-template: templates, from Debian's packages or from images."""

import sys
from argparse import Namespace
from collections.abc import Sequence
from pathlib import Path

from qubes_manager.cli.command import Session, run
from qubes_manager.cli.options import DONE, FAILED, new_parser
from qubes_manager.cli.progress_line import progress_line
from qubes_manager.cli.tables import print_table
from qubes_manager.core.creation_request import CreationRequest
from qubes_manager.core.domain import DomainClass
from qubes_manager.core.sizes import format_size, parse_size
from qubes_manager.core.template_recipe import SUGGESTED_PACKAGES, SUITES, TemplateRecipe
from qubes_manager.services.domains.tool_versions import tools_text
from qubes_manager.services.files.checksum_lists import checksum_for


def main(argv: Sequence[str] | None = None) -> int:
    """Entry point."""
    parser = new_parser("qvm-template", "List, build, import and remove templates.")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    commands.add_parser("list", help="list templates and who uses them", aliases=["ls", "l"])
    build = commands.add_parser("build", help="build a template of Debian packages, without root")
    build.add_argument("--suite", default=SUITES[0], choices=SUITES, help=f"Debian release (default {SUITES[0]})")
    build.add_argument(
        "--mirror", default="", metavar="URL", help="where the packages come from (default: Debian's own)"
    )
    build.add_argument(
        "--packages", metavar="NAMES", help=f"further packages, by commas (default {','.join(SUGGESTED_PACKAGES)})"
    )
    build.add_argument("--no-windows", action="store_true", help="leave out what application windows need")
    build.add_argument("--size", default="20G", help="size of the root file system (default 20G)")
    build.add_argument("NAME")
    load = commands.add_parser("import", help="make a template of a disk image, compressed or not")
    load.add_argument("--checksum", metavar="DIGEST", help="SHA-256 or SHA-512 that the image must have")
    load.add_argument("--checksum-file", metavar="FILE", help="take it from a SHA256SUMS or SHA512SUMS file")
    load.add_argument("--cloud-init", action="store_true", help="it is a cloud image: give it a user and an agent")
    load.add_argument("--uefi", action="store_true", help="boot it by UEFI")
    load.add_argument("NAME")
    load.add_argument("IMAGE")
    turn = commands.add_parser("from-standalone", help="turn a halted StandaloneVM into a template")
    turn.add_argument("NAME")
    tools = commands.add_parser("update-tools", help="bring the present guest tools into templates and standalones")
    tools.add_argument("NAME", nargs="+")
    remove = commands.add_parser("remove", help="remove a template that nobody uses", aliases=["rm"])
    remove.add_argument("--force", "-f", action="store_true", help="do not ask")
    remove.add_argument("NAME")
    options = parser.parse_args(argv)
    work = {
        "build": _build,
        "import": _import,
        "from-standalone": _turn,
        "update-tools": _update_tools,
        "remove": _remove,
        "rm": _remove,
    }.get(options.command, _list)
    # A halted domain is shut down again, which is an event.
    watch = options.command == "update-tools"
    return run(options, lambda session: work(session, options), watch=watch, recover=True)


async def _list(session: Session, _options: Namespace) -> int:
    rows = []
    for template in session.domains:
        if template.klass is not DomainClass.TEMPLATE:
            continue
        users = [d.name for d in session.domains if d.config.template_uuid == template.key.uuid]
        root = next((v for v in await session.services.volumes.list(template) if v.role.value == "root"), None)
        size = format_size(root.sizes.allocation) if root and root.sizes else ""
        revision, state, tools = str(template.config.revision), template.state.value, tools_text(template)
        rows.append((template.name, revision, state, size, tools or "-", ", ".join(users) or "-"))
    print_table(("NAME", "REVISION", "STATE", "SIZE", "GUEST TOOLS", "USED BY"), rows)
    return DONE


async def _build(session: Session, options: Namespace) -> int:
    named = SUGGESTED_PACKAGES if options.packages is None else tuple(filter(None, options.packages.split(",")))
    size = parse_size(options.size)
    recipe = TemplateRecipe(options.suite, options.mirror, named, size, windows=not options.no_windows)
    if notice := session.services.templates.notice(recipe):
        print(notice, file=sys.stderr)
    print(f"the tools' own words go to {session.services.log_paths.template_build}", file=sys.stderr)
    with progress_line(quiet=bool(options.quiet)) as progress:
        await session.services.templates.build(session.uris[0], options.NAME, recipe, progress=progress)
    return DONE


async def _import(session: Session, options: Namespace) -> int:
    image = Path(options.IMAGE)
    checksum = options.checksum or ""
    if options.checksum_file:
        checksum = checksum_for(Path(options.checksum_file), image)
    request = CreationRequest(
        options.NAME,
        "black",
        DomainClass.TEMPLATE,
        image=image,
        checksum=checksum,
        seed=options.cloud_init,
        uefi=options.uefi,
    )
    with progress_line(quiet=bool(options.quiet)) as progress:
        await session.services.creation.create(session.uris[0], request, progress=progress)
    return DONE


async def _turn(session: Session, options: Namespace) -> int:
    await session.services.promotion.to_template(session.find(options.NAME).key)
    return DONE


async def _update_tools(session: Session, options: Namespace) -> int:
    domains = [session.find(name) for name in options.NAME]
    if notice := await session.services.guest_tools.notice(domains):
        print(notice, file=sys.stderr)
    for domain in domains:
        with progress_line(quiet=bool(options.quiet)) as progress:
            await session.services.guest_tools.update(domain.key, progress)
    return DONE


async def _remove(session: Session, options: Namespace) -> int:
    removal = session.services.removal
    template = session.find_class(options.NAME, DomainClass.TEMPLATE)
    if not options.force:
        loss = await removal.describe_loss(template)
        print(f"Remove “{template.name}”? {loss} [y/N] ", end="", file=sys.stderr, flush=True)
        if sys.stdin.readline().strip().lower() not in ("y", "yes"):
            print("nothing was removed", file=sys.stderr)
            return FAILED
    await removal.remove(template.key)
    return DONE
