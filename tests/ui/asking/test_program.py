"""The program that asks, on a real screen: when keys answer there, and that it ends with who started it."""

import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from qubes_manager.core.crossing.question import Answer, Question, parse_answer
from qubes_manager.ui.asking.program import ANSWERED, NO_QUESTION, WITHDRAWN, main
from tests.screen import FAILED, OPENBOX, PICTURES, Screen
from tests.waiting import PATIENCE, wait_until

pytestmark = [
    pytest.mark.e2e,
    pytest.mark.skipif(not (shutil.which("Xvfb") and shutil.which("xdotool")), reason="needs Xvfb and xdotool"),
]
# Seconds. Well below, and well above, that for which a window must have had the focus.
SHORT, LONG = 0.4, 1.6
MANAGED, BARE = "window manager", "bare screen"


def on(*screens: str) -> pytest.MarkDecorator:
    return pytest.mark.parametrize("screen", screens, indirect=True, scope="module")


class Asking:
    """A program that asks on a screen."""

    def __init__(self, screen: Screen, question: Question) -> None:
        self._screen = screen
        self.process = subprocess.Popen(
            [sys.executable, "-m", "qubes_manager", "ask"],
            env=screen.environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )
        assert self.process.stdin
        self.process.stdin.write(question.to_json().encode() + b"\n")
        self.process.stdin.flush()
        self.window = wait_for_window(screen, question.source)

    @property
    def is_open(self) -> bool:
        return self.process.poll() is None

    def focus(self, *then: str) -> None:
        """Give it the focus, and go on in the same breath."""
        self._screen.run("xdotool", "windowfocus", "--sync", self.window, *then)

    def until_focused(self) -> None:
        """Wait until it has taken the focus."""
        wait_until(lambda: self._screen.run("xdotool", "getwindowfocus").strip() == self.window, "it takes the focus")

    def answered_by(self, key: str) -> bytes:
        """Press a key until it counts, which is the later the busier the machine is; returns what it answers."""

        def is_answered() -> bool:
            self._screen.run("xdotool", "key", key, "sleep", "0.3")
            return not self.is_open

        wait_until(is_answered, "it is answered")
        return self.answer()

    def answer(self, code: int = ANSWERED) -> bytes:
        assert self.process.stdout
        # Its input stays open until it has ended by itself.
        assert self.process.wait(PATIENCE) == code
        return self.process.stdout.read()


class Bench:
    """A screen on which two questions stand: one is looked at, the other has the focus meanwhile."""

    def __init__(self, screen: Screen, question: Question) -> None:
        self.screen = screen
        self.question = question
        self._open: list[Asking] = []
        self.other = self.ask(question)

    def ask(self, question: Question) -> Asking:
        question = replace(question, source=f"source-{len(self._open)}")
        self._open.append(Asking(self.screen, question))
        return self._open[-1]

    def keys(self, *words: str) -> None:
        self.screen.run("xdotool", *words)

    def close(self) -> None:
        self.screen.picture(PICTURES / f"{FAILED}.png")
        self.keys("keyup", "Return", "keyup", "Escape")
        for asking in self._open:
            if asking.is_open:
                asking.process.kill()
            asking.process.__exit__(None, None, None)


@pytest.fixture(scope="module")
def screen(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Screen]:
    screen = Screen(tmp_path_factory.mktemp("screen"), manager=() if request.param == BARE else OPENBOX)
    yield screen
    screen.close()


@pytest.fixture
def bench(screen: Screen, question: Question) -> Iterator[Bench]:
    bench = Bench(screen, replace(question, default_target="work"))
    yield bench
    bench.close()


@on(MANAGED, BARE)
def test_keys_answer_once_it_has_had_the_focus_for_a_second(bench: Bench) -> None:
    asking = bench.ask(bench.question)
    bench.other.focus()

    # Thrice for less than a second makes no second.
    for key in ("Return", "Escape", "Return"):
        asking.focus("key", key, "sleep", str(SHORT), "key", key)
        bench.other.focus()
    assert asking.is_open

    asking.focus()
    assert parse_answer(asking.answered_by("Return")) == Answer("work")


