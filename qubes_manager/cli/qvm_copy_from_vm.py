"""qvm-copy-from-vm: copy files of a domain to this machine, or to another domain."""

from collections.abc import Sequence

from qubes_manager.cli.command import Session, run
from qubes_manager.cli.copying import carry, copy_parser
from qubes_manager.core.errors import Refused


def main(argv: Sequence[str] | None = None) -> int:
    """Entry point."""
    parser = copy_parser(
        "qvm-copy-from-vm",
        "Copy files of a domain into ~/QubesIncoming/SOURCE: of this machine, where they are marked as foreign and "
        "never to be run, or of another domain. -v says their SHA-256.",
    )
    parser.add_argument("--to", default="dom0", metavar="TARGET", help="the domain that gets them (default: dom0)")
    parser.add_argument("SOURCE", help="the domain that has them; it is started if need be")
    parser.add_argument("PATH", nargs="+", help="whole paths of files and folders there")
    options = parser.parse_args(argv)
    for path in options.PATH:
        if not path.startswith("/"):
            parser.error(f"“{path}” is no whole path: it begins with “/” (home folders are in /home)")

    async def job(session: Session) -> int:
        source, target = session.find(options.SOURCE), session.find(options.to)
        if source.is_host:
            raise Refused("files of this machine are sent by qvm-copy-to-vm")
        if not target.is_host and target.key.connection != source.key.connection:
            raise Refused(f"“{source.name}” and “{target.name}” are on two connections")
        return await carry(session, options, source, target, options.PATH)

    return run(options, job)
