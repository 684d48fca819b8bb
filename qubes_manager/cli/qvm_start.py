"""qvm-start: start domains."""

from argparse import Namespace
from collections.abc import Sequence

from qubes_manager.cli.command import Session, chosen, for_each, run
from qubes_manager.cli.options import add_domains, new_parser
from qubes_manager.cli.passphrase import ask_passphrase
from qubes_manager.core.devices.block import DiskRequest, cd_drive
from qubes_manager.core.domain import Domain
from qubes_manager.core.errors import Refused
from qubes_manager.services.domains.lifecycle import PassphraseNeeded


def main(argv: Sequence[str] | None = None) -> int:
    """Entry point."""
    parser = new_parser("qvm-start", "Start domains.")
    add_domains(parser)
    parser.add_argument("--skip-if-running", action="store_true", help="a domain that runs is no error")
    drive = parser.add_mutually_exclusive_group()
    drive.add_argument("--drive", metavar="DRIVE", help="a drive for this start: [hd:|cdrom:]BACKEND:FILE-OR-DEVICE")
    drive.add_argument("--hddisk", metavar="DRIVE", help="the same as --drive=hd:DRIVE")
    drive.add_argument("--cdrom", metavar="DRIVE", help="the same as --drive=cdrom:DRIVE")
    drive.add_argument("--install-windows-tools", action="store_true", help="not offered: there are none here")
    options = parser.parse_args(argv)
    if options.install_windows_tools:
        parser.error("--install-windows-tools: there are no such tools for libvirt here")
    medium = _medium(options)

    async def job(session: Session) -> int:
        lifecycle = session.services.lifecycle

        async def act(domain: Domain) -> None:
            if domain.state.is_active:
                if options.skip_if_running:
                    return
                raise Refused(f"“{domain.name}” is running already")
            if medium:
                await session.hosts.refresh(domain.key)
                await _put_in(session, session.fresh(domain), *medium)
            try:
                await lifecycle.start(domain.key)
            except PassphraseNeeded:
                await lifecycle.start(domain.key, ask_passphrase(f"Passphrase of “{domain.name}”"))
            await session.serve(domain.key)

        return await for_each(chosen(parser, options, session), act, options.verbose)

    return run(options, job, recover=True)


def _medium(options: Namespace) -> tuple[str, str] | None:
    """The kind of drive and the path that the options name."""
    kind = "hd" if options.hddisk else "cdrom"
    text = options.drive or options.hddisk or options.cdrom
    if not text:
        return None
    if options.drive and text.startswith(("hd:", "cdrom:")):
        kind, _, text = text.partition(":")
    return kind, text.removeprefix("dom0:")


async def _put_in(session: Session, domain: Domain, kind: str, path: str) -> None:
    devices = session.services.block_devices
    is_device = path.startswith("/dev/")
    if kind == "hd":
        await devices.attach(domain.key, DiskRequest(path, is_device, bus="virtio"))
        return
    await devices.insert(domain.key, cd_drive(domain).target, path)
