"""qvm-block: list, attach and detach block devices and disk images."""

import sys
from argparse import Namespace
from collections.abc import Sequence

from qubes_manager.cli.command import Session, run
from qubes_manager.cli.options import DONE, new_parser
from qubes_manager.cli.tables import print_table
from qubes_manager.core.devices import DiskRequest, cd_drive, cd_drives
from qubes_manager.core.domain import Domain
from qubes_manager.core.errors import BadInput, NotFound
from qubes_manager.core.names import HOST_NAME
from qubes_manager.services.devices.block_devices import OfferedDevice

# Names that say that there is more in a file than its bytes.
_OTHER_IMAGES = (".qcow2", ".vmdk", ".vdi", ".vhdx", ".qed")


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
    attach.add_argument(
        "--option",
        "-o",
        action="append",
        default=[],
        metavar="NAME=VALUE",
        help="bus, frontend-dev, serial, format (raw, unless it is named, or qcow2)",
    )
    attach.add_argument("--ro", action="store_true", help="read-only")
    attach.add_argument("--persistent", "-p", action="store_true", help="for later starts too")
    detach = commands.add_parser("detach", aliases=["dt", "d"], help="detach a device")
    detach.add_argument("VMNAME")
    detach.add_argument("DEVICE", nargs="?", metavar="BACKEND:DEVICE_ID", help="without it all hot-plugged ones")
    insert = commands.add_parser("insert", aliases=["i"], help="put a disc into a CD-ROM drive, for later starts too")
    insert.add_argument("VMNAME")
    insert.add_argument("DEVICE", metavar="BACKEND:DEVICE_ID", help="dom0:sr0, or dom0:/path/of/an/image.iso")
    eject = commands.add_parser("eject", aliases=["e"], help="take the disc out of a CD-ROM drive")
    eject.add_argument("VMNAME")
    for command in (insert, eject):
        command.add_argument("--drive", default="", metavar="TARGET", help="which of several drives: sda, sdb, …")
    options = parser.parse_args(argv)
    actions = {"l": _list, "a": _attach, "d": _detach, "i": _insert, "e": _eject}
    action = actions[(options.command or "list")[0]]

    async def job(session: Session) -> int:
        return await action(session, options)

    return run(options, job, watch=action is _detach)


async def _list(session: Session, options: Namespace) -> int:
    wanted = {session.find(name).name for name in getattr(options, "VMNAMES", ())}
    left_out = {session.find(name).name for name in getattr(options, "exclude", ())}
    rows = []
    for uri in session.uris:
        for offered in await session.services.devices.offered(uri):
            users = {domain.name for domain, _disk in offered.holders}
            if (wanted and not users & wanted) or users & left_out:
                continue
            rows.append((f"{HOST_NAME}:{_ident(offered)}", offered.device.description, offered.used_by))
        rows += _drives(session, uri, wanted, left_out)
    if rows:
        print_table(("BACKEND:DEVID", "DESCRIPTION", "USED BY"), rows)
    return DONE


def _drives(session: Session, uri: str, wanted: set[str], left_out: set[str]) -> list[tuple[str, str, str]]:
    """The CD-ROM drives of the domains, with the disc in each."""
    return [
        (f"{domain.name}:{drive.target}", f"CD-ROM drive: {drive.source or 'empty'}", domain.name)
        for domain in sorted(session.store.of_host(uri), key=lambda d: d.name)
        if (not wanted or domain.name in wanted) and domain.name not in left_out
        for drive in cd_drives(domain)
    ]


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
    fields = {"bus": "bus", "frontend-dev": "target", "serial": "serial", "format": "image_format"}
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
    if not request.is_device and request.image_format == "raw" and source.endswith(_OTHER_IMAGES):
        print("It is the bytes of the file (raw); for what is in a qcow2 image say -o format=qcow2", file=sys.stderr)
    return DONE


async def _insert(session: Session, options: Namespace) -> int:
    domain, source = session.find(options.VMNAME), _source(options.DEVICE)
    target = cd_drive(domain, options.drive).target
    await session.services.devices.insert(domain.key, target, source)
    print(f"{source} is in the drive {target} of {options.VMNAME}")
    return DONE


async def _eject(session: Session, options: Namespace) -> int:
    domain = session.find(options.VMNAME)
    target = cd_drive(domain, options.drive).target
    await session.services.devices.eject(domain.key, target)
    print(f"the drive {target} of {options.VMNAME} is empty")
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
