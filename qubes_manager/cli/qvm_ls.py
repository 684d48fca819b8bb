"""qvm-ls: list domains.

People wait for this one, so it starts to connect before it imports anything else, the parser of its options included.
"""

import gc
import os
import sys
from collections.abc import Sequence
from typing import NoReturn

from qubes_manager.cli.uris import likely_uris, uris_of
from qubes_manager.services.hosts.opening import start_opening


def program() -> NoReturn:
    """The command: as ``main``, but the interpreter does not take apart what the kernel frees at once."""
    os._exit(main())


def main(argv: Sequence[str] | None = None) -> int:
    """List domains; returns the exit code."""
    # A short life with many objects and no cycles: the collector would only look at them again and again.
    gc.disable()
    words = sys.argv[1:] if argv is None else argv
    # Those that turn out not to be wanted are closed with the process.
    openers = start_opening(likely_uris(words))
    from qubes_manager.cli.ls_options import ls_parser

    parser = ls_parser()
    options = parser.parse_args(words)
    if options.VMNAME and (options.all or options.exclude):
        parser.error("--all and --exclude go without names")
    from qubes_manager.cli.domain_list import list_domains, show_help

    if options.help_formats or options.help_columns:
        return show_help(options)
    uris = uris_of(options.connect)
    openers |= start_opening(uri for uri in uris if uri not in openers)
    return list_domains(options, openers)
