"""The options of qvm-ls."""

from argparse import ArgumentParser

from qubes_manager.cli.options import new_parser

# The states that domains can be chosen by.
STATES = ("running", "paused", "saved", "halted")
_FORMATS = ("simple", "network", "kernel", "full", "prefs", "disk")


def ls_parser() -> ArgumentParser:
    """Return the parser."""
    parser = new_parser("qvm-ls", "List domains.")
    parser.add_argument("VMNAME", nargs="*", help="only these domains")
    parser.add_argument("--all", action="store_true", help="disposables that wait for their use too")
    parser.add_argument("--exclude", action="append", default=[], metavar="VMNAME", help="leave out")
    what = parser.add_mutually_exclusive_group()
    what.add_argument("--format", "-o", choices=_FORMATS, default="simple", help="a set of columns")
    what.add_argument("--fields", "-O", metavar="FIELD,…", help="columns by name")
    what.add_argument("--disk", "-d", dest="format", action="store_const", const="disk", help="the format disk")
    what.add_argument("--network", "-n", dest="format", action="store_const", const="network")
    what.add_argument("--kernel", "-k", dest="format", action="store_const", const="kernel")
    parser.add_argument("--tree", "-t", action="store_true", help="indent by netvm")
    parser.add_argument("--raw-data", action="store_true", help="fields separated by |, without heads")
    parser.add_argument("--raw-list", action="store_true", help="names only")
    parser.add_argument("--help-formats", action="store_true", help="list the formats, and exit")
    parser.add_argument("--help-columns", action="store_true", help="list the columns, and exit")
    for name in ("class", "label", "tags", "exclude-tags", "template-source", "netvm-is", "features", "prefs"):
        parser.add_argument(f"--{name}", nargs="+", default=[], metavar="VALUE", help=f"filter by {name}")
    for name in STATES:
        parser.add_argument(f"--{name}", action="store_true", help=f"domains that are {name}")
    for name, default in (("internal", ""), ("servicevm", "both")):
        parser.add_argument(f"--{name}", choices=["y", "yes", "n", "no", "both"], default=default)
    parser.add_argument("--pending-update", action="store_true", help="domains that have updates to install")
    parser.add_argument("--sort", metavar="COLUMN", default="NAME", help="sort by this column (default NAME)")
    parser.add_argument("--reverse", action="store_true", help="sort the other way round")
    parser.add_argument("--ignore-case", action="store_true", help="sort without regard to case")
    parser.add_argument("--spinner", action="store_true", help="accepted; there is nothing to wait for")
    parser.add_argument("--no-spinner", action="store_true", help="accepted")
    return parser
