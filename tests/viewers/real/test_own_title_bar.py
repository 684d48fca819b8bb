"""Where the desktop draws no title bar (GNOME on Wayland, Weston) windows have one of ours, in the label's colour."""

import shutil
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest
from PIL import Image
from PySide6.QtGui import QImage, QPainter
from pytestqt.qtbot import QtBot

from qubes_manager.core.viewer_messages import Denied, Windows, Wish, Wished
from qubes_manager.viewers.windows import title_bar
from tests.desktops.desktop import Box, Colour, colours_of, extent_of
from tests.desktops.nested import SIZE, NestedDisplay, mutter, weston
from tests.native_guest import NativeGuest
from tests.native_viewer import NativeViewer
from tests.viewers.real.conftest import BLUE, BORDER, GREEN, PROGRAM, RULES

COMPOSITORS: dict[str, Callable[[Path], NestedDisplay]] = {"weston": weston, "mutter": mutter}
HEIGHT = title_bar.HEIGHT
MENU = 15
CLOSE, MAXIMISE = 15, 45
MARK, POINTER = (255, 0, 255), (255, 128, 0)
pytestmark = pytest.mark.timeout(120, func_only=True)


class Seen:
    """The one window of a guest's, known by the colour of its frame."""

    def __init__(self, display: NestedDisplay, guest: NativeGuest) -> None:
        self.display, self.guest = display, guest
        self.viewer = NativeViewer(
            display, guest.connect(), RULES, program="gui_program", log=display.folder / "viewer.log"
        )
        self.viewer.until_connected()

    def open(self, title: str) -> Path:
        """Open the window of guest_window.py; returns what it writes."""
        said = self.guest.folder / f"{title}.said"
        said.unlink(missing_ok=True)
        self.guest.start("/usr/bin/python3", shutil.copy(PROGRAM, self.guest.folder), title, said)
        self.until(lambda picture: drawn(picture, BLUE), "its frame, its bar and what it draws")
        return said

    def box(self, colour: Colour = BLUE) -> Box:
        """Where it is, with its frame."""
        found = self.display.extent(colour)
        assert found, "nothing of that colour is seen"
        return found

    def until(self, check: Callable[[Image.Image], object], what: str) -> None:
        """Wait until *check* holds for what the screen shows, the pointer of which is out of the way."""
        self.display.point(SIZE[0] - 1, SIZE[1] - 1)
        self.display.until(lambda: check(self.display.picture()), what)

    def until_said(self, said: Path, *words: object) -> None:
        """Wait until the program has written a line."""
        line = " ".join(map(str, words))
        self.display.until(lambda: line in said.read_text().splitlines(), f"it says {line!r}: {said.read_text()}")


def drawn(picture: Image.Image, colour: Colour) -> bool:
    """Whether a frame of a colour is seen whole, with a bar of it above and the guest's columns of one pixel within."""
    found = extent_of(picture, colour)
    if found is None or found.height < 2 * HEIGHT:
        return False
    left, top, right, bottom = found.corners
    row = [picture.getpixel((x, bottom - BORDER - 20)) for x in range(left + BORDER, left + BORDER + 100)]
    if row != [(255, 255, 255) if x % 2 == 0 else (0, 0, 0) for x in range(len(row))]:
        return False
    sides = [
        (left, top + HEIGHT, left + BORDER, bottom),
        (right - BORDER, top + HEIGHT, right, bottom),
        (left, bottom - BORDER, right, bottom),
    ]
    bar = picture.crop((left, top, right, top + HEIGHT))
    return all(colours_of(picture.crop(side)) == {colour} for side in sides) and len(colours_of(bar)) > 1


def made(name: str, make: Callable[[Path], NestedDisplay]) -> Iterator[Seen]:
    """A compositor, and a guest of any version: which one draws does not matter here."""
    if not shutil.which(name):
        pytest.skip(f"{name} is not installed")
    folder = Path(tempfile.mkdtemp(prefix="qm-bar-", dir="/var/tmp"))
    folder.chmod(0o755)
    display = make(folder)
    guest = NativeGuest(display.folder / "guest")
    seen = Seen(display, guest)
    yield seen
    seen.viewer.close()
    guest.close()
    display.close()
    shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(scope="module", params=COMPOSITORS)
