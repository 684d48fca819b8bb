"""The viewer as the gui service runs it, in its sandbox: what it is told, and what it tells."""

import shutil
import socket
import tempfile
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from qubes_manager.core.gui_rules import GuiRules
from qubes_manager.core.viewer_messages import Connected, Go, Launch, Mapped, Unusable, Windows, Wish, Wished
from qubes_manager.viewers.wire.framing import RENCODEPLUS, frame
from qubes_manager.viewers.wire.rencode import Sayable
from tests.desktops.x11 import X11Desktop
from tests.native_guest import NativeGuest
from tests.native_viewer import NativeViewer

RULES = GuiRules("work", "#3465a4")
BLUE, RED = (0x34, 0x65, 0xA4), (0xCC, 0, 0)
pytestmark = pytest.mark.timeout(120)


@pytest.fixture(scope="module")
def desktop() -> Iterator[X11Desktop]:
    folder = Path(tempfile.mkdtemp(prefix="qm-viewer-", dir="/var/tmp"))
    folder.chmod(0o755)
    desktop = X11Desktop(folder)
    yield desktop
    desktop.close()
    shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(scope="module")
def guest(desktop: X11Desktop) -> Iterator[NativeGuest]:
    guest = NativeGuest(desktop.folder / "guest")
    yield guest
    guest.close()


def viewer_of(desktop: X11Desktop, connection: socket.socket, *, go: bool = True) -> NativeViewer:
    log = desktop.folder / "viewer.log"
    return NativeViewer(desktop, connection, RULES, program="gui_program", log=log, go=go)


def packet(*words: Sayable) -> bytes:
    return frame(RENCODEPLUS, list(words))


def test_it_tells_of_windows_and_shows_them_again_when_it_starts_anew(desktop: X11Desktop, guest: NativeGuest) -> None:
    first = viewer_of(desktop, guest.connect())
    first.until_connected()
    guest.terminal("letters")
    window = desktop.window("[work] letters")
    desktop.wears(window, BLUE)
    assert first.heard(Windows)[-1] == Windows(1)
    assert first.heard(Mapped) == [Mapped()]
    assert first.close() == 0
    second = viewer_of(desktop, guest.connect())
    desktop.wears(desktop.window("[work] letters"), BLUE)
    second.close()
    guest.clear()


def test_rules_hold_for_windows_that_are_open_whatever_of_them_changes(desktop: X11Desktop, guest: NativeGuest) -> None:
    viewer = viewer_of(desktop, guest.connect())
    viewer.until_connected()
    guest.terminal("colours")
    window = desktop.window("[work] colours")
    before = desktop.box(window)
    viewer.change_rules(replace(RULES, colour="#cc0000", border_width=12, shown="renamed work"))
    desktop.wears(window, RED, 12)
    desktop.until(lambda: desktop.windows("[renamed work] colours") == [window], "the same window has the other title")
    desktop.until(lambda: desktop.box(window).width == before.width + 12, "the frame has taken its room outside")
    viewer.close()
    guest.clear()


def test_it_is_loaded_before_the_guest_is_there(desktop: X11Desktop, guest: NativeGuest) -> None:
    viewer = viewer_of(desktop, guest.connect(), go=False)
    guest.terminal("waiting")
    viewer.say(Go())
    viewer.until_connected()
    desktop.window("[work] waiting")
    viewer.close()
    guest.clear()


@pytest.mark.parametrize("dpi", [120, 192])
def test_a_guest_has_the_resolution_that_the_desktop_gives_its_programs(
    desktop: X11Desktop, guest: NativeGuest, dpi: int
) -> None:
    resources = desktop.folder / "resources"
    resources.write_text(f"Xft.dpi:\t{dpi}\n")
    desktop.tool("xrdb", "-load", str(resources))
    viewer = viewer_of(desktop, guest.connect())
    viewer.until_connected()
    desktop.until(lambda: guest.resolution() == str(dpi), f"{dpi} dpi in the guest")
    # Where units are pixels, windows are as large as the guest's.
    guest.terminal("dense")
    desktop.wears(desktop.window("[work] dense"), BLUE)
    viewer.close()
    guest.clear()
    resources.write_text("")
    desktop.tool("xrdb", "-load", str(resources))


