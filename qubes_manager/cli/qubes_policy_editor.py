"""qubes-policy-editor: edit a policy file; nothing is changed before it is whole."""

import os
import shlex
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from qubes_manager.cli.command import complain, report
from qubes_manager.cli.options import DONE, FAILED, new_parser
from qubes_manager.core.errors import BadInput, NotFound, QubesManagerError, Refused
from qubes_manager.core.policy.lint import lint
from qubes_manager.services.assembly import Services
from qubes_manager.services.crossing.policy_files import INCLUDE, NEW, BrokenPolicy, PolicyFiles, PolicyText


def main(argv: Sequence[str] | None = None) -> int:
    """Entry point."""
    parser = new_parser("qubes-policy-editor", "Edit a policy file, and put it in its place when nothing is wrong.")
    parser.add_argument(
        "NAME",
        nargs="?",
        default="30-user",
        help="a file without its .policy, or include/FILE; 30-user if none is named. "
        "$VISUAL, $EDITOR or vi edits a copy",
    )
    options = parser.parse_args(argv)
    return report(options, lambda: _edit(options.NAME, Services.connecting(watch=False).policy_files))


def _edit(name: str, files: PolicyFiles) -> int:
    try:
        before = files.read(name)
    except NotFound:
        before = PolicyText("", NEW)
    handle, copy = tempfile.mkstemp(suffix="_" + name.replace("/", "_"), prefix="qubes-policy-")
    path = Path(copy)
    with os.fdopen(handle, "w", encoding="utf-8") as file:
        file.write(before.text)
    while True:
        _run_editor(path)
        try:
            text = path.read_text("utf-8")
            if text == before.text:
                print(f"{name} was not changed", file=sys.stderr)
            else:
                _replace(files, name, text, before.token)
            path.unlink()
            return DONE
        except (QubesManagerError, UnicodeDecodeError) as error:
            _say(error)
        if not _again():
            print(f"nothing was changed; what you wrote is in {path}", file=sys.stderr)
            return FAILED


def _replace(files: PolicyFiles, name: str, text: str, token: str) -> None:
    faults = lint(text, name, of_service=name.startswith(INCLUDE))
    # A file of include/ may be one of either form.
    if faults and not (name.startswith(INCLUDE) and not lint(text, name)):
        raise BrokenPolicy(faults)
    files.replace(name, text, token)


def _say(error: QubesManagerError | UnicodeDecodeError) -> None:
    if isinstance(error, BrokenPolicy):
        for fault in error.faults:
            print(fault, file=sys.stderr)
    else:
        complain(error if isinstance(error, QubesManagerError) else BadInput("the text", "no UTF-8", "write UTF-8"))


def _run_editor(path: Path) -> None:
    words = shlex.split(os.environ.get("VISUAL") or os.environ.get("EDITOR") or "vi")
    try:
        # The user's own editor, on his terminal.
        code = subprocess.run([*words, path], check=False).returncode
    except OSError as error:
        path.unlink(missing_ok=True)
        raise NotFound(f"the editor {words[0]!r} cannot be started: {error.strerror}; set $EDITOR") from error
    if code:
        raise Refused(f"the editor {words[0]!r} ended with {code}; nothing was changed, what it wrote is in {path}")


def _again() -> bool:
    """Whether the user wants to go on editing; no more input is no."""
    while True:
        print("(e)dit again, or (q)uit without a change? ", end="", file=sys.stderr, flush=True)
        line = sys.stdin.readline()
        if not line or line.strip().lower() in ("q", "quit"):
            return False
        if line.strip().lower() in ("e", "edit"):
            return True
