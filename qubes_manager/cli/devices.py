"""What qvm-device, qvm-block, qvm-usb and qvm-pci have in common."""

import argparse
import sys
from argparse import Namespace
from collections.abc import Awaitable, Callable, Sequence
from typing import TYPE_CHECKING

from qubes_manager.cli.command import Session, complain, run
from qubes_manager.cli.options import DONE, FAILED, new_parser
from qubes_manager.cli.tables import print_table
from qubes_manager.core.devices.assignment import Assignment, Mode, parse_options
from qubes_manager.core.devices.device import Device
from qubes_manager.core.devices.identity import ANY, DeviceClass, DeviceName, parse_device_name
from qubes_manager.core.domain import Domain, DomainKey
from qubes_manager.core.errors import BadInput, NotFound, QubesManagerError
from qubes_manager.core.names import HOST_NAME
from qubes_manager.services.devices.devices import assignment_of
from qubes_manager.services.devices.kind import Held, Offered

if TYPE_CHECKING:
    Actions = argparse._SubParsersAction[argparse.ArgumentParser]
Action = Callable[[Session, Namespace, DeviceClass], Awaitable[int]]
_NO_DEVICE = "without it all of the class"
_FORM = "BACKEND:PORT[:DEVICE_ID]"


def add_actions(parser: argparse.ArgumentParser, klass: DeviceClass | None) -> "Actions":
    """Add the actions that all classes have; without one the devices are listed."""
    actions = parser.add_subparsers(dest="action")

    def add(name: str, also: str, about: str, action: Action, *, domain: bool = True) -> argparse.ArgumentParser:
        made = actions.add_parser(name, aliases=also.split(), help=about)
        made.set_defaults(act=action)
        if domain:
            made.add_argument("VMNAME")
        return made

    listing = add("list", "ls l", "list devices and who has them", _list, domain=False)
    _add_list_options(listing, klass)
    attach = add("attach", "at a", "give a device to a domain that runs", _attach)
    attach.add_argument("DEVICE", metavar=_FORM, help="as it is listed: dom0:sdb")
    _add_options(attach)
    attach.add_argument("--persistent", "-p", action="store_true", help="and require it at each start")
    detach = add("detach", "dt d", "take a device from a domain", _detach)
    detach.add_argument("DEVICE", nargs="?", metavar=_FORM, help=_NO_DEVICE)
    detach.add_argument("--force", action="store_true", help="though the domain uses it: what is not written is lost")
    assign = add("assign", "s", "let a domain have a device whenever it can", _assign)
    assign.add_argument("DEVICE", metavar=_FORM, help="one of PORT and DEVICE_ID may be *")
    _add_options(assign)
    how = assign.add_mutually_exclusive_group()
    how.add_argument("--ask", "--ask-to-attach", action="store_true", help="after a question")
    how.add_argument("--required", "-r", action="store_true", help="no start without it")
    _add_by(assign)
    unassign = add("unassign", "u", "let a domain not have a device any more", _unassign)
    unassign.add_argument("DEVICE", nargs="?", metavar=_FORM, help=_NO_DEVICE)
    _add_by(unassign)
    info = add("info", "i", "say what is known of a device", _info, domain=False)
    info.add_argument("DEVICE", nargs="?", metavar=_FORM, help=_NO_DEVICE)
    return actions


def _add_list_options(parser: argparse.ArgumentParser, klass: DeviceClass | None) -> None:
    parser.add_argument("--assignments", "-s", action="store_true", help="what domains are to have, too")
    if klass in (None, DeviceClass.PCI):
        words = ("--with-sbdf", "--resolve-paths")
        parser.add_argument(*words, action="store_true", dest="sbdf", help="PCI devices by their present addresses")
    parser.add_argument("--all", action="store_true", help="all domains (the default)")
    parser.add_argument("--exclude", action="append", default=[], metavar="VMNAME", help="leave out what these have")
    parser.add_argument("VMNAMES", nargs="*", metavar="VMNAME", help="only what these have")


def _add_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--option", "-o", action="append", default=[], metavar="NAME=VALUE", help="may repeat")
    parser.add_argument("--ro", action="store_true", help="read-only (block devices)")


def _add_by(parser: argparse.ArgumentParser) -> None:
    by = parser.add_mutually_exclusive_group()
    by.add_argument("--port", "--only-port", action="store_true", help="whatever is at the port")
    by.add_argument("--device", "--only-device", action="store_true", help="wherever the device is")


