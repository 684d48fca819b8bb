"""Applications that other domains start here, by the session's real launcher."""

import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from qubes_manager.backend.host.host_facts import SYSTEM_PYTHON
from tests.guest.conftest import LAUNCHER, ROOT, Guest
from tests.guest.domains import Domain
from tests.screen import Screen
from tests.waiting import PATIENCE, wait_until


@pytest.fixture
def session(guest: Guest, tmp_path: Path) -> Iterator[Domain]:
    """A domain with a session and its launcher."""
    folder = tmp_path / "screen"
    folder.mkdir()
    screen = Screen(folder)
    for socket in ("xpra.sock", "bus"):
        (guest.run / socket).touch()
    environment = {**guest.environment, "DISPLAY": screen.environment["DISPLAY"]}
    launcher = subprocess.Popen([SYSTEM_PYTHON, "-c", LAUNCHER, environment["DISPLAY"]], env=environment, cwd=ROOT)
    try:
        wait_until((guest.run / "launch").exists)
        yield Domain(tmp_path, environment=environment)
    finally:
        launcher.kill()
        launcher.wait()
        screen.close()


def start(domain: Domain, app_id: str) -> "subprocess.CompletedProcess[str]":
    process = domain.start("start_app", [app_id], str(SYSTEM_PYTHON))
    stdout, stderr = process.communicate(timeout=PATIENCE)
    return subprocess.CompletedProcess(process.args, process.returncode, stdout.decode(), stderr.decode())


def test_an_application_is_started_and_its_window_waited_for(session: Domain, guest: Guest, tmp_path: Path) -> None:
    guest.install("org.example.App", command=f"sh -c 'sleep 1; touch {tmp_path}/shown; xmessage -timeout 60 app'")
    assert start(session, "org.example.App").returncode == 0
    assert (tmp_path / "shown").exists()


def test_one_that_is_not_there_is_said(session: Domain) -> None:
    done = start(session, "org.example.None")
    assert (done.returncode, done.stderr) == (1, "there is no application “org.example.None” here\n")


@pytest.mark.parametrize("app_id", ["", "../x", "a b", "a\nb"])
def test_what_is_no_name_is_refused(app_id: str, tmp_path: Path) -> None:
    done = start(Domain(tmp_path), app_id)
    assert done.returncode == 1
    assert "use the name of its .desktop file" in done.stderr
