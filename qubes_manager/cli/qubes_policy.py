"""qubes-policy: list, show, replace and remove policy files."""

import sys
from argparse import Namespace
from collections.abc import Sequence

from qubes_manager.cli.command import report
from qubes_manager.cli.options import DONE, new_parser
from qubes_manager.services.assembly import Services
from qubes_manager.services.crossing.policy_files import INCLUDE, MAX_FILE, PolicyFiles


def main(argv: Sequence[str] | None = None) -> int:
    """Entry point."""
    parser = new_parser("qubes-policy", "List, show, replace and remove policy files.")
    what = parser.add_mutually_exclusive_group()
    for letter, word, about in (
        ("l", "list", "list the files (the default); with include/ those that others take in"),
        ("g", "get", "print a file"),
        ("r", "replace", "let a file say what comes on standard input"),
        ("d", "remove", "remove a file"),
    ):
        what.add_argument(f"-{letter}", f"--{word}", dest="act", action="store_const", const=word, help=about)
    parser.add_argument("NAME", nargs="?", default="", help="a file without its .policy, or include/FILE")
    options = parser.parse_args(argv)
    act = options.act or "list"
    if act == "list" and options.NAME not in ("", INCLUDE, INCLUDE.rstrip("/")):
        parser.error("--list takes no file: name nothing, or include/")
    if act != "list" and not options.NAME:
        parser.error(f"--{act} needs the name of a file")
    return report(options, lambda: _act(act, options, Services.connecting(watch=False).policy_files))


def _act(act: str, options: Namespace, files: PolicyFiles) -> int:
    match act:
        case "list":
            for name in files.names(include=bool(options.NAME)):
                print(name)
        case "get":
            print(files.read(options.NAME).text, end="")
        case "replace":
            # More than a file may have is refused by its size, whatever it says.
            files.replace(options.NAME, sys.stdin.read(MAX_FILE + 1))
        case _:
            files.remove(options.NAME)
    return DONE
