"""qubes-manager device-gone: run by what serves a device when that has been taken out; nobody types it."""

from collections.abc import Sequence

from qubes_manager.cli.command import Session, run
from qubes_manager.cli.options import DONE, new_parser, wanted_uris
from qubes_manager.core.domain import DomainKey


def main(argv: Sequence[str] | None = None) -> int:
    """Entry point of ``qubes-manager device-gone``."""
    parser = new_parser("qubes-manager device-gone", "Take from a domain a device that was taken out of this machine.")
    parser.add_argument("UUID", help="the domain’s")
    parser.add_argument("SOCKET", help="where the device was served")
    options = parser.parse_args(argv)

    async def take(session: Session) -> int:
        key = DomainKey(wanted_uris(options)[0], options.UUID)
        if session.store.get(key):
            await session.services.block_devices.gone(key, options.SOCKET)
        return DONE

    return run(options, take, watch=True)