@on(MANAGED)
def test_a_key_that_is_held_down_answers_nothing(bench: Bench) -> None:
    asking = bench.ask(bench.question)
    bench.other.focus("keydown", "Return")

    asking.focus("sleep", str(2 * LONG))
    assert asking.is_open, asking.answer()

    bench.keys("keyup", "Return", "sleep", "0.2")
    assert parse_answer(asking.answered_by("Return")) == Answer("work")


@on(BARE)
def test_a_key_that_repeats_late_answers_nothing(bench: Bench) -> None:
    # It is down for longer than the window waits before its first repetition comes.
    bench.screen.run("xset", "r", "rate", "2500", "20")
    asking = bench.ask(bench.question)
    bench.other.focus("keydown", "Return")

    asking.focus("sleep", "4")
    bench.keys("keyup", "Return")
    bench.screen.run("xset", "r", "rate")

    assert asking.is_open


@on(MANAGED, BARE)
def test_it_takes_the_focus_by_itself_and_is_answered_by_keys(bench: Bench) -> None:
    asking = bench.ask(replace(bench.question, default_target=""))

    asking.until_focused()
    bench.keys("type", "vau")
    bench.keys("key", "--delay", "50", "Down")

    assert parse_answer(asking.answered_by("Return")) == Answer("vault")


@on(BARE)
def test_it_goes_when_who_asked_hangs_up(bench: Bench) -> None:
    asking = bench.ask(bench.question)
    assert asking.process.stdin

    asking.process.stdin.close()

    assert asking.process.wait(PATIENCE) == WITHDRAWN


@on(BARE)
def test_it_goes_when_who_asked_is_killed(bench: Bench, tmp_path: Path) -> None:
    line = tmp_path / "question"
    line.write_text(replace(bench.question, source="shell").to_json() + "\n")
    script = f"{{ cat {line}; exec sleep 60; }} | {{ echo $BASHPID; exec {sys.executable} -m qubes_manager ask; }}"
    with subprocess.Popen(
        ["bash", "-c", script], env=bench.screen.environment, stdout=subprocess.PIPE, start_new_session=True
    ) as shell:
        assert shell.stdout
        asker = int(shell.stdout.readline())
        wait_for_window(bench.screen, "shell")
        sleep = next(pid for pid in _children(shell.pid) if pid != asker)
        os.kill(sleep, signal.SIGKILL)
        assert shell.wait(PATIENCE) == WITHDRAWN


@on(BARE)
def test_what_is_no_question_is_not_asked(screen: Screen) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "qubes_manager", "ask"], env=screen.environment, input=b"{}\n", capture_output=True
    )

    assert done.returncode == NO_QUESTION
    assert done.stderr == b"qubes-manager ask: type is missing\n"


@pytest.mark.parametrize("words", [["--help"], ["dark"], ["blue", "1"], ["dark", "x"]], ids=" ".join)
def test_it_says_how_it_is_used(words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(words) == NO_QUESTION
    assert "Usage: qubes-manager ask" in capsys.readouterr().err


@on(MANAGED)
def test_it_stays_above_other_windows(bench: Bench) -> None:
    assert "_NET_WM_STATE_ABOVE" in bench.screen.run("xprop", "-id", bench.other.window, "_NET_WM_STATE")


def wait_for_window(screen: Screen, source: str) -> str:
    """The window of the only question that *source* has."""
    found: list[str] = []

    def look() -> list[str]:
        found[:] = screen.run("xdotool", "search", "--onlyvisible", "--name", f"“{source}” asks").split()
        return found

    wait_until(look, f"a window of {source}")
    return found[0]


def _children(pid: int) -> list[int]:
    return [int(word) for word in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