def test_a_server_of_a_version_that_is_not_known_is_said_and_not_tried_again(desktop: X11Desktop) -> None:
    ours, theirs = socket.socketpair()
    viewer = viewer_of(desktop, ours)
    theirs.sendall(b"qubes-manager-gui 1 xpra 7.0\n")
    desktop.until(lambda: not viewer.is_running, "it ends")
    [said] = viewer.heard(Unusable)
    assert "7.0" in said.reason
    assert viewer.close() == 72
    theirs.close()


def test_a_guest_that_opens_windows_without_end_is_told_of_now_and_then(desktop: X11Desktop) -> None:
    ours, theirs = socket.socketpair()
    begun = time.monotonic()
    viewer = viewer_of(desktop, ours)
    theirs.sendall(b"qubes-manager-gui 1 xpra 6.5\n" + packet("hello", {"version": "6.5"}))
    theirs.sendall(500 * packet("startup-complete"))
    for wid in range(1, 301):
        theirs.sendall(packet("new-window", wid, 0, 0, 50, 50, {}) + packet("lost-window", wid))
    theirs.sendall(packet("new-window", 1000, 0, 0, 50, 50, {}))
    desktop.until(
        lambda: viewer.heard(Mapped) and viewer.heard(Windows)[-1:] == [Windows(1)], "the last window is told"
    )
    tenths = (time.monotonic() - begun) * 10
    assert viewer.heard(Connected) == [Connected()]
    # Qt's timers may be early by a twentieth.
    assert max(len(viewer.heard(Windows)), len(viewer.heard(Mapped))) <= 1.1 * tenths + 2
    viewer.close()
    theirs.close()


def test_the_menu_of_a_frame_shuts_its_domain_down(desktop: X11Desktop, guest: NativeGuest) -> None:
    viewer = viewer_of(desktop, guest.connect())
    viewer.until_connected()
    guest.terminal("menu")
    window = desktop.window("[work] menu")
    desktop.wears(window, BLUE)
    box = desktop.box(window)
    inside = box.within(20).corners
    before = desktop.colours(inside)
    desktop.click(box.x + box.width // 2, box.y + 2, button=3)
    desktop.until(lambda: desktop.colours(inside) != before, "a menu")
    desktop.keys("s")
    desktop.until(lambda: viewer.heard(Wished), "the wish is told")
    assert viewer.heard(Wished) == [Wished(Wish.SHUT_DOWN)]
    viewer.close()
    guest.clear()


def test_a_window_is_told_to_belong_to_its_launch_and_to_its_domains_application(
    desktop: X11Desktop, guest: NativeGuest
) -> None:
    viewer = viewer_of(desktop, guest.connect())
    viewer.until_connected()
    viewer.say(Launch("launched-1_TIME0"))
    guest.terminal("launched")
    window = desktop.window("[work] launched")
    told = desktop.tool("xprop", "-id", window, "WM_CLASS", "_NET_STARTUP_ID", "WM_NORMAL_HINTS", "_NET_WM_WINDOW_TYPE")
    assert 'WM_CLASS(STRING) = "work:xterm", "work:XTerm"' in told
    assert '_NET_STARTUP_ID(UTF8_STRING) = "launched-1_TIME0"' in told
    assert "_NET_WM_WINDOW_TYPE_NORMAL" in told
    # A cell of the terminal's.
    assert "program specified resize increment: 6 by 13" in told
    guest.terminal("another")
    told = desktop.tool("xprop", "-id", desktop.window("[work] another"), "_NET_STARTUP_ID")
    assert "launched-1" not in told
    viewer.close()
    guest.clear()