def running(request: pytest.FixtureRequest) -> Iterator[Seen]:
    yield from made(request.param, COMPOSITORS[request.param])


@pytest.fixture
def twice_as_large() -> Iterator[Seen]:
    yield from made("weston", partial(weston, scale=2))


@pytest.fixture
def seen(running: Seen) -> Iterator[Seen]:
    """No windows yet, the rules as they are by default, and the pointer out of the way."""
    running.viewer.change_rules(RULES)
    running.viewer.events.clear()
    running.display.point(SIZE[0] - 1, SIZE[1] - 1)
    yield running
    running.guest.clear()
    running.until(lambda picture: not extent_of(picture, BLUE) and not extent_of(picture, GREEN), "its windows go")


def bar_of(title: str, colour: str, width: int) -> Image.Image:
    """The bar as it is meant to look."""
    image = QImage(width, HEIGHT, QImage.Format.Format_RGB888)
    painter = QPainter(image)
    title_bar.paint(painter, width, title, colour, is_active=True, is_maximised=False, over=None)
    painter.end()
    return Image.frombytes("RGB", (width, HEIGHT), bytes(image.constBits()), "raw", "RGB", image.bytesPerLine())


def test_the_title_stands_in_the_bar_and_the_bar_wears_the_label(seen: Seen, qtbot: QtBot) -> None:
    seen.open("letters")
    meant = bar_of("[work] letters", RULES.colour, seen.box().width)

    def looks_so(picture: Image.Image) -> bool:
        left, top, right, _bottom = seen.box().corners
        return picture.crop((left, top, right, top + HEIGHT)).tobytes() == meant.tobytes()

    seen.until(looks_so, "the bar is as it is meant to look")


def test_the_label_changes_and_the_bar_with_it(seen: Seen) -> None:
    seen.open("labelled")
    before = seen.box()
    seen.viewer.change_rules(replace(RULES, colour="#73d216"))
    seen.until(lambda picture: drawn(picture, GREEN) and not extent_of(picture, BLUE), "all of it is green")
    assert seen.box(GREEN) == before


def test_it_is_dragged_by_its_bar(seen: Seen) -> None:
    said = seen.open("dragged")
    before = seen.box()
    x, y = before.x + 200, before.y + 15
    way = (40 if before.x < 600 else -40, 40 if before.y < 300 else -40)
    seen.display.drag((x, y), (x + way[0], y + way[1]), follows=lambda: seen.box() != before)
    seen.until(lambda picture: drawn(picture, BLUE) and seen.box() != before, "it has moved")
    assert seen.box() == replace(before, x=before.x + way[0], y=before.y + way[1])
    assert not any(line.startswith("press") for line in said.read_text().splitlines())


def test_it_is_resized_by_its_edge(seen: Seen) -> None:
    said = seen.open("pulled")
    before = seen.box()
    corner = (before.x + before.width - 2, before.y + before.height - 2)
    seen.display.drag(corner, (corner[0] - 60, corner[1] - 40), follows=lambda: seen.box() != before)
    seen.until_said(said, "size", 400 - 60, 300 - 40)
    after = replace(before, width=before.width - 60, height=before.height - 40)
    seen.until(lambda picture: drawn(picture, BLUE) and seen.box() == after, "it is smaller")


def test_it_is_closed_by_its_button(seen: Seen) -> None:
    seen.open("closing")
    box = seen.box()
    seen.display.click(box.x + box.width - CLOSE, box.y + 15)
    seen.until(lambda picture: not extent_of(picture, BLUE), "it closes")
    seen.display.until(lambda: seen.viewer.heard(Windows)[-1:] == [Windows(0)], "nothing is left")


def test_it_is_maximised_by_its_button_and_restored_by_two_clicks(seen: Seen) -> None:
    said = seen.open("large")
    before = seen.box()
    seen.display.click(before.x + before.width - MAXIMISE, before.y + 15)
    seen.until_said(said, "size", SIZE[0] - 2 * BORDER, SIZE[1] - HEIGHT - BORDER)
    seen.until(lambda picture: extent_of(picture, BLUE) == Box(0, 0, *SIZE), "its frame is seen around the screen")
    seen.display.point(600, 15)
    for _ in range(2):
        seen.display.press()
        seen.display.release()
    seen.until(lambda picture: drawn(picture, BLUE) and seen.box().width == before.width, "it is as it was")


