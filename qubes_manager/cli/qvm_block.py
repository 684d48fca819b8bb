"""qvm-block: list, attach and assign block devices and disk images; insert and eject discs."""

from argparse import Namespace
from collections.abc import Sequence

from qubes_manager.cli.command import Session
from qubes_manager.cli.devices import add_actions, run_action
from qubes_manager.cli.options import DONE, new_parser
from qubes_manager.core.devices.block import cd_drive
from qubes_manager.core.devices.identity import DeviceClass, parse_device_name


def main(argv: Sequence[str] | None = None) -> int:
    """Entry point."""
    parser = new_parser("qvm-block", "List, attach and assign block devices and disk images; insert and eject discs.")
    actions = add_actions(parser, DeviceClass.BLOCK)
    insert = actions.add_parser("insert", help="put a disc into a CD-ROM drive, for later starts too")
    insert.set_defaults(act=_insert)
    insert.add_argument("VMNAME")
    insert.add_argument("DEVICE", metavar="BACKEND:PORT", help="dom0:sr0, or dom0:/path/of/an/image.iso")
    eject = actions.add_parser("eject", aliases=["e"], help="take the disc out of a CD-ROM drive")
    eject.set_defaults(act=_eject)
    eject.add_argument("VMNAME")
    for action in (insert, eject):
        action.add_argument("--drive", default="", metavar="TARGET", help="which of several drives: sda, sdb, …")
    return run_action(parser.parse_args(argv), DeviceClass.BLOCK)


async def _insert(session: Session, options: Namespace, _klass: DeviceClass) -> int:
    domain, name = session.find(options.VMNAME), parse_device_name(options.DEVICE)
    source = name.port if name.is_path else f"/dev/{name.port}"
    target = cd_drive(domain, options.drive).target
    await session.services.block_devices.insert(domain.key, target, source)
    print(f"{source} is in the drive {target} of {options.VMNAME}")
    return DONE


async def _eject(session: Session, options: Namespace, _klass: DeviceClass) -> int:
    domain = session.find(options.VMNAME)
    target = cd_drive(domain, options.drive).target
    await session.services.block_devices.eject(domain.key, target)
    print(f"the drive {target} of {options.VMNAME} is empty")
    return DONE
