"""What qvm-run tells a guest and what it makes of its words. The agent is a stand-in; real ones are asked in
tests/integration/test_commands_on_guests.py."""

import base64
import io
import json
import sys
import time
from typing import Any

import libvirt_qemu
import pytest

from qubes_manager.cli import qvm_run

HOSTILE = ["a\x1b]0;ow", "ned\x07b\x1b[3", "1mc\nr\u0435st \x1b[31mX"]


class Agent:
    """Says *out* and *err* in pieces, and exits with one of *codes* after the other, then with 0."""

    def __init__(self) -> None:
        self.out: list[bytes] = []
        self.err: list[bytes] = []
        self.codes: list[int] = []
        self.ran: list[tuple[str, str]] = []
        self.input = b""

    def __call__(self, _domain: object, text: str, _timeout: int, _flags: int) -> str:
        request = json.loads(text)
        answer = self._answer(request["execute"], request.get("arguments", {}))
        return json.dumps({"return": answer})

    def _answer(self, execute: str, arguments: dict[str, Any]) -> object:
        match execute:
            case "guest-exec":
                if arguments["path"] == "/bin/sh":
                    _c, _script, _name, _folder, user, command = arguments["arg"]
                    self.ran.append((user, command))
                return {"pid": 1}
            case "guest-exec-status":
                return {"exited": True, "exitcode": self.codes.pop(0) if self.codes else 0}
            case "guest-file-open":
                return 2 if arguments["path"].endswith("/err") else 1
            case "guest-file-write":
                self.input += base64.b64decode(arguments["buf-b64"])
                return {"count": len(base64.b64decode(arguments["buf-b64"]))}
            case "guest-file-read":
                pieces = self.err if arguments["handle"] == 2 else self.out
                return {"buf-b64": base64.b64encode(pieces.pop(0)).decode()} if pieces else {}
        return {}


@pytest.fixture
def agent(monkeypatch: pytest.MonkeyPatch) -> Agent:
    agent = Agent()
    monkeypatch.setattr(libvirt_qemu, "qemuAgentCommand", agent)
    monkeypatch.delenv("DISPLAY", raising=False)
    type_in(monkeypatch, b"")
    return agent


def type_in(monkeypatch: pytest.MonkeyPatch, data: bytes) -> None:
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(data)))


def test_the_words_are_a_shell_line_unless_they_are_to_stay_words(host: str, agent: Agent) -> None:
    assert qvm_run.main(["-c", host, "work", "echo", "a  b;", "ls"]) == 0
    assert qvm_run.main(["-c", host, "--no-shell", "-u", "root", "work", "--", "echo", "a  b;", "$HOME"]) == 0
    assert agent.ran == [("", "echo a  b; ls"), ("root", "echo 'a  b;' '$HOME'")]


def test_only_with_pass_io_the_streams_are_connected(
    host: str, agent: Agent, monkeypatch: pytest.MonkeyPatch, capfdbinary: pytest.CaptureFixture[bytes]
) -> None:
    type_in(monkeypatch, b"typed")
    agent.out, agent.err = [b"out"], [b"err"]
    qvm_run.main(["-c", host, "work", "x"])
    assert (agent.input, capfdbinary.readouterr()) == (b"", (b"", b""))
    qvm_run.main(["-c", host, "-p", "work", "x"])
    assert (agent.input, capfdbinary.readouterr()) == (b"typed", (b"out", b"err"))


def test_escapes_that_come_in_pieces_are_stripped_and_characters_in_pieces_are_whole(
    host: str, agent: Agent, capfdbinary: pytest.CaptureFixture[bytes]
) -> None:
    agent.out = [bytes([byte]) for byte in "".join(HOSTILE).encode()]
    qvm_run.main(["-c", host, "-p", "--filter-escape-chars", "work", "x"])
    assert capfdbinary.readouterr().out.decode() == "abc\nr\u0435st X"


@pytest.mark.parametrize(
    ("piece", "shown"),
    [(b"x", b"x"), (b"\x1b[31mx", b"x")],
    ids=["a line", "colours"],
)
def test_what_never_ends_is_shown_as_it_comes_and_little_of_it_is_kept(piece: bytes, shown: bytes) -> None:
    chunk = piece * (65536 // len(piece))
    terminal = io.BytesIO()
    sink = qvm_run._Sink(terminal, strip=True, colour=0, on_finish=lambda: None)
    begun = time.process_time()
    for number in range(1, 65):
        sink(chunk)
        assert terminal.tell() >= number * len(chunk) * len(shown) // len(piece) - 65536 - 4096
    # Four MiB; a look at all that came before at each piece would take minutes.
    assert time.process_time() - begun < 10
    assert b"\x1b" not in terminal.getvalue()


def test_what_goes_to_a_file_or_pipe_is_passed_on_to_the_byte(
    host: str, agent: Agent, capfdbinary: pytest.CaptureFixture[bytes]
) -> None:
    data = bytes(range(256))
    agent.out = [data]
    qvm_run.main(["-c", host, "-p", "work", "x"])
    assert capfdbinary.readouterr().out == data


def test_a_colour_that_is_asked_for_ends_with_the_output(
    host: str, agent: Agent, capfdbinary: pytest.CaptureFixture[bytes]
) -> None:
    agent.out, agent.err = [b"out"], [b"err"]
    qvm_run.main(["-c", host, "-p", "--colour-output", "34", "--no-colour-stderr", "work", "x"])
    assert capfdbinary.readouterr() == (b"\x1b[0;34mout\x1b[0m", b"err")


def test_a_local_command_gets_the_output_and_is_waited_for(
    host: str, agent: Agent, monkeypatch: pytest.MonkeyPatch, capfdbinary: pytest.CaptureFixture[bytes]
) -> None:
    type_in(monkeypatch, b"not for the guest")
    agent.out, agent.err = [b"one\ntwo\n"], [b"err"]
    qvm_run.main(["-c", host, "-p", "--localcmd", "sleep 0.1; wc -l", "work", "x"])
    assert (agent.input, capfdbinary.readouterr()) == (b"", (b"2\n", b"err"))


def test_the_highest_code_of_all_running_domains_is_told(
    host: str, agent: Agent, capfdbinary: pytest.CaptureFixture[bytes]
) -> None:
    agent.codes = [7, 3]
    assert qvm_run.main(["-c", host, "--all", "x"]) == 7
    assert len(agent.ran) == 2
    # Vault is paused: that is said, and the other one is asked all the same.
    assert qvm_run.main(["-c", host, "--all", "--no-autostart", "x"]) == 1
    assert "“Vault” is paused" in capfdbinary.readouterr().err.decode()
    assert len(agent.ran) == 3
    assert qvm_run.main(["-c", host, "--all", "--exclude", "work", "--exclude", "Vault", "x"]) == 0


@pytest.mark.parametrize(
    "words",
    [
        ["--localcmd", "cat", "work", "x"],
        ["work"],
        ["--all"],
        ["--dispvm", "--all", "x"],
        ["--dispvm"],
        ["--gui", "--no-gui", "w", "x"],
    ],
)
def test_what_does_not_go_together_is_bad_usage(host: str, words: list[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        qvm_run.main(["-c", host, *words])
    assert caught.value.code == 2
