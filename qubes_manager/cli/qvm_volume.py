"""qvm-volume: look after domains' volumes."""

import sys
from argparse import ArgumentParser, Namespace
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from typing import Any

from qubes_manager.cli.command import Session, run
from qubes_manager.cli.options import DONE, FAILED, new_parser
from qubes_manager.cli.progress_line import progress_line
from qubes_manager.cli.tables import print_table
from qubes_manager.core.domain import Domain
from qubes_manager.core.errors import BadInput, Refused
from qubes_manager.core.sizes import parse_size
from qubes_manager.core.values import parse_number
from qubes_manager.services.volumes.domain_volumes import VolumeInfo

Work = Callable[[Session, Namespace], Awaitable[int]]


def main(argv: Sequence[str] | None = None) -> int:
    """Entry point."""
    parser = new_parser("qvm-volume", "Look after domains' volumes.")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    command = _add(commands, _list, "list", "ls", "l", about="list volumes")
    command.add_argument("--pool", "-p", help="only those in this pool")
    command.add_argument("--full", action="store_true", help="more columns")
    command.add_argument("--all", action="store_true", dest="all_domains", help="of all domains (the default)")
    command.add_argument("--exclude", action="append", default=[], metavar="VMNAME", help="leave out")
    command.add_argument("VMNAME", nargs="*", help="of these domains")
    command = _add_on_volume(commands, _info, "info", "i", about="show a volume")
    command.add_argument("property", nargs="?", help="show only this one")
    command = _add_on_volume(commands, _config, "config", "c", "set", "s", about="set a volume's revisions_to_keep")
    command.add_argument("property")
    command.add_argument("value")
    command = _add_on_volume(commands, _resize, "resize", "extend", about="enlarge a volume; it never shrinks")
    command.add_argument("size", help="the new size: bytes, or a number with K, M, G or T")
    command.add_argument("--force", "-f", action="store_true", help="accepted; volumes never shrink")
    command = _add_on_volume(
        commands, _revert, "revert", "rv", "r", about="go to another revision of a template's root"
    )
    command.add_argument("REVISION", nargs="?", type=int, help="default: the one before the current one")
    command = _add_on_volume(commands, _import, "import", about="put an image in place of a volume")
    command.add_argument("PATH", help="a disk image, compressed or not")
    command.add_argument("--unpack-limit", metavar="SIZE", help="what it may have in it (default: free space)")
    command.add_argument("--size", help="enlarge it to this size afterwards")
    command.add_argument("--no-resize", action="store_true", help="accepted; an image keeps its size")
    command = _add_on_volume(commands, _export, "export", about="write a volume to an image file, with its checksum")
    command.add_argument("PATH", help="the file to write; it must not exist")
    _add_on_volume(commands, _verify, "verify", about="compare a volume with its checksum from when it was made")
    command = _add_on_volume(commands, _clear, "clear", about="make a private volume blank")
    command.add_argument("--force", "-f", action="store_true", help="do not ask")
    options = parser.parse_args(argv)
    return run(options, lambda session: options.work(session, options), recover=True)


def _add(commands: Any, work: Work, name: str, *aliases: str, about: str) -> ArgumentParser:
    command: ArgumentParser = commands.add_parser(name, description=about, help=about, aliases=aliases)
    command.set_defaults(work=work)
    return command


def _add_on_volume(commands: Any, work: Work, name: str, *aliases: str, about: str) -> ArgumentParser:
    command = _add(commands, work, name, *aliases, about=about)
    command.add_argument("VOLUME", metavar="VM:VOLUME", help="for example work:private")
    return command


def _named(session: Session, options: Namespace) -> tuple[Domain, str]:
    name, colon, volume = options.VOLUME.partition(":")
    if not colon:
        raise BadInput("volume", options.VOLUME, "use VM:VOLUME, for example work:private")
    return session.find(name), volume


async def _list(session: Session, options: Namespace) -> int:
    domains = [session.find(name) for name in options.VMNAME] or session.domains
    rows = []
    for domain in session.without(domains, options.exclude):
        if domain.is_host:
            continue
        for info in await session.services.volumes.list(domain):
            if options.pool in (None, info.record.pool):
                rows.append(_row(info, full=options.full))
    heads = ("POOL:VOLUME", "VMNAME", "VOLUME_NAME", "REVERT_POSSIBLE")
    print_table(heads + (("SIZE", "USED", "SOURCE") if options.full else ()), rows)
    return DONE


