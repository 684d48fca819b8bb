"""Devices in a real window: dragged onto a domain, from there onto another one, and taken back by its menu."""

from pathlib import Path

import pytest

from qubes_manager.backend.host.private_daemon import PrivateDaemon
from tests.e2e.conftest import Control, Program
from tests.e2e.test_window import pair as pair
from tests.e2e.test_window import program as program
from tests.e2e.test_window import virsh

pytestmark = [pytest.mark.guest, pytest.mark.e2e]
_STEPS = 20


def row_of(program: Program, name: str) -> Control:
    """A domain's row; the page has domains too, and comes behind the table."""
    cells = (c for c in program.controls() if (c.role, c.name) == ("table cell", name) and "showing" in c.states)
    return next(cells)


def is_running(program: Program, name: str) -> bool:
    cells = program.cells()
    return "Running" in cells[cells.index(name) - 1]


def drag(program: Program, what: str, onto: str) -> None:
    """Drag a device onto a domain's row, at the pace of a hand."""
    device = program.find(None, what)
    assert device
    start, end = device.centre, row_of(program, onto).centre
    words = ["mousemove", *map(str, start), "mousedown", "1"]
    for step in range(1, _STEPS + 1):
        place = (a + (b - a) * step // _STEPS for a, b in zip(start, end, strict=True))
        words += ["mousemove", *map(str, place), "sleep", "0.03"]
    program.screen.run("xdotool", *words, "sleep", "0.3", "mouseup", "1")


def test_a_device_is_dragged_from_domain_to_domain(
    program: Program, daemon: PrivateDaemon, shared_folder: Path
) -> None:
    image = shared_folder / "stick.img"
    image.write_bytes(bytes(1 << 20))
    image.chmod(0o666)
    for name in ("mail", "bank"):
        virsh(daemon, "start", name)
    program.until(lambda: {is_running(program, name) for name in ("mail", "bank")} == {True}, "both run")
    program.keys("F7")
    program.click("Add an image file…", "push button")
    program.reads("Choose a disk image")
    program.type(str(image))
    program.keys("Return")
    program.until(lambda: program.find(None, "“stick.img”"), "the image is offered")
    drag(program, "“stick.img”", "mail")
    program.reads("“mail” has “stick.img” as sda.")
    assert str(image) in virsh(daemon, "domblklist", "mail")
    program.until(lambda: program.find(None, "mail (sda)"), "who has it is shown")
    drag(program, "“stick.img”", "bank")
    program.click("Move", "push button")
    program.reads("“bank” has “stick.img” as sda.")
    assert str(image) not in virsh(daemon, "domblklist", "mail")
    assert str(image) in virsh(daemon, "domblklist", "bank")
    program.until(lambda: program.find(None, "bank (sda)"), "who has it is shown")
    program.picture("devices-dragged")
    # By the keyboard alone: Return opens the menu of the chosen device.
    program.click("“stick.img”")
    program.keys("Return")
    program.picture("devices-menu")
    program.keys("Down", "Return")
    program.until(lambda: str(image) not in virsh(daemon, "domblklist", "bank"), "the image is free")
