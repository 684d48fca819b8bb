"""What a screen reader is told of guests' windows, through the only way that a viewer has to one."""

import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from qubes_manager.backend.viewers.readers import way_to_readers
from tests.backend.viewers.accessibility_bus import with_bus
from tests.screen import Screen
from tests.viewers.real.conftest import RULES, Shown
from tests.waiting import PATIENCE

pytestmark = pytest.mark.timeout(120, func_only=True)


@pytest.fixture
def bus(tmp_path: Path) -> Iterator[Screen]:
    """A desktop's buses, on which a screen reader runs."""
    with with_bus(tmp_path) as screen:
        yield screen


@pytest.fixture
def heard(bus: Screen) -> Iterator[Path]:
    """What a screen reader hears; it writes that down."""
    lines = Path(bus.environment["XDG_RUNTIME_DIR"], "heard")
    with lines.open("wb") as out:
        words = ["/usr/bin/python3", str(Path(__file__).with_name("screen_reader.py"))]
        reader = subprocess.Popen(words, env=bus.environment, stdout=out, stderr=out)
    yield lines
    reader.kill()
    reader.wait(PATIENCE)


async def test_a_screen_reader_hears_whose_window_has_the_keyboard_and_its_title(
    shown: Shown, bus: Screen, heard: Path
) -> None:
    def until(line: str) -> None:
        shown.desktop.until(lambda: line in heard.read_text().splitlines(), f"{line!r} is heard: {heard.read_text()}")

    until("listens")
    # A guest has one viewer, and a server of 6.5 would go on with both: that of other tests ends, and comes again.
    shown.close()
    async with way_to_readers(bus.environment) as way:
        assert way
        shown.start(RULES, way)
    try:
        shown.terminal("letters", r"read line; printf '\033]0;other\007'; exec cat")
        until("active [work] letters")
        shown.desktop.keys("Return")
        until("named [work] other")
    finally:
        shown.close()
        shown.start(RULES)