def _row(info: VolumeInfo, *, full: bool) -> tuple[str, ...]:
    row = (
        f"{info.record.pool}:{info.record.name}",
        info.domain,
        info.role.value,
        "Yes" if info.revisions[1:] else "No",
    )
    if not full:
        return row
    sizes = info.sizes
    return (*row, str(sizes.capacity) if sizes else "-", str(sizes.allocation) if sizes else "-", info.source or "-")


async def _info(session: Session, options: Namespace) -> int:
    domain, volume = _named(session, options)
    info = next((i for i in await session.services.volumes.list(domain) if i.role.value == volume), None)
    if info is None:
        session.services.volumes.own(domain, volume)
        return FAILED
    pairs = _properties(domain, info)
    if options.property:
        if options.property not in pairs:
            raise BadInput("property", options.property, f"use one of {', '.join(pairs)}")
        print(pairs[options.property])
        return DONE
    print("\n".join(f"{name:20}{value}" for name, value in pairs.items()))
    if info.revisions:
        print("Available revisions (for revert):")
        print("\n".join(f"  {number}" for number in info.revisions))
    return DONE


def _properties(domain: Domain, info: VolumeInfo) -> dict[str, str]:
    record, sizes = info.record, info.sizes
    own = not info.source
    return {
        "pool": record.pool,
        "vid": record.name,
        "rw": str(own and info.role.value in ("root", "private")),
        "source": info.source,
        "save_on_stop": str(own),
        "snap_on_start": str(not own),
        "size": str(sizes.capacity) if sizes else "",
        "usage": str(sizes.allocation) if sizes else "",
        "revision": str(record.revision or ""),
        "revisions_to_keep": str(domain.config.keep_revisions) if own and record.revision else "0",
        "sha256": record.digest,
        "verified": record.verified,
    }


async def _config(session: Session, options: Namespace) -> int:
    domain, volume = _named(session, options)
    session.services.volumes.own(domain, volume)
    if options.property != "revisions_to_keep" or volume != "root":
        raise BadInput("property", options.property, "only revisions_to_keep of a template's root can be set")
    await session.services.volumes.keep(domain.key, parse_number(options.value, "revisions_to_keep", 1, 100))
    return DONE


async def _resize(session: Session, options: Namespace) -> int:
    domain, volume = _named(session, options)
    await session.services.volumes.resize(domain.key, volume, parse_size(options.size))
    return DONE


async def _revert(session: Session, options: Namespace) -> int:
    domain, volume = _named(session, options)
    record = session.services.volumes.own(domain, volume)
    if not record.revision:
        raise Refused(f"{options.VOLUME} has no revisions; a template's root has")
    revision = await session.services.roots.revert(domain.key, options.REVISION)
    print(f"revision {revision} of {options.VOLUME} is current now", file=sys.stderr)
    return DONE


async def _import(session: Session, options: Namespace) -> int:
    domain, volume = _named(session, options)
    limit = parse_size(options.unpack_limit, "unpack limit") if options.unpack_limit else 0
    with progress_line(quiet=bool(options.quiet)) as progress:
        await session.services.volumes.import_image(
            domain.key, volume, Path(options.PATH), limit=limit, progress=progress
        )
    if options.size:
        await session.services.volumes.resize(domain.key, volume, parse_size(options.size))
    return DONE


async def _export(session: Session, options: Namespace) -> int:
    domain, volume = _named(session, options)
    with progress_line(quiet=bool(options.quiet)) as progress:
        digest = await session.services.volumes.export(domain.key, volume, Path(options.PATH), progress=progress)
    print(f"{digest}  {options.PATH}")
    return DONE


async def _verify(session: Session, options: Namespace) -> int:
    domain, volume = _named(session, options)
    record = session.services.volumes.own(domain, volume)
    with progress_line(quiet=bool(options.quiet)) as progress:
        digest = await session.services.volumes.verify(domain, record, progress=progress)
    print(f"{options.VOLUME} is unchanged: {digest}")
    return DONE


async def _clear(session: Session, options: Namespace) -> int:
    domain, volume = _named(session, options)
    session.services.volumes.own(domain, volume)
    if not options.force:
        print(f"All data in {options.VOLUME} are lost. Clear it? [y/N] ", end="", file=sys.stderr, flush=True)
        if sys.stdin.readline().strip().lower() not in ("y", "yes"):
            print("nothing was changed", file=sys.stderr)
            return FAILED
    await session.services.volumes.clear(domain.key, volume)
    return DONE
