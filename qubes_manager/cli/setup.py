"""qubes-manager setup: the demo domains."""

import sys
from collections.abc import Sequence

from qubes_manager.cli.command import Session, run
from qubes_manager.cli.options import DONE, new_parser
from qubes_manager.services.demo import Demo


def main(argv: Sequence[str] | None = None) -> int:
    """Entry point of ``qubes-manager setup``."""
    parser = new_parser("qubes-manager setup", "Make or remove the demo domains: work, personal and untrusted.")
    what = parser.add_mutually_exclusive_group(required=True)
    what.add_argument("--demo", action="store_true", help="make them")
    what.add_argument("--remove-demo", action="store_true", help="remove them, running or not")
    options = parser.parse_args(argv)

    async def job(session: Session) -> int:
        uri = session.uris[0]
        demo = Demo(session.hosts, session.store)
        if options.demo:
            made = await demo.create(uri, lambda step: print(step, file=sys.stderr))
            names = [session.store.domains[key].name for key in made]
            print(f"made {', '.join(names)}" if names else "the demo domains are there already")
        else:
            names = await demo.remove(uri)
            print(f"removed {', '.join(names)}" if names else "there are no demo domains")
        return DONE

    return run(options, job)
