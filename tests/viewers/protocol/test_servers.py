"""What real servers say is understood wholly, and what is said to them is done."""

import re
from collections.abc import Iterator

import pytest

from qubes_manager.viewers.protocol import packets
from qubes_manager.viewers.protocol.packets import Box, KeyboardLayout, PixelFormat
from tests.native_guest import NativeGuest
from tests.viewers.protocol.talk import Talk, talking
from tests.viewers.real.conftest import PROGRAM as GUEST_WINDOW

# The first to come makes the server's tree.
pytestmark = pytest.mark.timeout(120, func_only=True)
# A window that is red, and half of it is seen through.
_ALPHA = """
import gi
gi.require_version("Gtk", "3.0")
from gi.repository import Gtk
window = Gtk.Window(title="alpha", app_paintable=True)
window.set_visual(window.get_screen().get_rgba_visual())
def draw(_window, context):
    context.set_source_rgba(1, 0, 0, 0.5)
    context.set_operator(1)
    context.paint()
    return True
window.connect("draw", draw)
window.show_all()
Gtk.main()
"""


@pytest.fixture(scope="module", params=["3.1", "6.5"])
def guest(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[NativeGuest]:
    """A server, without programs."""
    guest = NativeGuest(tmp_path_factory.mktemp("server") / "guest", request.param)
    yield guest
    guest.close()


@pytest.fixture(autouse=True)
def _without_programs(guest: NativeGuest) -> Iterator[None]:
    yield
    guest.clear()


def assert_understood(talk: Talk) -> None:
    """Nothing was malformed; what 6 says of its encodings needs nobody."""
    assert set(talk.session.dropped) <= {"unknown"}
    assert talk.session.dropped["unknown"] <= 1


def _shown(talk: Talk, title: str) -> packets.NewWindow:
    talk.until(lambda: talk.window(title))
    made = talk.window(title)
    assert made
    talk.until(lambda: talk.pictures(made.wid))
    return made


def test_a_window_comes_with_what_is_said_of_it_and_its_picture(guest: NativeGuest) -> None:
    guest.terminal("Grüße", "exec cat", "-geometry", "80x24", "-xrm", "*.iconHint: mini.xterm")
    with talking(guest) as talk:
        made = _shown(talk, "Grüße")
        said = made.metadata
        assert made.managed
        assert (said.class_instance, said.window_types) == (("xterm", "XTerm"), ("NORMAL",))
        assert said.constraints
        assert said.constraints.base
        assert said.constraints.increment
        drawn = talk.pictures(made.wid)[0]
        assert (drawn.box.width, drawn.box.height) == (made.box.width, made.box.height)
        assert drawn.pixel_format is PixelFormat.BGRX
        # A blank terminal is white but for its cursor.
        assert drawn.pixels.count(b"\xff\xff\xff") > len(drawn.pixels) / 8
        assert_understood(talk)


def test_a_window_with_alpha_is_as_opaque_as_others_and_costs_its_server_no_other_pixels(guest: NativeGuest) -> None:
    program = guest.folder / "alpha.py"
    program.write_text(_ALPHA)
    guest.start("/usr/bin/python3", program)
    with talking(guest) as talk:
        wid = _shown(talk, "alpha").wid
        talk.until(lambda: talk.pictures(wid)[-1].pixels[:3] == b"\x00\x00\x80")
        assert {picture.pixel_format for picture in talk.pictures(wid)} == {PixelFormat.BGRX}
        assert_understood(talk)


def test_keys_are_read_as_the_layout_has_them_also_after_it_has_changed(guest: NativeGuest) -> None:
    typed = guest.folder / "typed"
    typed.write_text("")
    guest.terminal("keys", "exec cat >>typed", "-u8")
    with talking(guest, "de") as talk:
        wid = _shown(talk, "keys").wid
        talk.say(packets.Focus(wid))
        for layout, expected in (("de", "zyß@â\n"), ("us", "yz-q`a\n"), ("ru", "ня-йёф\n")):
            talk.say(packets.LayoutChanged(KeyboardLayout(layout)))
            _type(talk, wid)
            talk.until(lambda: typed.read_text().endswith("\n"))
            assert typed.read_text() == expected
            typed.write_text("")


def _type(talk: Talk, wid: int) -> None:
    """Y, Z, minus, AltGr with Q, backquote, A and Return of an American keyboard, by their places."""
    for code in (29, 52, 20):
        _press(talk, wid, code)
    talk.say(packets.KeyAction(wid, "ISO_Level3_Shift", True, keycode=108))
    _press(talk, wid, 24, "mod5")
    talk.say(packets.KeyAction(wid, "ISO_Level3_Shift", False, ("mod5",), keycode=108))
    # The first two are a dead circumflex and its letter in German.
    for code in (49, 38, 36):
        _press(talk, wid, code)


def _press(talk: Talk, wid: int, code: int, *modifiers: str) -> None:
    for pressed in (True, False):
        talk.say(packets.KeyAction(wid, "", pressed, modifiers, keycode=code))


def test_a_menu_is_no_managed_window_and_follows_the_pointer(guest: NativeGuest) -> None:
    guest.terminal("menus", "exec cat")
    with talking(guest) as talk:
        made = _shown(talk, "menus")
        x, y = made.box.x + 40, made.box.y + 40
        talk.say(packets.Focus(made.wid))
        talk.say(packets.PointerPosition(made.wid, x, y))
        talk.say(packets.KeyAction(made.wid, "Control_L", True, keycode=37))
        talk.say(packets.ButtonAction(made.wid, 1, True, x, y, ("control",), (1,)))
        talk.until(lambda: [window for window in talk.of(packets.NewWindow) if not window.managed])
        menu = next(window for window in talk.of(packets.NewWindow) if not window.managed)
        talk.until(lambda: talk.pictures(menu.wid))
        talk.say(packets.ButtonAction(made.wid, 1, False, x, y, ("control",)))
        talk.say(packets.KeyAction(made.wid, "Control_L", False, ("control",), keycode=37))
        talk.until(lambda: packets.LostWindow(menu.wid) in talk.heard)
        assert_understood(talk)


def test_a_window_that_the_user_resized_is_drawn_anew_and_told_its_size(guest: NativeGuest) -> None:
    (guest.folder / "size").write_text("")
    guest.terminal("sizes", "trap 'stty size >size' WINCH; stty size >size; while :; do sleep 0.1; done")
    with talking(guest) as talk:
        made = _shown(talk, "sizes")
        assert made.metadata.constraints
        wide, high = made.metadata.constraints.increment or (1, 1)
        box = Box(made.box.x, made.box.y, made.box.width + 10 * wide, made.box.height + 5 * high)
        talk.say(packets.ConfigureWindow(made.wid, box))
        talk.until(lambda: (guest.folder / "size").read_text() == "29 90\n")
        talk.until(lambda: any((d.box.width, d.box.height) == (box.width, box.height) for d in talk.pictures(made.wid)))
        talk.say(packets.CloseWindow(made.wid))
        talk.until(lambda: packets.LostWindow(made.wid) in talk.heard)
        assert_understood(talk)


def test_the_screen_becomes_what_the_host_says_and_so_does_its_resolution(guest: NativeGuest) -> None:
    with talking(guest) as talk:
        talk.until(lambda: _screen(guest) == ("1280x800", "120"))
        talk.say(packets.ScreenChanged(1920, 1080, 192))
        talk.until(lambda: _screen(guest) == ("1920x1080", "192"))


def _screen(guest: NativeGuest) -> tuple[str, str]:
    """The size and the resolution that programs in the guest see."""
    size = re.search(r"-geometry (\d+x\d+)", guest.run("xwininfo", "-root"))
    resources = guest.run("xprop", "-root", "RESOURCE_MANAGER")
    dpi = re.search(r"Xft.dpi:\\t(\d+)", resources)
    return size[1] if size else "", dpi[1] if dpi else resources


def test_a_pointer_and_an_icon_come_as_pixels(guest: NativeGuest) -> None:
    # It has an icon of its own: what others get depends on the themes that are where the server is.
    guest.start("/usr/bin/python3", GUEST_WINDOW, "icon", guest.folder / "said")
    guest.terminal("pictures", "exec cat")
    with talking(guest) as talk:
        with_icon, made = _shown(talk, "icon"), _shown(talk, "pictures")
        talk.say(packets.PointerPosition(made.wid, made.box.x + 40, made.box.y + 40))
        talk.until(lambda: talk.of(packets.Cursor))
        talk.until(lambda: [icon for icon in talk.of(packets.WindowIcon) if icon.wid == with_icon.wid])
        assert_understood(talk)


def test_a_viewer_that_went_is_followed_by_another(guest: NativeGuest) -> None:
    guest.terminal("stays", "exec cat")
    for _ in range(2):
        with talking(guest) as talk:
            _shown(talk, "stays")
            talk.say(packets.Goodbye())
