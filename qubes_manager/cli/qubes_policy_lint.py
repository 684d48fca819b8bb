"""qubes-policy-lint: what is wrong with policy files, each by itself."""

import sys
from collections.abc import Sequence
from pathlib import Path

from qubes_manager.cli.command import report
from qubes_manager.cli.options import DONE, FAILED, new_parser
from qubes_manager.core.policy.lint import lint
from qubes_manager.services.crossing.policy_files import MAX_FILE


def main(argv: Sequence[str] | None = None) -> int:
    """Entry point."""
    parser = new_parser("qubes-policy-lint", "Say what is wrong with policy files; what they include is not looked at.")
    parser.add_argument("-s", "--show-line", action="store_true", help="print the line that is wrong too")
    parser.add_argument(
        "-i", "--include-service", action="store_true", help="the files are such as !include-service takes in"
    )
    parser.add_argument("FILE", nargs="+", help="a file; - is standard input")
    options = parser.parse_args(argv)

    def work() -> int:
        lines = [
            line for name in options.FILE for line in _complaints(name, options.include_service, options.show_line)
        ]
        for line in lines:
            print(line)
        return FAILED if lines else DONE

    return report(options, work)


def _complaints(name: str, of_service: bool, show_line: bool) -> list[str]:
    try:
        data = _read(name)
        if len(data) > MAX_FILE:
            return [f"{name}:0: error: the file is too large: at most {MAX_FILE:,} bytes are read"]
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        return [f"{name}:0: error: this is no text in UTF-8: byte {error.start} is no character"]
    except OSError as error:
        return [f"{name}:0: error: the file cannot be read: {error.strerror}"]
    faults = lint(text, name, of_service=of_service)
    return [f"{name}:{f.line}: error: {f.reason}{f': {f.text}' if show_line else ''}" for f in faults]


def _read(name: str) -> bytes:
    if name == "-":
        return sys.stdin.buffer.read(MAX_FILE + 1)
    with Path(name).open("rb") as file:
        return file.read(MAX_FILE + 1)
