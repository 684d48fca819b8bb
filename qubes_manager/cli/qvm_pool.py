"""qvm-pool: libvirt's storage pools."""

from argparse import Namespace
from collections.abc import Sequence

from qubes_manager.cli.command import Session, report, run
from qubes_manager.cli.options import DONE, new_parser
from qubes_manager.cli.tables import print_table
from qubes_manager.core.errors import BadInput, NotFound, Refused
from qubes_manager.services.volumes.storage_pools import DRIVERS


def main(argv: Sequence[str] | None = None) -> int:
    """Entry point."""
    parser = new_parser("qvm-pool", "Show, add and remove storage pools.")
    commands = parser.add_subparsers(dest="command", metavar="COMMAND")
    commands.add_parser("list", help="list pools (the default)", aliases=["ls", "l"])
    commands.add_parser("drivers", help="list the kinds of pools that can be used")
    info = commands.add_parser("info", help="show a pool", aliases=["i"])
    info.add_argument("POOL_NAME")
    add = commands.add_parser("add", help="add a pool", aliases=["a"])
    add.add_argument("POOL_NAME")
    add.add_argument("DRIVER")
    add.add_argument("--option", "-o", action="append", default=[], metavar="NAME=VALUE", help="dir_path=FOLDER")
    remove = commands.add_parser("remove", help="forget a pool that is empty; its folder stays", aliases=["r", "rm"])
    remove.add_argument("POOL_NAME", nargs="+")
    change = commands.add_parser("set", help="change a pool's options", aliases=["s"])
    change.add_argument("POOL_NAME")
    change.add_argument("--option", "-o", action="append", default=[], metavar="NAME=VALUE")
    options = parser.parse_args(argv)
    if options.command == "drivers":
        lines = [f"{name:8}{about}" for name, about in DRIVERS.items()]
        return report(options, lambda: print("\n".join(lines)))
    return run(options, lambda session: _do(session, options), details=False)


async def _do(session: Session, options: Namespace) -> int:
    pools = session.services.pools
    uri = session.uris[0]
    match options.command:
        case None | "list" | "ls" | "l":
            rows = [(p.name, p.driver, "yes" if p.active else "no", p.path) for p in await pools.all(uri)]
            print_table(("NAME", "DRIVER", "ACTIVE", "PATH"), rows)
        case "info" | "i":
            pool = next((p for p in await pools.all(uri) if p.name == options.POOL_NAME), None)
            if pool is None:
                raise NotFound(f"there is no storage pool “{options.POOL_NAME}”")
            pairs = {"name": pool.name, "driver": pool.driver, "dir_path": pool.path, "size": pool.capacity}
            pairs |= {"usage": pool.allocation, "available": pool.available, "volumes": pool.volumes}
            print("\n".join(f"{name:12}{value}" for name, value in pairs.items()))
        case "add" | "a":
            await pools.add(uri, options.POOL_NAME, options.DRIVER, _folder(options))
        case "remove" | "r" | "rm":
            for name in options.POOL_NAME:
                await pools.remove(uri, name)
        case _:
            raise Refused("a pool's folder cannot be changed; add another pool, and remove this one")
    return DONE


def _folder(options: Namespace) -> str:
    found = dict(entry.partition("=")[::2] for entry in options.option)
    if set(found) != {"dir_path"} or not found["dir_path"].startswith("/"):
        raise BadInput("option", ", ".join(options.option), "give -o dir_path=FOLDER, from / on")
    return str(found["dir_path"])
