"""qvm-clone: make a domain like another one."""

from collections.abc import Sequence

from qubes_manager.cli.command import Session, run
from qubes_manager.cli.options import DONE, new_parser
from qubes_manager.cli.progress_line import progress_line
from qubes_manager.core.errors import Refused


def main(argv: Sequence[str] | None = None) -> int:
    """Entry point."""
    parser = new_parser("qvm-clone", "Make a domain like a halted one, with a copy of its data.")
    parser.add_argument("--class", "-C", dest="klass", help="the clone's class; it must be that of the original")
    parser.add_argument("--ignore-errors", action="store_true", help="accepted; a clone is whole or not there")
    parser.add_argument("-P", dest="one_pool", metavar="POOL", help="pool of all copied volumes")
    parser.add_argument("--pool", "-p", metavar="VOLUME=POOL", help="pool of the copied volume")
    parser.add_argument("VMNAME", help="what to clone")
    parser.add_argument("NEWVM", help="what to call it")
    options = parser.parse_args(argv)
    pool = options.one_pool or (options.pool or "").partition("=")[2]

    async def job(session: Session) -> int:
        domain = session.find(options.VMNAME)
        if options.klass and domain.klass and options.klass != domain.klass.value:
            raise Refused(f"“{domain.name}” is a {domain.klass}; a clone has the same class")
        with progress_line(quiet=bool(options.quiet)) as progress:
            await session.services.cloning.clone(domain.key, options.NEWVM, pool=pool, progress=progress)
        return DONE

    return run(options, job, recover=True)
