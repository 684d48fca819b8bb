"""What is typed and pointed at comes to the guest's programs, and the host's own keys do not."""

import pytest

from qubes_manager.core.viewer_messages import Crossing, Pressed
from tests.desktops.sway import SwayDesktop
from tests.viewers.real.conftest import Shown

TEXTS = {
    "us": "Hello, World! ~/{}[]",
    "de": "zyäöüÄÖÜß@€{}\\",
    "fr": "azqwéèçà&§",
    "ru": "Привет, мир!",
    "jp": "abc\\@[]^",
}
pytestmark = pytest.mark.timeout(120, func_only=True)


def test_texts_are_typed_on_layouts_that_change_while_a_program_runs(shown: Shown) -> None:
    shown.terminal("typing", "LC_ALL=C.UTF-8 exec cat >typed", "-u8")
    typed = shown.guest.folder / "typed"
    for layout, text in TEXTS.items():
        shown.desktop.layout(layout)
        shown.desktop.type(text)
        shown.desktop.keys("Return")
        line = f"{text}\n"
        shown.desktop.until(lambda line=line: typed.read_text().endswith(line), f"{text!r} is read")  # type: ignore[misc]
    shown.desktop.layout("us")
    assert typed.read_text() == "".join(f"{text}\n" for text in TEXTS.values())


def test_dead_keys_make_letters(shown: Shown) -> None:
    shown.terminal("composing", "LC_ALL=C.UTF-8 exec cat >composed", "-u8")
    shown.desktop.layout("de")
    shown.desktop.keys("dead_acute", "e", "dead_circumflex", "o", "Return")
    composed = shown.guest.folder / "composed"
    shown.desktop.until(lambda: composed.read_text() == "éô\n", "both letters")
    shown.desktop.layout("us")


def test_a_compose_key_makes_letters(shown: Shown) -> None:
    shown.terminal("compose key", "LC_ALL=C.UTF-8 exec cat >composed-by-key", "-u8")
    shown.desktop.layout("us", "compose:ralt")
    shown.desktop.keys("Multi_key", "apostrophe", "e", "Multi_key", "s", "s", "Return")
    composed = shown.guest.folder / "composed-by-key"
    shown.desktop.until(lambda: composed.read_text() == "éß\n", "both letters")
    shown.desktop.layout("us")


def test_the_text_of_an_input_method_comes_to_the_guest(shown: Shown) -> None:
    if not isinstance(shown.desktop, SwayDesktop):
        pytest.skip("viewers have no bus for the input methods of X11")
    hands = shown.desktop.hands
    hands.be_input_method()
    shown.terminal("method", "LC_ALL=C.UTF-8 exec cat >given", "-u8")
    shown.desktop.until(lambda: hands.gives_text("漢字"), "the window takes text")
    shown.desktop.keys("Return")
    given = shown.guest.folder / "given"
    shown.desktop.until(lambda: given.read_text() == "漢字\n", "the text")


def test_the_clipboards_keys_are_the_hosts_and_others_the_guests(shown: Shown) -> None:
    window = shown.open("keys")
    shown.desktop.keys("ctrl+shift+c", "ctrl+shift+v", "ctrl+c", "Escape")
    window.until_said("up", "Escape")
    heard = [event.what for event in shown.viewer.heard(Pressed)]
    assert heard == [Crossing.COPY, Crossing.PASTE]
    letters = [line for line in window.lines() if line.startswith("down") and "_" not in line]
    assert letters == ["down c", "down Escape"]


def test_a_key_that_is_held_repeats_until_it_is_let_go(shown: Shown) -> None:
    window = shown.open("held")
    shown.desktop.hold("a")
    shown.desktop.until(lambda: window.lines().count("down a") >= 3, "it repeats")
    shown.desktop.let_go("a")
    window.until_said("up", "a")
    shown.desktop.keys("b")
    window.until_said("up", "b")
    lines = window.lines()
    assert "down a" not in lines[lines.index("down b") :]


def test_keys_come_to_the_window_that_has_the_keyboard(shown: Shown) -> None:
    first, second = shown.open("one"), shown.open("another")
    for window, key in ((first, "x"), (second, "y"), (first, "z")):
        shown.desktop.raise_window(window.window)
        shown.desktop.until(lambda window=window: shown.desktop.focused() == window.window, "it has the keyboard")  # type: ignore[misc]
        shown.desktop.keys(key)
        window.until_said("up", key)
    assert [line for line in first.lines() if line.startswith("down")] == ["down x", "down z"]
    assert [line for line in second.lines() if line.startswith("down")] == ["down y"]


def test_all_buttons_and_the_wheel_come_to_the_program(shown: Shown) -> None:
    window = shown.open("buttons")
    for number, button in enumerate(shown.desktop.buttons):
        # With the border, whole units at 125 %: of the pointer's movements KWin 5.27 tells no parts of them.
        x = 29 + 5 * number
        shown.desktop.click(*window.place(x, 199), button)
        window.until_said("press", button, x, 199)
        window.until_said("release", button)
    for button, way in ((4, "up"), (5, "down"), (6, "left"), (7, "right")):
        shown.desktop.click(*window.place(60, 200), button)
        window.until_said("scroll", way)