def run_action(options: Namespace, klass: DeviceClass) -> int:
    """Do what the user has chosen; lists where nothing is."""
    if not options.action:
        options.action, options.act = "list", _list
        options.assignments, options.VMNAMES, options.exclude = False, [], []
    is_list = options.act in (_list, _info)

    async def act(session: Session) -> int:
        action: Action = options.act
        return await action(session, options, klass)

    # Taking something waits for what libvirt tells of it.
    return run(options, act, watch=not is_list, partial=options.act is _list)


def options_of(options: Namespace) -> dict[str, str]:
    """What --option and --ro say; raises BadInput."""
    found = dict(parse_options(options.option))
    if options.ro:
        found["read-only"] = "True"
    return found


async def _list(session: Session, options: Namespace, klass: DeviceClass) -> int:
    wanted = {session.find(name).key for name in options.VMNAMES}
    left_out = {session.find(name).key for name in options.exclude}
    rows = []
    for uri in session.uris:
        for offered in await session.services.devices.offered(uri, (klass,)):
            users = {holder.domain.key for holder in offered.holders}
            if (wanted and not users & wanted) or users & left_out:
                continue
            rows.append((_written(offered, options), offered.device.description, offered.used_by))
        rows += _drives(session, uri, wanted, left_out) if klass is DeviceClass.BLOCK else []
    if options.assignments:
        for domain in session.domains:
            if (not wanted or domain.key in wanted) and domain.key not in left_out:
                assigned = session.services.devices.assignments(domain)
                rows += [_assigned(domain, one) for one in assigned if one.klass is klass]
    if rows:
        print_table(("BACKEND:DEVID", "DESCRIPTION", "USED BY"), rows)
    return DONE


def _written(offered: Offered, options: Namespace) -> str:
    device = offered.device
    place = device.port if getattr(options, "sbdf", False) or device.klass is not DeviceClass.PCI else device.location
    return f"{HOST_NAME}:{place}"


def _assigned(domain: Domain, assignment: Assignment) -> tuple[str, str, str]:
    options = " ".join(f"{name}={value}" for name, value in assignment.options)
    return assignment.name.text, f"{assignment.mode.value}{f', {options}' if options else ''}", f"for {domain.name}"


def _drives(session: Session, uri: str, wanted: set[DomainKey], left_out: set[DomainKey]) -> list[tuple[str, str, str]]:
    """The CD-ROM drives of the domains, with the disc in each."""
    from qubes_manager.core.devices.block import cd_drives

    return [
        (f"{domain.name}:{drive.target}", f"CD-ROM drive: {drive.source or 'empty'}", domain.name)
        for domain in sorted(session.store.of_host(uri), key=lambda d: d.name)
        if (not wanted or domain.key in wanted) and domain.key not in left_out
        for drive in cd_drives(domain)
    ]


async def _attach(session: Session, options: Namespace, klass: DeviceClass) -> int:
    domain, name = session.find(options.VMNAME), parse_device_name(options.DEVICE)
    chosen = options_of(options)
    devices = session.services.devices
    devices.check(domain.key, klass, chosen)
    device = await devices.find(domain.key.connection, klass, name)
    _warn(session, device)
    if options.persistent and name.is_image:
        place = await session.services.block_devices.attach_image(domain.key, device, chosen, persistent=True)
    else:
        place = await devices.attach(domain.key, device, chosen)
    print(f"{options.VMNAME} has {device.port} as {place}")
    if options.persistent and not name.is_image:
        mode = Mode.REQUIRED if klass in (DeviceClass.BLOCK, DeviceClass.PCI) else Mode.AUTO
        await _assign_by(
            session, domain, device, name, klass, mode, chosen, port=True, ident=bool(device.ident), was_warned=True
        )
    return DONE


def _warn(session: Session, device: Device) -> None:
    for warning in session.services.devices.warnings(device):
        print(warning, file=sys.stderr)


async def _assign_by(
    session: Session,
    domain: Domain,
    device: Device | None,
    name: DeviceName,
    klass: DeviceClass,
    mode: Mode,
    chosen: dict[str, str],
    *,
    port: bool,
    ident: bool,
    was_warned: bool = False,
) -> Assignment:
    made = assignment_of(device, klass, name, mode, chosen.items(), port=port, ident=ident)
    session.services.devices.check(domain.key, klass, chosen)
    if device and not was_warned:
        _warn(session, device)
    await session.services.devices.assign(domain.key, made)
    return made


