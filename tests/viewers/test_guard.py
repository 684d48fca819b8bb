"""What gets past the guard between a hostile display server and the client that draws."""

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from qubes_manager.core.gui_rules import GuiRules
from qubes_manager.viewers.guard import Guard

RULES = GuiRules("work", "#3465a4", border_width=6)
SCREEN = (1280, 800)


class Watched:
    """A guard with what it refused."""

    def __init__(self, rules: GuiRules = RULES) -> None:
        self.refused: list[str] = []
        self.guard = Guard(rules, lambda: SCREEN, self.refused.append)

    def admit(self, *packet: Any) -> list[list[Any]]:
        return self.guard.admit(list(packet))

    def opened(self, wid: int = 1, size: tuple[int, int] = (400, 300), **metadata: Any) -> list[Any]:
        """Open an ordinary window and return the packet that the client gets."""
        meta = {name.replace("_", "-").encode(): value for name, value in metadata.items()}
        [packet] = self.admit("new-window", wid, 100, 100, *size, meta, {})
        return packet


def test_a_window_gets_room_for_its_border_and_the_guest_does_not_notice() -> None:
    watched = Watched()
    kind, wid, x, y, width, height, metadata, properties = watched.opened(title=b"Editor")
    assert (kind, wid, x, y, width, height) == ("new-window", 1, 94, 94, 412, 312)
    assert metadata[b"title"] == b"[work] Editor"
    assert properties == {}
    # What the guest draws comes to lie inside; what the host tells of the window's place is that of the inside.
    [draw] = watched.admit("draw", 1, 10, 20, 30, 40, "rgb24", b"", 1, 90, {})
    assert draw[:7] == ["draw", 1, 16, 26, 30, 40, "rgb24"]
    [scroll] = watched.admit("draw", 1, 0, 0, 400, 300, "scroll", [(0, 10, 400, 290, 0, -10)], 1, 0, {})
    assert scroll[7] == [(6, 16, 400, 290, 0, -10)]
    assert watched.guard.send(("map-window", 1, 200, 210, 412, 312, {}, {})) == [
        "map-window",
        1,
        206,
        216,
        400,
        300,
        {},
        {},
    ]
    assert watched.guard.send(("configure-window", 1, 0, 0, 5, 5, {}, 0, {}, False))[4:6] == [1, 1]
    [resized] = watched.admit("window-resized", 1, 500, 350, 3)
    assert resized == ["window-resized", 1, 512, 362, 3]


def test_size_hints_leave_room_for_the_border() -> None:
    hints = {b"minimum-size": (100, 50), b"base-size": (19, 4), b"increment": (6, 13), b"gravity": 1, "x": 2}
    constraints = Watched().opened(size_constraints=hints)[6][b"size-constraints"]
    assert constraints == {b"minimum-size": (112, 62), b"base-size": (31, 16), b"increment": (6, 13)}
    huge = Watched().opened(size_constraints={b"minimum-size": (30000, 30000)})[6][b"size-constraints"]
    assert huge == {b"minimum-size": (1152, 720)}


@pytest.mark.parametrize(
    ("title", "shown", "in_utf8"),
    [
        (b"plain", "[work] plain", "[work] plain"),
        ("Grüße".encode(), "[work] Gr__e", "[work] Grüße"),
        (b"a\x1b[31mred\x1b]0;x\x07\nb", "[work] ared b", "[work] ared b"),
        ("[vault] ‮desrever".encode(), "[work] [vault] desrever", "[work] [vault] desrever"),
        (b"\xff\xfe", "[work] __", "[work] ��"),
        (b"@windowid@", "[work] @windowid@", "[work] @windowid@"),
        (b"", "[work]", "[work]"),
    ],
)
def test_titles_are_marked_and_stripped(title: bytes, shown: str, in_utf8: str) -> None:
    assert Watched().opened(title=title)[6][b"title"].decode() == shown
    free = Watched(replace(RULES, allow_utf8_titles=True))
    assert free.opened(title=title)[6][b"title"].decode() == in_utf8


def test_a_title_of_a_mebibyte_is_cut() -> None:
    assert len(Watched().opened(title=b"x" * (1 << 20))[6][b"title"]) < 220
    watched = Watched()
    watched.opened()
    [update] = watched.admit("window-metadata", 1, {b"title": b"y" * (1 << 20), b"icon-title": b"z" * (1 << 20)})
    assert all(len(text) < 220 for text in update[2].values())