@pytest.mark.parametrize(("place", "button"), [((MENU, 15), 1), ((300, 15), 3), ((2, 150), 3)])
def test_its_menu_opens_from_the_bar_and_from_the_frame(seen: Seen, place: tuple[int, int], button: int) -> None:
    said = seen.open("menus")
    box = seen.box()
    before = seen.display.picture().crop(box.corners)
    seen.display.click(box.x + place[0], box.y + place[1], button)
    seen.until(lambda picture: picture.crop(box.corners) != before and opened(picture, box), "the menu is seen")
    seen.display.keys("s")
    seen.display.until(lambda: seen.viewer.heard(Wished) == [Wished(Wish.SHUT_DOWN)], "its entry is chosen")
    seen.until(lambda picture: drawn(picture, BLUE), "the menu goes")
    assert not [line for line in said.read_text().splitlines() if line.startswith(("press", "down"))]


def opened(picture: Image.Image, box: Box) -> bool:
    """Whether something hides a part of the columns or of the three parts above."""
    left, top, right, bottom = box.corners
    inside = picture.crop((left + BORDER, top + HEIGHT, right - BORDER, bottom - BORDER))
    return len(colours_of(inside)) > 6


def test_a_guests_menu_opens_where_its_program_wants_it(seen: Seen) -> None:
    said = seen.open("popups")
    box = seen.box()
    x, y = box.x + BORDER + 100, box.y + HEIGHT + 150
    seen.display.click(x, y, 3)
    seen.until_said(said, "press", 3, 100, 150)
    seen.until(lambda picture: extent_of(picture, MARK), "the menu is seen")
    menu = seen.box(MARK)
    assert abs(menu.x - x) <= 2 * BORDER, menu
    assert abs(menu.y - y) <= 2 * BORDER, menu
    around = seen.display.colours((menu.x - BORDER, menu.y - BORDER, menu.x + menu.width + BORDER, menu.y))
    assert around == {BLUE}
    seen.display.keys("Escape")
    seen.until(lambda picture: not extent_of(picture, MARK), "the menu goes")


def test_full_screen_is_refused_to_a_guest(seen: Seen) -> None:
    seen.guest.be_hostile("fullscreen")
    seen.display.until(lambda: seen.viewer.heard(Denied), "it is said that it was refused")
    seen.until(lambda picture: extent_of(picture, BLUE), "its frame is seen")
    assert seen.box().width < SIZE[0]


def test_where_full_screen_is_allowed_the_users_keys_begin_and_end_it_and_it_has_no_bar(seen: Seen) -> None:
    seen.viewer.change_rules(replace(RULES, allow_fullscreen=True))
    said = seen.open("full")
    seen.display.keys("super+F11")
    seen.until_said(said, "size", *SIZE)
    seen.until(lambda picture: not extent_of(picture, BLUE), "it fills the screen")
    seen.display.keys("super+F11")
    seen.until(lambda picture: drawn(picture, BLUE), "its frame and its bar are back")


def test_on_a_scaled_screen_the_bar_is_larger_and_the_guests_picture_and_pointer_are_not(twice_as_large: Seen) -> None:
    said = twice_as_large.open("scaled")
    box = twice_as_large.box()
    assert (box.width, box.height) == (400 + 2 * BORDER, 300 + 2 * HEIGHT + BORDER)

    def move() -> object:
        # A program does not hear of the first place as of a movement, and on a busy machine not of the first ones.
        for moved in (99, 100):
            twice_as_large.display.point(box.x + BORDER + moved, box.y + 2 * HEIGHT + 100)
        return twice_as_large.display.extent(POINTER)

    twice_as_large.display.until(move, "its pointer is seen")
    pointer = twice_as_large.box(POINTER)
    assert (pointer.width, pointer.height) == (24, 24)
    twice_as_large.display.click(box.x + box.width - 2 * CLOSE, box.y + 30)
    twice_as_large.until(lambda picture: not extent_of(picture, BLUE), "it closes")
    assert "press 1 100 100" not in said.read_text().splitlines()
