"""The launcher inside guests, under the system's Python as there."""

import os
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from qubes_manager.backend.viewers.sandbox import SYSTEM_PYTHON
from tests.guest.debian.conftest import GUEST, Guest


class Launcher:
    """A launcher that runs, and what it answers."""

    def __init__(self, guest: Guest) -> None:
        self.guest = guest
        (guest.run / "xpra.sock").touch()
        self.process = subprocess.Popen([SYSTEM_PYTHON, GUEST / "launcher.py"], env=guest.environment)
        _until(guest.run / "launch")

    def say(self, *lines: str) -> None:
        with (self.guest.run / "launch").open("w") as pipe:
            pipe.writelines(f"{line}\n" for line in lines)

    def answer(self, token: str) -> str:
        return _until(self.guest.run / f"answer-{token}").read_text()


def _until(path: Path) -> Path:
    end = time.monotonic() + 20
    while not path.exists():
        assert time.monotonic() < end, path
        time.sleep(0.01)
    return path


@pytest.fixture
def launcher(guest: Guest) -> Iterator[Launcher]:
    launcher = Launcher(guest)
    yield launcher
    launcher.process.kill()
    launcher.process.wait()


def test_what_became_of_a_launch_is_answered_under_its_token(launcher: Launcher, tmp_path: Path) -> None:
    launcher.guest.install("org.x.Good", command=f"touch {tmp_path}/started")
    launcher.guest.install("broken", command="/no/such/program")
    launcher.guest.install("outside")
    launcher.say("a1 org.x.Good", "b2 broken", "c3 nothing", "d4 ", "e5 ../applications/outside/x")
    assert [launcher.answer(token) for token in ("a1", "c3", "d4", "e5")] == ["started", *["missing"] * 3]
    assert launcher.answer("b2") in ("failed", "missing")
    _until(tmp_path / "started")


def test_a_line_that_is_no_request_leaves_no_file_and_the_next_one_is_heard(launcher: Launcher) -> None:
    launcher.say("../../evil org.x.Good", "ABC org.x.Good", "", f"{'a' * 41} org.x.Good", "f6 nothing")
    assert launcher.answer("f6") == "missing"
    assert sorted(path.name for path in launcher.guest.run.iterdir()) == ["answer-f6", "launch", "xpra.sock"]
    # Whoever wrote is gone, and the pipe is read on.
    launcher.say("a7 nothing")
    assert launcher.answer("a7") == "missing"


def test_old_answers_are_taken_away(launcher: Launcher) -> None:
    old, young = (launcher.guest.run / f"answer-{name}" for name in ("01d", "b0b"))
    for path, age in ((old, 70), (young, 10)):
        path.write_text("started")
        os.utime(path, (time.time() - age, time.time() - age))
    launcher.say("a8 nothing")
    launcher.answer("a8")
    assert (old.exists(), young.exists()) == (False, True)
