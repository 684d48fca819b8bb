"""Calling any service: what is asked, whose streams are joined, and which exit code comes out."""

import sys
from pathlib import Path

import pytest

from qubes_manager.guest.command_words import encode_words
from qubes_manager.guest.commands.qrexec_client_vm import main
from tests.guest.commands.test_qvm_run_vm import Streams
from tests.guest.domains import Domain


@pytest.fixture
def work(tmp_path: Path) -> Domain:
    """The domain that serves."""
    return Domain(tmp_path, environment={"SHELL": "/bin/sh"})


@pytest.mark.parametrize(
    ("arguments", "service", "argument", "target"),
    [
        (["work", "my.Service"], "my.Service", "", "work"),
        (["work", "my.Service+a+b"], "my.Service", "a+b", "work"),
        (["", "my.Service"], "my.Service", "", "@default"),
        (["$dispvm:base", "my.Service"], "my.Service", "", "@dispvm:base"),
        (["--buffer-size=65536", "-tT", "--no-filter-escape-chars-stderr", "@adminvm", "a.B"], "a.B", "", "@adminvm"),
        (["work", "my.Service", "/bin/cat", "-n", "--", "-t"], "my.Service", "", "work"),
    ],
)
def test_a_service_is_asked_for_as_in_qubes(
    arguments: list[str], service: str, argument: str, target: str, work: Domain, capsys: pytest.CaptureFixture[str]
) -> None:
    work.refuses = "the policy does not allow it"
    assert main(arguments, work.call) == 126
    [asked] = work.asked
    assert (asked.service, asked.argument, asked.target) == (service, argument, target)
    assert capsys.readouterr().err == "qrexec-client-vm: not allowed: the policy does not allow it\n"


def test_the_services_streams_and_code_are_the_commands_own(
    work: Domain, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    work.waits = "“work” is being started\n"
    streams = Streams(monkeypatch, b"in")
    line = encode_words(["sh", "-c", "cat; echo careful >&2; exit 5"])
    assert main(["work", f"qubes.VMExec+{line}"], work.call) == 5
    assert streams.said() == b"in"
    assert capfd.readouterr().err == "“work” is being started\ncareful\n"


def test_a_local_program_has_the_services_streams_and_its_code_counts(
    work: Domain, monkeypatch: pytest.MonkeyPatch
) -> None:
    streams = Streams(monkeypatch, b"typed")
    # It talks to the service, finds the streams of the command, and knows who serves.
    script = 'echo "$1"; exec >&-; read answer; cat /dev/fd/$SAVED_FD_0 >/dev/fd/$SAVED_FD_1; ' + (
        'echo " $answer $QREXEC_REMOTE_DOMAIN" >/dev/fd/$SAVED_FD_1; exit 7'
    )
    assert main(["work", "qubes.VMShell", "/bin/sh", "-c", script, "sh", "echo answer"], work.call) == 7
    assert streams.said() == b"typed answer work\n"
    Streams(monkeypatch)
    assert main(["work", "qubes.VMShell", "/bin/sh", "-c", "kill -9 $$"], work.call) == 128 + 9


def test_a_local_program_that_is_not_there_is_said(
    work: Domain, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    Streams(monkeypatch)
    assert main(["work", "qubes.VMShell", "/no/such/program"], work.call) == 1
    assert "/no/such/program: No such file" in capsys.readouterr().err


RED = b"\x1b[31mred"


@pytest.mark.parametrize(
    ("options", "is_terminal", "shown"),
    [
        ([], True, b"red"),
        ([], False, RED),
        (["-t"], False, b"red"),
        (["--no-filter-escape-chars-stdout"], True, RED),
    ],
    ids=range(4),
)
def test_nothing_steers_the_terminal_unless_it_is_wanted(
    options: list[str], is_terminal: bool, shown: bytes, work: Domain, monkeypatch: pytest.MonkeyPatch
) -> None:
    streams = Streams(monkeypatch, b"printf '\\033[31mred'\n")
    monkeypatch.setattr(sys.stdout, "isatty", lambda: is_terminal)
    assert main([*options, "work", "qubes.VMShell"], work.call) == 0
    assert streams.said() == shown