def test_full_screen_is_refused_unless_allowed() -> None:
    watched = Watched()
    assert b"fullscreen" not in watched.opened(fullscreen=True)[6]
    assert watched.admit("window-metadata", 1, {b"fullscreen": True, b"fullscreen-monitors": [0, 0, 0, 0]}) == []
    assert watched.refused == ["full screen"] * 2
    free = Watched(replace(RULES, allow_fullscreen=True))
    assert free.opened(fullscreen=True)[6][b"fullscreen"] is True
    # Taken back while a window is in full screen, the rule holds for that window too.
    assert free.guard.change_rules(RULES) == [["window-metadata", 1, {b"fullscreen": False}]]
    assert free.guard.change_rules(RULES) == []


def test_an_unmanaged_window_over_most_of_the_screen_becomes_an_ordinary_one() -> None:
    watched = Watched()
    [packet] = watched.admit("new-override-redirect", 7, 0, 0, 1280, 800, {b"window-type": [b"POPUP_MENU"]}, {})
    assert packet[0] == "new-window"
    assert packet[6][b"window-type"] == ["NORMAL"]
    assert packet[6][b"decorations"] is True
    # A small one stays what it is, and cannot grow over the limit later.
    [menu] = watched.admit("new-override-redirect", 8, 0, 0, 100, 100, {}, {})
    assert menu[0] == "new-override-redirect"
    [grown] = watched.admit("configure-override-redirect", 8, 0, 0, 5000, 5000)
    assert grown[4] * grown[5] <= 0.9 * 1280 * 800
    free = Watched(replace(RULES, override_redirect_protection=False))
    assert free.admit("new-override-redirect", 7, 0, 0, 1280, 800, {}, {})[0][0] == "new-override-redirect"


def test_a_type_that_the_client_does_not_manage_counts_as_unmanaged() -> None:
    [packet] = Watched().admit("new-window", 1, 0, 0, 1280, 800, {b"window-type": ["DROPDOWN_MENU"]}, {})
    assert packet[6][b"window-type"] == ["NORMAL"]
    # Neither a type that window managers leave bare, nor one that is given later, gets around that.
    for kind in ("SPLASH", "MENU", "TOOLTIP", "COMBO", "DND"):
        watched = Watched()
        large = watched.opened(size=(1280, 800), window_type=[kind])[6]
        assert (large[b"window-type"], large[b"decorations"]) == (["NORMAL"], True)
        watched.opened(2, window_type=[kind])
        [grown] = watched.admit("window-resized", 2, 1280, 800)
        assert grown[2] * grown[3] <= 0.9 * 1280 * 800
    assert watched.admit("window-metadata", 1, {b"window-type": ["POPUP_MENU"]}) == []
    assert watched.opened(3)[6][b"decorations"] is True
    for kind in ("DOCK", "DESKTOP", "NOTIFICATION"):
        assert Watched().opened(window_type=[kind])[6][b"window-type"] == ["NORMAL"]


def test_a_large_window_keeps_its_frame() -> None:
    watched = Watched()
    assert watched.opened(size=(1280, 800), decorations=0)[6][b"decorations"] is True
    watched.opened(2, decorations=False)
    assert watched.admit("window-resized", 2, 1270, 790) == [
        ["window-metadata", 2, {b"decorations": True}],
        ["window-resized", 2, 1282, 802],
    ]
    watched.opened(3)
    [update] = watched.admit("window-metadata", 3, {b"decorations": False, b"maximized": True})
    assert update[2] == {b"decorations": True, b"maximized": True}


def test_windows_are_counted() -> None:
    watched = Watched(replace(RULES, windows_count_limit=3))
    for wid in range(1, 601):
        watched.admit("new-window", wid, 0, 0, 10, 10, {}, {})
    assert [wid for wid in range(1, 601) if watched.admit("window-metadata", wid, {b"title": b"t"})] == [1, 2, 3]
    assert set(watched.refused) == {"too many windows", "a malformed packet"}
    watched.admit("lost-window", 2)
    assert watched.admit("new-window", 700, 0, 0, 10, 10, {}, {})


def test_windows_stay_where_they_can_be_reached() -> None:
    watched = Watched()
    for place in ((-30000, -30000), (30000, 30000)):
        [packet] = watched.admit("new-window", 1, *place, 400, 300, {}, {})
        assert -packet[4] + 64 <= packet[2] <= 1280 - 64
        assert 0 <= packet[3] <= 800 - 64
        [moved] = watched.admit("window-move-resize", 1, *place, 400, 300)
        assert 0 <= moved[3] <= 800 - 64
        watched.admit("lost-window", 1)


