"""What the window shows when something is wrong, or when there is nothing."""

import shutil
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from qubes_manager.backend.host.private_daemon import PrivateDaemon
from tests.e2e.conftest import Program
from tests.screen import PICTURES

pytestmark = pytest.mark.e2e


@pytest.fixture
def empty_daemon() -> Iterator[PrivateDaemon]:
    """A libvirtd without domains."""
    folder = Path(tempfile.mkdtemp(prefix="qm-", dir="/var/tmp"))
    daemon = PrivateDaemon(folder)
    daemon.start()
    yield daemon
    daemon.stop()
    shutil.rmtree(folder, ignore_errors=True)


def test_a_libvirt_without_domains_says_what_to_do(start: Callable[..., Program], empty_daemon: PrivateDaemon) -> None:
    program = start("--connect", empty_daemon.uri)
    program.reads("No domains yet")
    program.picture("empty")
    program.click("New domain…", "push button")
    program.reads("Checksum")
    program.type("1bad")
    program.reads("start with a letter")
    program.picture("new-domain")


def test_a_host_that_is_not_there_has_a_banner_and_comes_back(
    start: Callable[..., Program], empty_daemon: PrivateDaemon
) -> None:
    empty_daemon.stop()
    program = start("--connect", empty_daemon.uri, ready=False)
    program.reads("libvirtd is not running there")
    assert program.find("push button", "Retry")
    program.picture("disconnected")
    empty_daemon.start()
    # By itself, after a pause; the button only makes the pause shorter.
    program.reads("No domains yet")
    assert not program.find("push button", "Retry")


def test_broken_settings_are_said_and_stay_to_be_mended(start: Callable[..., Program]) -> None:
    program = start("--connect", "test:///default", settings="appearance: loud\n")
    kept = program.folder / "config/qubes-manager/settings.yaml"
    said = "appearance: 'loud' cannot be used; use one of system, light, dark; this counts as not set"
    program.reads(f"{kept}: {said}")
    assert kept.read_text() == "appearance: loud\n"


def test_two_hosts_show_their_own_rows(start: Callable[..., Program], empty_daemon: PrivateDaemon) -> None:
    program = start("--connect", "test:///default", "--connect", empty_daemon.uri)
    program.until(lambda: program.cells().count("dom0") == 2, "a row for each host")
    assert "test" in program.cells()


def test_at_two_hundred_per_cent_everything_is_there(start: Callable[..., Program]) -> None:
    program = start(
        "--connect",
        "test:///default",
        settings="window_width: 620\nwindow_height: 380\nshow_details: false\n",
        environment={"QT_SCALE_FACTOR": "2"},
    )
    program.until(lambda: "test" in program.cells(), "the row")
    program.picture("double")
    window = program.screen.run("xdotool", "search", "--onlyvisible", "--name", "Qubes Manager").split()[0]
    geometry = program.screen.run("xdotool", "getwindowgeometry", "--shell", window)
    assert "WIDTH=1240" in geometry
    program.screen.run("xdotool", "mousemove", "600", "500", "click", "1")
    assert program.quit() == 0


@pytest.mark.parametrize("appearance", ["light", "dark"])
def test_light_and_dark(start: Callable[..., Program], appearance: str) -> None:
    program = start("--connect", "test:///default", settings=f"appearance: {appearance}\n")
    program.choose("test")
    program.picture(appearance)
    table = program.find("table", "Domains")
    assert table
    x, y = table.centre
    look = f"%[fx:p{{{x},{y}}}.intensity]"
    pixel = program.screen.run("convert", str(PICTURES / f"{appearance}.png"), "-format", look, "info:")
    assert (float(pixel) < 0.3) is (appearance == "dark")
    assert program.quit() == 0
