"""What a domain takes of those that it lets open its files: the other side may do whatever it likes."""

import io
import subprocess
import sys
from collections.abc import Sequence
from contextlib import redirect_stderr
from pathlib import Path

import pytest

from qubes_manager.core.crossing.file_messages import Changed, Failure, Offer, Stored
from qubes_manager.core.json_lines import Message
from qubes_manager.guest.commands.opening import open_command
from tests.guest.archive.archives import file, folder, hostile
from tests.guest.domains import Domain

ONE = hostile([file("0", b"edited")])


class Hostile(Domain):
    """A domain that takes files, and then says *answer*, whatever that is."""

    answer = b""
    # Said before that, which waits until somebody has seen it.
    says = ""

    def start(
        self, module: str, arguments: Sequence[str] = (), python: str = sys.executable
    ) -> "subprocess.Popen[bytes]":
        (self.home / "answer").write_bytes(self.answer)
        self.environment["PYTHONSTARTUP"] = ""
        (self.home / "sitecustomize.py").write_text(
            "import pathlib, sys, time\n"
            "from qubes_manager.guest.services import open_in_vm\n"
            "home = pathlib.Path.home()\n"
            "def answer(*_):\n"
            f"    print({self.says!r}, file=sys.stderr, flush=True)\n"
            f"    while {bool(self.says)} and not (home / 'seen').exists(): time.sleep(0.01)\n"
            "    sys.stdout.buffer.write((home / 'answer').read_bytes())\n"
            "open_in_vm._edit = open_in_vm._view = answer\n"
        )
        self.environment["PYTHONPATH"] = f"{Path(__file__).parents[3]}:{self.home}"
        return super().start(module, arguments, python)


@pytest.fixture
def disposable(tmp_path: Path) -> Hostile:
    """The domain that opens."""
    home = tmp_path / "disposable"
    home.mkdir()
    return Hostile(home)


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of the domain whose files they are, and its home."""
    place = tmp_path / "personal"
    place.mkdir()
    (place / "a").write_text("before")
    monkeypatch.chdir(place)
    monkeypatch.setenv("HOME", str(place))
    return place


def opened(disposable: Hostile, answer: bytes, *arguments: str) -> int:
    disposable.answer = answer
    return open_command("qvm-open-in-dvm", arguments or ["a"], caller=disposable.call)


def said(*messages: Message) -> bytes:
    return b"".join(message.to_json().encode() + b"\n" for message in messages)


def test_an_honest_answer_is_taken(disposable: Hostile, here: Path) -> None:
    assert opened(disposable, said(Changed("a"), Offer(6, 1)) + ONE) == 0
    assert (here / "a").read_text() == "edited"


@pytest.mark.parametrize(
    "answer",
    [
        b"",
        b"nonsense\n",
        said(Changed("b"), Offer(6, 1)) + ONE,
        said(Changed("../a"), Offer(6, 1)) + ONE,
        said(Changed("/etc/passwd"), Offer(6, 1)) + ONE,
        said(Changed("a"), Changed("a"), Offer(12, 2)) + hostile([file("0"), file("1")]),
        said(Changed("a"), Offer(6, 2)) + ONE,
        said(Changed("a"), Offer(6, 1)) + ONE[:-1],
        said(Changed("a"), Offer(6, 1)) + ONE[:700],
        said(Changed("a"), Offer(6, 1)) + hostile([file("1")]),
        said(Changed("a"), Offer(6, 1)) + hostile([file("0"), file("1")]),
        said(Changed("a"), Offer(6, 1)) + hostile([folder("0"), file("0/a")]),
        said(Changed("a"), Offer(6, 1)) + hostile([file("../a")]),
        said(Changed("a"), Offer(1 << 60, 1)) + ONE,
        said(Changed("a"), Offer(6, 1)) + hostile([file("0", bytes(17 << 20))]),
        said(Changed("a"), Stored("0" * 64)),
        said(Failure("\x1b[31mno")),
    ],
    ids=range(17),
)
def test_whatever_else_comes_back_changes_nothing(
    answer: bytes, disposable: Hostile, here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert opened(disposable, answer) in (1, 125)
    assert (here / "a").read_text() == "before"
    seen = {path.name for path in here.rglob("*") if ".config" not in path.parts}
    assert seen - {"QubesIncoming"} == {"a"}
    error = capsys.readouterr().err
    assert error.isprintable() or error.count("\n") == len(error.splitlines())


def test_what_comes_back_of_a_view_is_thrown_away(disposable: Hostile, here: Path) -> None:
    opened(disposable, said(Changed("a"), Offer(6, 1)) + ONE, "--view-only", "a")
    assert (here / "a").read_text() == "before"
    assert not (here / "QubesIncoming").exists()


def test_two_of_one_name_are_refused(disposable: Hostile, here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (here / "sub").mkdir()
    (here / "sub/a").write_text("other")
    assert opened(disposable, b"", "a", "sub/a") == 1
    assert "the same name" in capsys.readouterr().err
    assert disposable.asked == []


@pytest.mark.parametrize("what", [["https://a", "a"], ["https://a", "https://b"]], ids=["both", "two"])
def test_addresses_go_alone(what: list[str], disposable: Hostile, here: Path) -> None:
    assert opened(disposable, b"", *what) == 1
    assert disposable.asked == []


def test_what_was_opened_for_another_is_not_passed_on(
    disposable: Hostile, here: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("QREXEC_SERVICE_FULL_NAME", "qubes.OpenURL")
    assert opened(disposable, b"", "https://example.org") == 1
    assert "not passed on" in capsys.readouterr().err
    assert disposable.asked == []


def test_a_target_can_be_named(disposable: Hostile, here: Path) -> None:
    disposable.refuses = "no"
    assert open_command("qvm-open-in-vm", ["work", "a"], has_target=True, caller=disposable.call) == 126
    assert disposable.asked[0].target == "work"


def test_what_the_service_says_is_passed_on_while_it_is_open(disposable: Hostile, here: Path) -> None:
    """Not when all has been closed: the answer waits here until what was said has come to the terminal."""
    heard = list[str]()

    class Terminal(io.StringIO):
        def write(self, text: str) -> int:
            heard.append(text)
            if "careful" in text:
                (disposable.home / "seen").touch()
            return len(text)

    disposable.waits = "a new disposable is being started\n"
    disposable.says = "careful"
    with redirect_stderr(Terminal()):
        assert opened(disposable, said(Changed("a"), Offer(6, 1)) + ONE) == 0
    assert "".join(heard).splitlines()[:2] == [
        "qvm-open-in-dvm: a new disposable is being started",
        "qvm-open-in-dvm: “work” says: careful",
    ]
