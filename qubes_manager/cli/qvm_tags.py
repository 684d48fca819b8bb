"""qvm-tags: list, add and remove tags."""

from collections.abc import Sequence

from qubes_manager.cli.command import Session, run
from qubes_manager.cli.options import DONE, FAILED, new_parser
from qubes_manager.core.errors import NotFound


def main(argv: Sequence[str] | None = None) -> int:
    """Entry point."""
    parser = new_parser("qvm-tags", "List, add and remove a domain's tags.")
    parser.add_argument("VMNAME", help="the domain")
    commands = parser.add_subparsers(dest="command")
    listing = commands.add_parser("list", aliases=["ls", "l"], help="list tags; with TAG exit 1 when it is not set")
    listing.add_argument("tag", nargs="?", metavar="TAG")
    for name, aliases, nargs in (("add", ["a", "set"], "+"), ("del", ["d", "unset"], "+")):
        commands.add_parser(name, aliases=aliases).add_argument("tags", nargs=nargs, metavar="TAG")
    options = parser.parse_args(argv)

    async def job(session: Session) -> int:
        domain = session.find(options.VMNAME)
        await session.hosts.refresh(domain.key)
        tags = session.fresh(domain).config.tags
        match (options.command or "list")[0]:
            case "l":
                wanted = getattr(options, "tag", None)
                shown = [tag for tag in sorted(tags) if wanted in (None, tag)]
                print("\n".join(shown)) if shown else None
                return FAILED if wanted and not shown else DONE
            case "a" | "s":
                await session.services.properties.change_tags(domain.key, options.tags)
            case _:
                if missing := set(options.tags) - tags:
                    raise NotFound(f"“{domain.name}” has no tag {', '.join(sorted(missing))}")
                await session.services.properties.change_tags(domain.key, (), options.tags)
        return DONE

    return run(options, job, details=False)
