"""qvm-console: a running domain's screen, or its serial console, in a window."""

from collections.abc import Sequence

from qubes_manager.cli.command import Session, run
from qubes_manager.cli.options import DONE, new_parser
from qubes_manager.core.errors import Refused
from qubes_manager.core.gui_messages import ConsoleKind, OpenConsole


def main(argv: Sequence[str] | None = None) -> int:
    """Entry point."""
    parser = new_parser("qvm-console", "Open a running domain's screen, or its serial console, in a window.")
    parser.add_argument("--serial", action="store_true", help="the serial console, in a terminal")
    parser.add_argument(
        "--take-over", action="store_true", help="with --serial: close the console that another screen of yours has"
    )
    parser.add_argument("VMNAME", help="the domain")
    options = parser.parse_args(argv)

    async def job(session: Session) -> int:
        domain = session.find(options.VMNAME)
        if domain.is_host or not domain.state.is_active:
            raise Refused(f"“{domain.name}” is not running: it has no console now")
        link = session.services.links.link(domain.key.connection)
        await link.ensure()
        kind = ConsoleKind.SERIAL if options.serial else ConsoleKind.SCREEN
        await link.ask(OpenConsole(domain.key.uuid, kind, options.take_over))
        return DONE

    return run(options, job, details=False)
