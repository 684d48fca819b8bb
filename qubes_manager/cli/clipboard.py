"""qubes-manager clipboard: carry text from one domain's clipboard to another's."""

import sys
from collections.abc import Sequence

from qubes_manager.cli.command import Session, run
from qubes_manager.cli.options import DONE, new_parser
from qubes_manager.core.crossing.clipboard import Kind
from qubes_manager.core.crossing.pixels import MOST_BYTES
from qubes_manager.core.errors import Refused

_ACTIONS = {
    "copy": "take what is on a domain’s clipboard; of dom0, what comes on standard input",
    "paste": "put it on a domain’s clipboard, and wipe it",
    "wipe": "forget it",
    "status": "say what there is, without the text",
}


def main(argv: Sequence[str] | None = None) -> int:
    """Entry point of ``qubes-manager clipboard``."""
    parser = new_parser("qubes-manager clipboard", "The inter-domain clipboard.")
    parser.add_argument(
        "ACTION", choices=_ACTIONS, help="; ".join(f"{name}: {what}" for name, what in _ACTIONS.items())
    )
    parser.add_argument("VMNAME", nargs="?", help="the domain to copy from, or to paste into")
    options = parser.parse_args(argv)
    if (options.ACTION in ("copy", "paste")) != bool(options.VMNAME):
        parser.error(f"{options.ACTION} goes {'without' if options.VMNAME else 'with'} a domain")

    async def job(session: Session) -> int:
        clipboards = session.services.clipboards
        match options.ACTION:
            case "copy":
                print(await _copy(session, options.VMNAME))
            case "paste":
                domain = session.find(options.VMNAME)
                if domain.is_host:
                    raise Refused("nothing is pasted into the host’s clipboard")
                print(await clipboards.paste(domain.key))
            case "wipe":
                for uri in session.uris:
                    await clipboards.wipe_at(uri)
            case _:
                for uri in session.uris:
                    await _show(session, uri)
        return DONE

    return run(options, job)


async def _copy(session: Session, name: str) -> str:
    domain = session.find(name)
    if not domain.is_host:
        return await session.services.clipboards.copy(domain.key)
    text = sys.stdin.buffer.read(MOST_BYTES + 1).decode("utf-8", "replace")
    return await session.services.clipboards.put(domain.key.connection, text)


async def _show(session: Session, uri: str) -> None:
    status = await session.services.clipboards.read(uri)
    where = f"{uri}: " if len(session.uris) > 1 else ""
    if status.is_empty:
        print(f"{where}empty")
    else:
        what = "a picture, " if status.kind is Kind.IMAGE else ""
        print(f"{where}{what}{status.size:,} bytes from {status.source}, {status.age // 1000} s ago")
