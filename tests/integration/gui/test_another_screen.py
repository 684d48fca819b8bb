"""Windows of the same guests on another screen of their user's, which is one of Wayland."""

import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.desk import Desk, WaylandDesk
from tests.integration.desk.conftest import keys_of, open_keys
from tests.integration.gui.conftest import BLUE, MARKS, RED, in_guest, open_terminal

pytestmark = MARKS
COLOURS = {"work": BLUE, "untrusted": RED}
# Each letter of a word comes in it once.
WORDS = {"work": "blue", "untrusted": "red"}
# A terminal's ground and letters, and its menu.
PROMPT, MARK = {(255, 255, 255), (0, 0, 0)}, (255, 0, 255)
# What makes all of a terminal's menu one colour.
MARKED = " ".join(
    f"-xrm '*SimpleMenu*{resource}'" for resource in ("background: #ff00ff", "foreground: #ff00ff", "borderWidth: 0")
)


@pytest.fixture(scope="module")
def wayland(desk: Desk) -> Iterator[WaylandDesk]:
    """The other screen, to which the user has taken the windows of both domains."""
    folder = Path(tempfile.mkdtemp(prefix="qm-desk-", dir="/var/tmp"))
    folder.chmod(0o755)
    wayland = WaylandDesk(folder, desk.uri, desk.home)
    try:
        wayland.run("qvm-start-gui", "--take-over", *COLOURS)
        yield wayland
    finally:
        wayland.close()
        shutil.rmtree(folder, ignore_errors=True)


def test_windows_of_both_domains_wear_their_names_and_colours_there_and_there_alone(
    desk: Desk, wayland: WaylandDesk
) -> None:
    windows = {name: open_terminal(wayland, name, "letters") for name in COLOURS}
    wayland.move(windows["work"], 60, 60)
    wayland.move(windows["untrusted"], 640, 360)
    for name, colour in COLOURS.items():
        wayland.wears(windows[name], colour)
        inside = wayland.box(windows[name]).within(6).corners
        wayland.until(lambda inside=inside: wayland.colours(inside) >= PROMPT, "what is in it")  # type: ignore[misc]
    assert wayland.titles() == [f"[{name}] letters" for name in COLOURS]
    assert not [title for title in desk.titles() if title.startswith("[")]
    wayland.picture("two-domains-on-wayland")


def test_what_is_typed_comes_to_the_domain_whose_window_has_the_keyboard(wayland: WaylandDesk) -> None:
    windows = {name: open_keys(wayland, name) for name in COLOURS}
    for name, window in windows.items():
        wayland.raise_window(window)
        wayland.until(lambda window=window: wayland.focused() == window, "it has the keyboard")  # type: ignore[misc]
        wayland.type(WORDS[name])
        last = f"-{WORDS[name][-1]}"
        wayland.until(lambda name=name, last=last: last in keys_of(wayland, name), "the word is there")  # type: ignore[misc]
    for name, window in windows.items():
        # A guest that stands still for a moment while a key is down repeats it.
        pressed = dict.fromkeys(key for key in keys_of(wayland, name) if key.startswith("+"))
        assert "".join(pressed) == "".join(f"+{letter}" for letter in WORDS[name])
        wayland.close_window(window)


@pytest.mark.parametrize("name", COLOURS)
def test_a_menu_is_a_popup_with_the_frame_where_the_pointer_is(wayland: WaylandDesk, name: str) -> None:
    window = open_terminal(wayland, name, "menus", MARKED)
    wayland.wears(window, COLOURS[name])
    titles = wayland.titles()
    inside = wayland.box(window).within(6)
    x, y = inside.x + inside.width // 2, inside.y + inside.height // 2

    def is_seen() -> bool:
        menu = wayland.extent(MARK)
        if not menu or not wayland.is_framed(menu, COLOURS[name]):
            return False
        left, top, right, bottom = menu.corners
        return left <= x < right and top <= y < bottom

    wayland.hold("Control_L")
    wayland.point(x, y)
    wayland.press(3)
    wayland.until(is_seen, "the menu with its frame")
    wayland.picture(f"menu-on-wayland-{name}")
    # Sway lists windows, and among them no popups.
    assert wayland.titles() == titles
    wayland.release(3)
    wayland.let_go("Control_L")
    wayland.until(lambda: not wayland.extent(MARK), "the menu goes")
    wayland.close_window(window)


@pytest.mark.parametrize("name", COLOURS)
def test_a_window_is_closed_and_its_program_ends(wayland: WaylandDesk, name: str) -> None:
    wayland.close_window(open_terminal(wayland, name, "closing"))
    wayland.until(lambda: not wayland.windows(f"[{name}] closing"), "it closes")
    wayland.until(lambda: not in_guest(wayland, name, "pgrep -f [c]losing", check=False), "its program ends")


def test_windows_come_back_when_that_screen_has_gone(desk: Desk, wayland: WaylandDesk) -> None:
    wayland.end_programs()
    for name, colour in COLOURS.items():
        window = desk.window(f"[{name}] letters")
        desk.wears(window, colour)
        desk.close_window(window)
    desk.until(lambda: not any("letters" in title for title in desk.titles()), "they are closed")
