"""Who has the keyboard when a guest opens windows: on X11 the user alone takes it away from another program."""

import subprocess
from collections.abc import Iterator

import pytest

from qubes_manager.core.viewer_messages import Launch
from tests.desktops.x11 import X11Desktop
from tests.viewers.real.conftest import Shown
from tests.waiting import PATIENCE

pytestmark = pytest.mark.timeout(120, func_only=True)


@pytest.fixture
def own(shown: Shown) -> Iterator[str]:
    """A window of the user's own, to which the user has just switched."""
    if not isinstance(shown.desktop, X11Desktop):
        pytest.skip("sway gives the keyboard to whatever is new")
    shown.terminal("before")
    program = subprocess.Popen(["xterm", "-T", "own", "-e", "cat"], env=shown.desktop.environment)
    window = shown.desktop.window("own")
    shown.desktop.raise_window(window)
    shown.desktop.until(lambda: shown.desktop.focused() == window, "the user's own window has the keyboard")
    yield window
    program.terminate()
    program.wait(PATIENCE)


def test_a_window_that_nobody_waits_for_leaves_the_keyboard_where_it_is(shown: Shown, own: str) -> None:
    window = shown.open("uncalled")
    # Which brought it to the front.
    shown.desktop.raise_window(own)
    for title in ("one more", "and another"):
        shown.guest.terminal(title)
        shown.desktop.window(f"[work] {title}")
    shown.desktop.type("x")
    shown.desktop.until(lambda: shown.desktop.focused() == own, "the user's own window has the keyboard")
    assert not [line for line in window.lines() if line.startswith("down")]


def test_a_window_that_was_launched_gets_the_keyboard_and_so_does_one_that_another_one_opens(
    shown: Shown, own: str
) -> None:
    assert own
    shown.viewer.say(Launch(""))
    for title in ("launched", "opened by it"):
        shown.guest.terminal(title)
        window = shown.desktop.window(f"[work] {title}")
        shown.desktop.until(lambda window=window: shown.desktop.focused() == window, f"{title} has the keyboard")  # type: ignore[misc]
