"""What all commands have in common."""

import subprocess
import sys

import pytest

from qubes_manager.cli import command
from qubes_manager.cli.command import Session
from qubes_manager.cli.options import new_parser
from qubes_manager.core.domain import DomainKey
from qubes_manager.core.errors import NotFound, QubesManagerError
from qubes_manager.core.settlement import Outcome, Settlement
from tests.cli.conftest import COMMANDS, run

ALL = [
    "qvm-ls qvm-create qvm-remove qvm-run qvm-start qvm-shutdown qvm-kill qvm-pause qvm-unpause qvm-check qvm-block",
    "qvm-tags qvm-features qvm-prefs qvm-clone qvm-volume qvm-pool qvm-template qvm-appmenus qvm-sync-appmenus",
    "qvm-console qvm-window-prefs qubes-prefs qubes-manager",
]
NAMES = " ".join(ALL).split()


@pytest.mark.parametrize("name", NAMES)
def test_every_command_explains_itself(name: str) -> None:
    done = run(name, "--help")
    assert done.returncode == 0
    assert f"usage: {name}" in done.stdout
    assert run(name, "--version").stdout == f"{name} 0.1.0\n"
    assert run(name, "--nonsense").returncode == 2


@pytest.mark.parametrize("name", NAMES[:-1])
def test_no_command_imports_qt(name: str) -> None:
    module = f"qubes_manager.cli.{name.replace('-', '_')}"
    code = (
        f"import sys, {module}; import qubes_manager.cli.domain_list; print([m for m in sys.modules if 'PySide' in m])"
    )
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "[]\n"


@pytest.mark.parametrize(
    ("words", "line"),
    [
        (("qvm-ls", "nobody"), "qvm-ls: no such domain: nobody"),
        (("qvm-ls", "--fields", "size"), "qvm-ls: field: 'size' cannot be used; use some of NAME"),
        (("qvm-ls", "--prefs", "label"), "qvm-ls: prefs: 'label' cannot be used; use NAME=VALUE"),
        (("qvm-start", "nobody"), "qvm-start: no such domain: nobody"),
        (("qvm-prefs", "domain-00000", "memory", "lots"), "qvm-prefs: memory: 'lots' cannot be used; give a whole"),
        (("qvm-prefs", "domain-00000", "uuid", "x"), "qvm-prefs: uuid can only be read"),
        (("qvm-prefs", "domain-00000", "colour"), "qvm-prefs: property: 'colour' cannot be used; use one of"),
        (("qvm-prefs", "dom0", "label", "red"), "qvm-prefs: dom0 is this machine; it has no properties to set"),
        (("qvm-tags", "domain-00000", "add", "a b"), "qvm-tags: tag: 'a b' cannot be used"),
        (("qvm-create", "--label", "red", "x"), "qvm-create: template: '' cannot be used; an AppVM needs"),
        (("qvm-create", "--standalone", "--label", "red", "x"), "qvm-create: image: '' cannot be used; name a disk"),
        (("qvm-create", "--standalone", "--label", "pink", "x"), "qvm-create: label: 'pink' cannot be used; use one"),
        (("qvm-create", "--standalone", "--label", "red", "1x"), "qvm-create: name: '1x' cannot be used; use letters"),
        (("qvm-remove", "-f", "domain-00001"), "qvm-remove: “domain-00001” is running: shut it down first"),
        (("qvm-run", "dom0", "true"), "qvm-run: dom0 is this machine: run the command in a terminal"),
        (("qvm-block", "attach", "domain-00001", "sys-usb:sda"), "qvm-block: backend: 'sys-usb' cannot be used"),
        (("qvm-unpause", "domain-00001"), "qvm-unpause: “domain-00001” is not paused"),
    ],
)
def test_bad_input_gets_one_line_and_code_one(uri: str, words: tuple[str, ...], line: str) -> None:
    name, *rest = words
    done = run(name, "-c", uri, *rest)
    assert done.returncode == 1
    assert done.stderr.startswith(line), done.stderr
    assert done.stderr.count("\n") == 1
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize(
    "words",
    [
        ("qvm-start",),
        ("qvm-start", "--all", "x"),
        ("qvm-start", "--exclude", "x", "y"),
        ("qvm-create", "x"),
        ("qvm-create", "--label", "red"),
        ("qvm-run", "x"),
        ("qvm-run", "--service", "x", "y"),
        ("qvm-prefs",),
        ("qvm-prefs", "x", "--set"),
        ("qvm-features", "x", "--unset"),
        ("qvm-shutdown", "--timeout", "0", "x"),
    ],
)
def test_bad_usage_is_code_two(uri: str, words: tuple[str, ...]) -> None:
    name, *rest = words
    assert run(name, "-c", uri, *rest).returncode == 2


def test_a_host_that_is_not_there_is_one_line() -> None:
    done = run("qvm-ls", "-c", "qemu+unix:///session?socket=/no/such/socket")
    assert done.returncode == 1
    assert "libvirtd is not running there" in done.stderr
    assert done.stderr.count("\n") == 1


def test_a_reader_that_has_enough_is_no_error(uri: str) -> None:
    line = f"{COMMANDS / 'qvm-ls'} -c {uri} | head -n 1; echo ${{PIPESTATUS[0]}}"
    done = subprocess.run(["bash", "-c", line], capture_output=True, text=True, check=False)
    assert "Traceback" not in done.stderr


def settled_run(uri: str, result: int | QubesManagerError) -> tuple[int, list[str]]:
    """Run a command during which a template's run is settled; returns its code and which templates it tidies."""
    tidied: list[str] = []

    async def job(session: Session) -> int:
        async def tidy(key: DomainKey) -> list[str]:
            tidied.append(key.uuid)
            raise NotFound("the domain does not exist any more")

        session.services.roots.tidy = tidy  # type: ignore[method-assign]
        key = DomainKey(uri, "gone")
        for outcome in (Outcome.COMMITTED, Outcome.DROPPED):
            session.services.roots.settled.emit(Settlement(key, "debian", outcome, 2, 2))
        if isinstance(result, QubesManagerError):
            raise result
        return result

    return command.run(new_parser("qvm-x", "").parse_args(["-c", uri]), job), tidied


def test_tidying_never_decides_how_a_command_ends(uri: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert settled_run(uri, 7) == (7, ["gone"])
    assert "“debian” has a new revision 2" in capsys.readouterr().err


def test_a_command_that_fails_says_why_and_does_not_tidy(uri: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert settled_run(uri, NotFound("the real reason")) == (1, [])
    assert "the real reason" in capsys.readouterr().err