@pytest.mark.parametrize(
    "kind",
    [
        "raise-window",
        "pointer-grab",
        "bell",
        "notify_show",
        "new-tray",
        "clipboard-token",
        "send-file",
        "open-url",
        "challenge",
        "control",
        "setting-change",
        "server-event",
        "sound-data",
        "rpc-reply",
        "no-such-thing",
    ],
)
def test_other_packets_do_not_pass(kind: str) -> None:
    watched = Watched()
    watched.opened()
    assert watched.admit(kind, 1, 2, 3, 4, 5, 6, 7) == []
    assert watched.admit(kind.encode(), 1) == []


def test_other_metadata_do_not_pass() -> None:
    hostile = {
        b"opacity": 0,
        b"shape": {b"Bounding": []},
        b"strut": {},
        b"above": True,
        b"sticky": True,
        b"skip-taskbar": True,
        b"bypass-compositor": 1,
        b"x11-property": (b"A", b"B", 8, b"c"),
        b"xid": b"0x1",
        b"pid": 1,
        b"has-alpha": True,
        b"command": b"sh",
        b"tray": True,
        b"class-instance": [b"../vault", "Vault\u202e"],
        b"role": b"ro le",
        b"transient-for": -1,
        b"iconic": False,
    }
    [packet] = Watched().admit("new-window", 1, 0, 0, 10, 10, hostile, {b"workspace": 3, b"screen": 1})
    assert packet[6] == {
        b"class-instance": ["work:.._vault", "work:Vault_"],
        b"role": "ro_le",
        b"title": b"[work]",
        b"decorations": True,
    }
    assert packet[7] == {}


def test_a_pointer_is_no_window() -> None:
    watched = Watched()
    small, large = ["raw", 0, 0, 32, 32, 1, 1, 5, b"", b"x"], ["raw", 0, 0, 1200, 700, 1, 1, 5, b"", b"x"]
    assert watched.admit("cursor", *small) == [["cursor", *small]]
    assert watched.admit("cursor", *small[1:]) == [["cursor", *small[1:]]]
    assert watched.admit("cursor", *large) == watched.admit("cursor", *large[1:]) == []
    assert watched.admit("cursor", "") == [["cursor", ""]]


def test_the_host_s_name_does_not_go_out() -> None:
    caps = {"hostname": "laptop", "username": "ann", "name": "Ann", "argv": ["/home/ann/x"], "windows": True}
    told = Watched().guard.send(("hello", caps))
    assert told[1] == {"hostname": "host", "username": "", "name": "", "argv": [], "windows": True}
    assert caps["hostname"] == "laptop"


ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.binary(max_size=20) | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=9) | st.dictionaries(st.text(max_size=9) | st.binary(max_size=9), inner),
    max_leaves=20,
)
KINDS = st.sampled_from(
    """new-window new-override-redirect window-metadata window-move-resize window-resized draw window-icon
    configure-override-redirect initiate-moveresize lost-window hello cursor""".split()  # noqa: SIM905 - a list of words
)
SIZES = st.integers(-(1 << 40), 1 << 40)


@given(st.lists(st.tuples(KINDS, st.lists(ANYTHING | st.just(1) | SIZES, max_size=10)), max_size=20))
def test_no_packet_breaks_the_guard(packets: list[tuple[str, list[Any]]]) -> None:
    watched = Watched()
    watched.opened()
    for kind, rest in packets:
        watched.admit(kind, *rest)
    watched.guard.send(("map-window", 1, 0, 0, 10, 10, {}, {}))


@given(
    st.lists(
        st.tuples(
            st.sampled_from(["new-window", "new-override-redirect", "configure-override-redirect", "window-resized"]),
            st.integers(1, 3),
            st.integers(-5000, 5000),
            st.integers(1, 40000),
            st.integers(1, 40000),
            st.booleans(),
        ),
        max_size=30,
    )
)
def test_no_sequence_covers_the_screen_with_a_window_that_has_no_frame(steps: list[tuple[Any, ...]]) -> None:
    watched = Watched()
    framed: dict[int, bool] = {}
    for kind, wid, place, width, height, decorated in steps:
        if kind == "window-resized":
            packets = watched.admit(kind, wid, width, height)
        elif kind == "configure-override-redirect":
            packets = watched.admit(kind, wid, place, place, width, height)
        else:
            packets = watched.admit(kind, wid, place, place, width, height, {b"decorations": decorated}, {})
        for packet in packets:
            if packet[0].startswith("new-"):
                framed[wid] = packet[0] == "new-window" and packet[6].get(b"decorations", True)
            elif packet[0] == "window-metadata":
                framed[wid] = packet[2].get(b"decorations", framed[wid])
            size = {"window-resized": slice(2, 4)}.get(packet[0], slice(4, 6))
            if packet[0] != "window-metadata" and not framed[wid]:
                seen = min(packet[size][0], 1280) * min(packet[size][1], 800)
                assert seen <= 0.9 * 1280 * 800
