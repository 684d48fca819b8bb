"""The launcher inside guests, under the system's Python as there."""

import os
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from qubes_manager.backend.host.host_facts import SYSTEM_PYTHON
from qubes_manager.guest.crossing.handlers import session_environment
from qubes_manager.guest.session import scale
from tests.guest.conftest import LAUNCHER, ROOT, Guest
from tests.screen import Screen
from tests.waiting import wait_until


class Launcher:
    """A launcher that runs, and what it answers."""

    def __init__(self, guest: Guest, display: str) -> None:
        self.guest = guest
        for ready in ("bus", "xpra.sock"):
            (guest.run / ready).touch()
        words = [SYSTEM_PYTHON, "-c", LAUNCHER, display]
        self.process = subprocess.Popen(words, env=guest.environment, cwd=ROOT)
        _until(guest.run / "launch")

    def say(self, *lines: str) -> None:
        with (self.guest.run / "launch").open("w") as pipe:
            pipe.writelines(f"{line}\n" for line in lines)

    def answer(self, token: str) -> str:
        return _until(self.guest.run / f"answer-{token}").read_text()


def _until(path: Path) -> Path:
    wait_until(path.exists, str(path))
    return path


@pytest.fixture(scope="module")
def screen(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Screen]:
    screen = Screen(tmp_path_factory.mktemp("screen"), manager=())
    yield screen
    screen.close()


@pytest.fixture
def launcher(guest: Guest, screen: Screen) -> Iterator[Launcher]:
    launcher = Launcher(guest, screen.environment["DISPLAY"])
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
    assert sorted(path.name for path in launcher.guest.run.iterdir()) == [
        "answer-f6",
        "bus",
        "launch",
        "scale",
        "xpra.sock",
    ]
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


def test_the_next_application_follows_the_scale_that_the_display_has_by_then(
    launcher: Launcher, screen: Screen, tmp_path: Path
) -> None:
    seen = tmp_path / "seen"
    launcher.guest.install("shows", command=f"sh -c 'env >{seen}.new; mv {seen}.new {seen}'")
    found = {}
    for number, dpi in enumerate((96, 120, 192, 96)):
        set_dpi(screen, dpi)
        launcher.say(f"a{number} shows")
        assert launcher.answer(f"a{number}") == "started"
        environment = dict(line.partition("=")[::2] for line in _until(seen).read_text().splitlines())
        seen.unlink()
        found[number] = [environment.get(name) for name in ("GDK_SCALE", "GDK_DPI_SCALE", "QT_SCALE_FACTOR")]
    assert found == {0: ["1", "1", "1"], 1: ["1", "1", "1.25"], 2: ["2", "0.5", "2"], 3: ["1", "1", "1"]}


def set_dpi(screen: Screen, dpi: int) -> None:
    """Set the resource that the display server sets for its client."""
    subprocess.run(["xrdb", "-merge"], input=f"Xft.dpi:\t{dpi}\n", text=True, env=screen.environment, check=True)


def test_whoever_starts_programs_in_the_session_finds_the_scale(launcher: Launcher, screen: Screen) -> None:
    folder = launcher.guest.run
    for dpi, factor in ((144, "1.5"), (96, "1")):
        set_dpi(screen, dpi)
        wait_until(lambda: scale.read(folder).get("QT_SCALE_FACTOR") == factor)  # noqa: B023
    (folder / "bus-address").write_text("unix:path=/nowhere")
    assert session_environment(folder)["XCURSOR_SIZE"] == "24"
