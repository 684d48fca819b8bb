"""The options that all qvm-* commands share. Imports next to nothing: see qvm_ls."""

import argparse
from typing import Any

from qubes_manager import __version__
from qubes_manager.cli.uris import uris_of

DONE, FAILED, INTERRUPTED = 0, 1, 130


class _Parser(argparse.ArgumentParser):
    """What it says of wrong words holds those words: they may be anybody's."""

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        # From Python 3.14 on help has colours, which would be written out like anybody else's.
        self.color = False

    def _print_message(self, message: str, file: Any = None) -> None:
        from qubes_manager.cli.output import HarmlessStream, finish_output

        if file is not None:
            super()._print_message(message, HarmlessStream(file))
            finish_output()


def new_parser(name: str, about: str) -> argparse.ArgumentParser:
    """Return a parser with the options that every command has."""
    parser = _Parser(prog=name, description=about)
    parser.add_argument("--verbose", "-v", action="count", default=0, help="say more; twice, say all")
    parser.add_argument("--quiet", "-q", action="count", default=0, help="say less")
    parser.add_argument("--version", action="version", version=f"%(prog)s {__version__}")
    parser.add_argument(
        "--connect", "-c", metavar="URI", action="append", help="libvirt to talk to; may repeat ($QUBES_MANAGER_URI)"
    )
    return parser


def add_domains(parser: argparse.ArgumentParser) -> None:
    """Add VMNAME…, --all and --exclude."""
    parser.add_argument("--all", action="store_true", dest="all_domains", help="all domains but dom0")
    parser.add_argument("--exclude", action="append", default=[], metavar="VMNAME", help="leave out of --all")
    parser.add_argument("VMNAME", nargs="*", help="domains, by name")


def add_yes(parser: argparse.ArgumentParser) -> None:
    """Add --yes."""
    parser.add_argument(
        "--yes", "-y", "-f", action="store_true", help="do not ask about disposables that have windows open"
    )


def add_property_options(parser: argparse.ArgumentParser) -> None:
    """Add what qvm-prefs and qubes-prefs share: PROPERTY, VALUE, --get, --set, --default and the help."""
    parser.add_argument("--help-properties", action="store_true", help="list all properties, and exit")
    parser.add_argument("--hide-default", action="store_true", help="leave out what is at its default")
    parser.add_argument("--get", "-g", action="store_true", help="show (the default without VALUE)")
    parser.add_argument("--set", "-s", action="store_true", help="set (the default with VALUE)")
    parser.add_argument("--default", "-D", action="store_true", help="set to the default")
    parser.add_argument("PROPERTY", nargs="?", help="the property; without it all are shown")
    parser.add_argument("VALUE", nargs="?", help="what to set it to")


def check_property_options(parser: argparse.ArgumentParser, options: argparse.Namespace) -> None:
    """Exit on options that do not go together."""
    if options.set and options.VALUE is None:
        parser.error("--set needs PROPERTY and VALUE")
    if (options.get or options.default) and options.VALUE is not None:
        parser.error("--get and --default take no VALUE")
    if options.default and options.PROPERTY is None:
        parser.error("--default needs PROPERTY")


def wanted_uris(options: argparse.Namespace) -> list[str]:
    """The connections that --connect or the environment names, else the user's own."""
    return uris_of(options.connect)
