"""Which screen viewers use."""

import socket
from pathlib import Path

import pytest

from qubes_manager.backend.viewers.display import Display, Platform, display_of, x_display
from qubes_manager.core.errors import Refused


@pytest.fixture
def compositor(tmp_path: Path) -> Path:
    path = tmp_path / "wayland-7"
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(path))
    return path


def test_wayland_is_used_where_it_is(compositor: Path) -> None:
    found = Display(Platform.WAYLAND, str(compositor))
    assert display_of({"WAYLAND_DISPLAY": "wayland-7", "XDG_RUNTIME_DIR": str(compositor.parent)}) == found
    # A path needs no folder, and an X server beside it is XWayland.
    assert display_of({"WAYLAND_DISPLAY": str(compositor), "DISPLAY": ":0"}) == found


@pytest.mark.parametrize("wanted", ["wayland", "offscreen", ""])
def test_what_the_user_says_to_qt_decides_only_for_x(compositor: Path, wanted: str) -> None:
    environment = {"WAYLAND_DISPLAY": str(compositor), "DISPLAY": ":3", "QT_QPA_PLATFORM": wanted}
    assert display_of(environment).platform is Platform.WAYLAND
    assert display_of({**environment, "QT_QPA_PLATFORM": "xcb"}).platform is Platform.X11
    # There is no X server to use.
    assert display_of({"WAYLAND_DISPLAY": str(compositor), "QT_QPA_PLATFORM": "xcb"}).platform is Platform.WAYLAND


@pytest.mark.parametrize("stale", ["wayland-0", "/nonexistent/wayland-0"])
def test_a_compositor_that_is_gone_leaves_x(stale: str, tmp_path: Path) -> None:
    environment = {"WAYLAND_DISPLAY": stale, "XDG_RUNTIME_DIR": str(tmp_path), "DISPLAY": ":3.1", "HOME": "/h"}
    assert display_of(environment) == Display(Platform.X11, "/tmp/.X11-unix/X3", ":3.1", "/h/.Xauthority")
    assert display_of({**environment, "XAUTHORITY": "/keys"}).authority == "/keys"


def test_without_a_screen_of_this_machine_nothing_is_shown() -> None:
    with pytest.raises(Refused, match="there is no screen to show windows on: log in to a desktop"):
        display_of({"WAYLAND_DISPLAY": "wayland-0"})
    with pytest.raises(Refused, match="is not on this machine"):
        display_of({"DISPLAY": "far:0"})


def test_a_console_needs_x_where_windows_do_not(compositor: Path) -> None:
    with pytest.raises(
        Refused, match="a console needs an X display, and there is none: log in to a desktop with X or XWayland"
    ):
        x_display({"WAYLAND_DISPLAY": str(compositor)})