async def _assign(session: Session, options: Namespace, klass: DeviceClass) -> int:
    domain, name = session.find(options.VMNAME), parse_device_name(options.DEVICE)
    if name.is_image:
        raise BadInput("device", name.port, "an image file is kept for later starts by attach --persistent")
    device = await _present(session, domain, klass, name)
    by_port = not options.device and name.port != ANY
    by_ident = not options.port and name.ident != ANY and bool(device.ident if device else name.ident)
    mode = Mode.ASK if options.ask else Mode.REQUIRED if options.required else Mode.AUTO
    made = await _assign_by(
        session, domain, device, name, klass, mode, options_of(options), port=by_port, ident=by_ident or options.device
    )
    print(f"{options.VMNAME} is to have {made.name.text} ({made.mode.value})")
    if device and domain.state.is_active:
        command = f"qvm-{klass} attach" if klass is not DeviceClass.MIC else f"qvm-device {klass} attach"
        print(f"to give it now: {command} {domain.name} {HOST_NAME}:{device.port}")
    return DONE


async def _present(session: Session, domain: Domain, klass: DeviceClass, name: DeviceName) -> Device | None:
    """The device that a name means, when it is there: what is assigned need not be."""
    try:
        return await session.services.devices.find(domain.key.connection, klass, name)
    except NotFound:
        return None


async def _unassign(session: Session, options: Namespace, klass: DeviceClass) -> int:
    domain = session.find(options.VMNAME)
    name = parse_device_name(options.DEVICE) if options.DEVICE else None
    device = await _present(session, domain, klass, name) if name else None

    def unwanted(one: Assignment) -> bool:
        if one.klass is not klass or (options.port and one.ident != ANY) or (options.device and one.port != ANY):
            return False
        return name is None or (device is not None and one.fits(device)) or _is_meant(one, name)

    for one in await session.services.devices.unassign(domain.key, unwanted):
        print(f"{options.VMNAME} is not to have {one.name.text} any more")
    return DONE


def _is_meant(one: Assignment, name: DeviceName) -> bool:
    return name.port in (ANY, one.port) and name.ident in ("", ANY, one.ident)


async def _detach(session: Session, options: Namespace, klass: DeviceClass) -> int:
    from qubes_manager.cli.progress_line import progress_line

    domain = session.find(options.VMNAME)
    devices = session.services.devices
    name = parse_device_name(options.DEVICE) if options.DEVICE else None
    found = await devices.held(domain.key, klass, name)
    code = DONE
    for held in found if name else filter(_came_by_hand, found):
        try:
            with progress_line(quiet=options.quiet > 0) as progress:
                said = await devices.detach(held, force=options.force, progress=progress)
        except QubesManagerError as error:
            complain(error, options.verbose)
            code = FAILED
        else:
            print(said)
    return code


def _came_by_hand(held: Held) -> bool:
    """Whether it is no disk that the domain is made of: those of other classes all are none."""
    disks = held.holder.domain.config.disks
    return all(disk.target != held.holder.place or disk.bus in ("usb", "scsi") for disk in disks)


async def _info(session: Session, options: Namespace, klass: DeviceClass) -> int:
    name = parse_device_name(options.DEVICE) if options.DEVICE else None
    for uri in session.uris:
        devices = session.services.devices
        offered = await devices.offered(uri, (klass,))
        if name:
            chosen = await devices.find(uri, klass, name)
            offered = [one for one in offered if one.device.port == chosen.port]
            if not offered and name.is_image:
                raise NotFound(f"no domain has the image {name.port}; {HOST_NAME} has no {klass} device of that name")
            offered = offered or [Offered(chosen)]
        for one in offered:
            _print_facts(one)
    return DONE


def _print_facts(offered: Offered) -> None:
    device = offered.device
    facts = {
        "device": f"{HOST_NAME}:{device.port}",
        "location": device.location,
        "device id": device.ident or "(it says nothing of itself)",
        "description": device.description,
        "interfaces": " ".join(device.interfaces),
        "part of": device.parent,
        "used by": offered.used_by,
    }
    print_table(("FACT", "VALUE"), [(fact, value) for fact, value in facts.items() if value])


def main_of(name: str, about: str, klass: DeviceClass, argv: Sequence[str] | None) -> int:
    """The entry point of a command for one class."""
    parser = new_parser(name, about)
    add_actions(parser, klass)
    return run_action(parser.parse_args(argv), klass)
