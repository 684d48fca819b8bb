"""qubes-manager device-gone: run when a device that was served has been taken out, or its server has died."""

from collections.abc import Sequence

from qubes_manager.cli.command import Session, run
from qubes_manager.cli.options import DONE, new_parser, wanted_uris
from qubes_manager.core.domain import DomainKey


def main(argv: Sequence[str] | None = None) -> int:
    """Entry point of ``qubes-manager device-gone``."""
    parser = new_parser("qubes-manager device-gone", "Take from a domain a device that was taken out of this machine.")
    parser.add_argument("UUID", help="the domain’s")
    parser.add_argument("SOCKET", help="where the device was served")
    parser.add_argument("--torn", action="store_true", help="the device is there; what served it has ended")
    options = parser.parse_args(argv)

    async def take(session: Session) -> int:
        key = DomainKey(wanted_uris(options)[0], options.UUID)
        if session.store.get(key):
            await session.services.block_devices.gone(key, options.SOCKET, torn=options.torn)
        return DONE

    return run(options, take, watch=True)
