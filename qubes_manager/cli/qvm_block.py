"""qvm-block: list, attach and detach block devices and disk images."""

from argparse import Namespace
from collections.abc import Sequence

from qubes_manager.cli.command import Session, run
from qubes_manager.cli.options import DONE, new_parser
from qubes_manager.core.devices import DiskRequest
from qubes_manager.core.domain import HOST_NAME, Domain
from qubes_manager.core.errors import BadInput, NotFound
from qubes_manager.services.devices.block_devices import OfferedDevice
from qubes_manager.services.domains.listing import align


def main(argv: Sequence[str] | None = None) -> int:
    """Entry point."""
    parser = new_parser("qvm-block", "List, attach and detach block devices and disk images.")
    commands = parser.add_subparsers(dest="command")
    listing = commands.add_parser("list", aliases=["ls", "l"], help="list devices and who has them")
    listing.add_argument("--all", action="store_true", help="all domains (the default)")
    listing.add_argument("--exclude", action="append", default=[], metavar="VMNAME", help="leave out what these have")
    listing.add_argument("VMNAMES", nargs="*", metavar="VMNAME", help="only what these have")
    attach = commands.add_parser("attach", aliases=["at", "a"], help="attach a device or an image file")
    attach.add_argument("VMNAME")
    attach.add_argument("DEVICE", metavar="BACKEND:DEVICE_ID", help="dom0:sdb, or dom0:/path/of/an/image")
    attach.add_argument("--option", "-o", action="append", default=[], metavar="NAME=VALUE", help="bus, frontend-dev")
    attach.add_argument("--ro", action="store_true", help="read-only")
    attach.add_argument("--persistent", "-p", action="store_true", help="for later starts too")
    detach = commands.add_parser("detach", aliases=["dt", "d"], help="detach a device")
    detach.add_argument("VMNAME")
    detach.add_argument("DEVICE", nargs="?", metavar="BACKEND:DEVICE_ID", help="without it all hot-plugged ones")
    options = parser.parse_args(argv)
    action = {"l": _list, "a": _attach, "d": _detach}[(options.command or "list")[0]]

    async def job(session: Session) -> int:
        return await action(session, options)

    return run(options, job, watch=action is _detach)


async def _list(session: Session, options: Namespace) -> int:
    wanted, left_out = set(getattr(options, "VMNAMES", ())), set(getattr(options, "exclude", ()))
    for name in wanted | left_out:
        session.find(name)
    rows = []
    for uri in session.uris:
        for offered in await session.services.devices.offered(uri):
            users = {domain.name for domain, _disk in offered.holders}
            if (wanted and not users & wanted) or users & left_out:
                continue
            rows.append((f"{HOST_NAME}:{_ident(offered)}", offered.device.description, offered.used_by))
    if rows:
        print(align(("BACKEND:DEVID", "DESCRIPTION", "USED BY"), rows))
    return DONE


def _ident(offered: OfferedDevice) -> str:
    return offered.device.path if offered.device.kind == "image" else offered.device.ident


def _source(text: str) -> str:
    """The path that BACKEND:DEVICE_ID means; raises BadInput."""
    backend, colon, ident = text.partition(":")
    if not colon:
        backend, ident = HOST_NAME, text
    if backend != HOST_NAME:
        raise BadInput("backend", backend, f"only {HOST_NAME} offers block devices")
    return ident if ident.startswith("/") else f"/dev/{ident}"


def _options(entries: Sequence[str]) -> dict[str, str]:
    fields = {"bus": "bus", "frontend-dev": "target", "serial": "serial"}
    found = {}
    for entry in entries:
        name, equals, value = entry.partition("=")
        if name == "read-only" and value in ("true", "yes", "True"):
            continue
        if name not in fields or not equals:
            raise BadInput("option", entry, f"use NAME=VALUE with one of {', '.join(fields)}, read-only")
        found[fields[name]] = value
    return found


async def _attach(session: Session, options: Namespace) -> int:
    domain = session.find(options.VMNAME)
    source = _source(options.DEVICE)
    request = DiskRequest(
        source,
        is_device=source.startswith("/dev/"),
        read_only=options.ro or any(entry.startswith("read-only=") for entry in options.option),
        persistent=options.persistent,
        **_options(options.option),
    )
    target = await session.services.devices.attach(domain.key, request)
    print(f"{options.VMNAME} has {source} as {target}")
    return DONE


async def _detach(session: Session, options: Namespace) -> int:
    domain = session.find(options.VMNAME)
    devices = session.services.devices
    for target in _targets(domain, options.DEVICE):
        await devices.detach(domain.key, target)
    return DONE


def _targets(domain: Domain, device: str | None) -> list[str]:
    disks = domain.config.disks
    if device is None:
        return [disk.target for disk in disks if disk.kind == "disk" and disk.bus in ("usb", "scsi")]
    source = _source(device)
    found = [disk.target for disk in disks if source in (disk.source, f"/dev/{disk.target}")]
    if not found:
        raise NotFound(f"“{domain.name}” does not have {device}")
    return found[:1]
