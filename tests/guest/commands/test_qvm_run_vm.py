"""Commands that run in another domain."""

import os
from pathlib import Path

import pytest

from qubes_manager.guest.commands.qvm_run_vm import main
from tests.guest.domains import Domain


@pytest.fixture
def work(tmp_path: Path) -> Domain:
    """The domain that serves."""
    return Domain(tmp_path, environment={"SHELL": "/bin/sh"})


class Streams:
    """Standard input and output of a command, as descriptors."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, data: bytes = b"") -> None:
        read, write = os.pipe()
        os.write(write, data)
        os.close(write)
        self._stdin = os.fdopen(read)
        self._out, out = os.pipe()
        self._stdout = os.fdopen(out, "w")
        monkeypatch.setattr("sys.stdin", self._stdin)
        monkeypatch.setattr("sys.stdout", self._stdout)

    def said(self) -> bytes:
        """What was written to the standard output."""
        self._stdin.close()
        self._stdout.close()
        with os.fdopen(self._out, "rb") as out:
            return out.read()


@pytest.mark.parametrize(
    ("arguments", "service", "argument", "target"),
    [
        (["work", "ls", "-la"], "qubes.VMExecGUI", "ls+--la", "work"),
        (["-t", "work", "xterm"], "qubes.VMExec", "xterm", "work"),
        (["--dispvm", "firefox-esr"], "qubes.VMExecGUI", "firefox--esr", "@dispvm"),
        (["-d", "--no-gui", "--", "echo", "a;b"], "qubes.VMExec", "echo+a-3Bb", "@dispvm"),
        (["work", "echo $HOME | cat"], "qubes.VMExecGUI", "sh+--c+echo-20-24HOME-20-7C-20cat", "work"),
    ],
)
def test_a_command_becomes_a_call(
    arguments: list[str], service: str, argument: str, target: str, work: Domain, monkeypatch: pytest.MonkeyPatch
) -> None:
    work.refuses = "no"
    assert main(arguments, work.call) == 126
    [asked] = work.asked
    assert (asked.service, asked.argument, asked.target) == (service, argument, target)


def test_input_output_and_exit_code_are_the_commands_own(work: Domain, monkeypatch: pytest.MonkeyPatch) -> None:
    streams = Streams(monkeypatch, b"in")
    assert main(["work", "cat; exit 5"], work.call) == 5
    assert streams.said() == b"in"


def test_a_command_too_long_for_an_argument_goes_to_a_shell(work: Domain, monkeypatch: pytest.MonkeyPatch) -> None:
    streams = Streams(monkeypatch, b"")
    assert main(["work", "printf", "%s", "it's " * 300], work.call) == 0
    assert streams.said() == b"it's " * 300
    assert (work.asked[0].service, work.asked[0].argument) == ("qubes.VMShell", "")


@pytest.mark.parametrize("arguments", [[], ["work"], ["-d"], ["-d", "--"], ["--unknown", "work", "x"]], ids=range(5))
def test_what_makes_no_command_is_said(arguments: list[str], work: Domain) -> None:
    with pytest.raises(SystemExit) as left:
        main(arguments, work.call)
    assert left.value.code == 2
    assert work.asked == []
