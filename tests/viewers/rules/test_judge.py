"""What gets past the judge between a hostile guest and the windows of the host."""

from collections.abc import Callable
from dataclasses import replace

import pytest

from qubes_manager.viewers.protocol.packets import (
    Box,
    Cursor,
    DefaultCursor,
    Direction,
    Disconnect,
    Draw,
    Greeting,
    InitiateMoveResize,
    LostWindow,
    Metadata,
    MoveResize,
    NewWindow,
    NoDraw,
    Ping,
    PixelFormat,
    Resized,
    Scroll,
    ServerHello,
    SizeConstraints,
    StartupComplete,
    WindowIcon,
    WindowMetadata,
)
from tests.viewers.rules.conftest import RULES, SCREEN, Watched

WHOLE = Box(0, 0, 1280, 800)
FREE = replace(RULES, allow_fullscreen=True)
Judging = Callable[..., Watched]


def test_a_window_is_where_and_as_large_as_the_guest_says(watched: Watched) -> None:
    window = watched.opened(title="Editor")
    assert (window.wid, window.box, window.managed) == (1, Box(100, 100, 400, 300), True)
    assert window.metadata.title == "[work] Editor"
    # As it was said: what comes out otherwise is something that the guest does not know.
    assert watched.admit(Resized(1, 500, 350, 7)) == [Resized(1, 500, 350, 7)]
    assert watched.admit(MoveResize(1, Box(50, 60, 70, 80), 8)) == [MoveResize(1, Box(50, 60, 70, 80), 8)]
    assert watched.admit(Resized(1, 5000, 350)) == [MoveResize(1, Box(50, 60, 1268, 350))]
    assert watched.refused == []


def test_what_says_nothing_of_windows_passes(watched: Watched) -> None:
    for packet in (Greeting("3.1"), ServerHello("3.1"), StartupComplete(), Ping(5), DefaultCursor()):
        assert watched.admit(packet) == [packet]
    assert watched.admit(Disconnect("a\x1b[31mred\nend" + "x" * 1000)) == [Disconnect("ared end" + "x" * 191 + "…")]


@pytest.mark.parametrize(
    "packet",
    [
        WindowMetadata(7, Metadata(title="x")),
        MoveResize(7, WHOLE),
        Resized(7, 5, 5),
        LostWindow(7),
        WindowIcon(7, 1, 1, bytes(4)),
        InitiateMoveResize(7, 0, 0, Direction.MOVE, 1),
    ],
    ids=lambda packet: type(packet).__name__,
)
def test_nothing_is_said_of_windows_that_there_are_not(watched: Watched, packet: WindowMetadata) -> None:
    assert watched.admit(packet) == []


def test_a_window_is_made_once(watched: Watched) -> None:
    watched.opened()
    assert watched.asked(1, WHOLE) == watched.asked(0, WHOLE) == watched.asked(-1, WHOLE) == []
    assert watched.admit(LostWindow(1)) == [LostWindow(1)]
    assert watched.opened()


def test_windows_are_counted(judging: Judging) -> None:
    watched = judging(replace(RULES, windows_count_limit=3))
    for wid in range(1, 601):
        watched.asked(wid, Box(0, 0, 10, 10))
    assert [wid for wid in range(1, 601) if watched.told(wid, title="t") != Metadata()] == [1, 2, 3]
    assert set(watched.refused) == {"too many windows"}
    watched.admit(LostWindow(2))
    assert watched.opened(700)


# Full screen.


def test_full_screen_is_refused_unless_allowed(watched: Watched, judging: Judging) -> None:
    assert watched.opened(fullscreen=True).metadata.fullscreen is None
    assert watched.told(fullscreen=True) == Metadata()
    assert watched.judge.fullscreen(1, True) == []
    assert watched.refused == ["full screen"] * 3
    free = judging(FREE)
    assert free.opened(fullscreen=True).metadata.fullscreen is True
    # Taken back while a window is in full screen, the rule holds for that window too.
    assert free.judge.change_rules(RULES) == [WindowMetadata(1, Metadata(fullscreen=False))]
    assert free.judge.change_rules(RULES) == []


def test_a_menu_has_no_full_screen(judging: Judging) -> None:
    free = judging(FREE)
    assert free.popped_up(1, Box(0, 0, 50, 50), fullscreen=True).metadata.fullscreen is None
    assert free.told(fullscreen=True, maximized=True) == Metadata()
    assert free.judge.fullscreen(1, True) == []


def test_leaving_full_screen_always_works(judging: Judging) -> None:
    free = judging(FREE)
    free.opened(fullscreen=True)
    free.opened(2)
    free.judge.placed(1, Box(0, 0, 1280, 800))
    # In full screen a window has the screen's size, whatever the guest says.
    assert free.admit(Resized(1, 9000, 9000)) == []
    assert free.judge.fullscreen(1, False) == [WindowMetadata(1, Metadata(fullscreen=False))]
    assert free.judge.fullscreen(1, False) == free.judge.fullscreen(9, True) == []
    # No window comes back to it by the guest's word alone, not that one nor another nor a new one.
    assert free.told(fullscreen=True) == free.told(2, fullscreen=True) == Metadata()
    assert free.opened(3, fullscreen=True).metadata.fullscreen is None
    # A click may have asked for it.
    free.judge.pressed(2, True)
    assert free.told(fullscreen=True) == Metadata(fullscreen=True)
    free.judge.fullscreen(1, False)
    assert free.judge.fullscreen(2, True) == [WindowMetadata(2, Metadata(fullscreen=True))]
    assert free.told(fullscreen=True) == Metadata(fullscreen=True)
    assert free.told(fullscreen=False) == Metadata(fullscreen=False)


def test_keys_lead_out_of_full_screen_whichever_window_has_the_keyboard(judging: Judging) -> None:
    free = judging(FREE)
    free.opened(1, fullscreen=True)
    free.opened(2)
    free.opened(3, fullscreen=True)
    out = [WindowMetadata(wid, Metadata(fullscreen=False)) for wid in (1, 3)]
    assert free.judge.switch_fullscreen(2) == out
    assert free.told(fullscreen=True) == Metadata()
    assert free.judge.switch_fullscreen(2) == [WindowMetadata(2, Metadata(fullscreen=True))]
    assert free.judge.switch_fullscreen(99) == [WindowMetadata(2, Metadata(fullscreen=False))]
    assert free.judge.switch_fullscreen(99) == []


def test_keys_lead_out_of_full_screen_where_the_desktop_was_late_to_end_it(judging: Judging) -> None:
    free = judging(FREE)
    free.opened(1, fullscreen=True)
    out = [WindowMetadata(1, Metadata(fullscreen=False))]
    assert free.judge.fullscreen(1, False) == out
    assert free.judge.switch_fullscreen(1, {1}) == out
    assert free.told(fullscreen=True) == Metadata()


def test_a_bare_window_that_leaves_full_screen_is_as_bare_as_it_was(judging: Judging) -> None:
    free = judging(FREE)
    free.opened(decorations=False)
    free.judge.fullscreen(1, True)
    free.judge.placed(1, SCREEN)
    changes = free.judge.change_rules(RULES)
    assert changes == [WindowMetadata(1, Metadata(fullscreen=False))]
    assert free.judge.placed(1, Box(100, 100, 400, 300)) == []


# Frames.


def test_an_unmanaged_window_over_most_of_the_screen_becomes_an_ordinary_one(
    watched: Watched, judging: Judging
) -> None:
    window = watched.popped_up(7, WHOLE, window_types=("POPUP_MENU",), decorations=False)
    assert window.managed
    assert (window.metadata.window_types, window.metadata.decorations) == (("NORMAL",), True)
    assert window.metadata.set_initial_position is False
    # A small one stays what it is, and cannot grow over the limit later.
    assert not watched.popped_up(8, Box(100, 100, 100, 100)).managed
    [grown] = watched.admit(MoveResize(8, Box(0, 0, 5000, 5000)))
    assert grown == MoveResize(8, Box(0, 0, 1268, 717))
    assert not judging(replace(RULES, override_redirect_protection=False)).popped_up(7, WHOLE).managed


def test_a_tip_that_says_it_is_maximised_stays_a_tip(watched: Watched) -> None:
    watched.popped_up(1, Box(0, 0, 50, 50), window_types=("TOOLTIP",))
    assert watched.told(maximized=True, decorations=True, iconic=True) == Metadata()


def test_four_quarters_of_the_screen_are_not_the_screen(watched: Watched) -> None:
    quarters = [Box(x, y, 628, 388) for x in (6, 646) for y in (6, 406)]
    windows = [watched.popped_up(wid, box) for wid, box in enumerate(quarters, 1)]
    assert [window.managed for window in windows] == [False, False, False, True]
    assert "an unmanaged window over most of the screen" in watched.refused
    # Nor do those that were small grow to it, move to it, or are there because the screen becomes smaller.
    watched.popped_up(5, Box(646, 406, 10, 10))
    [grown] = watched.admit(MoveResize(5, Box(646, 406, 628, 388)))
    assert isinstance(grown, MoveResize)
    assert sum((box.width + 12) * (box.height + 12) for box in (*quarters[:3], grown.box)) <= 0.9 * 1280 * 800
    # The first is all of that screen now.
    assert watched.judge.change_screens([Box(0, 0, 640, 400)]) == [MoveResize(1, Box(6, 6, 628, 348))]


def test_windows_without_room_are_taken_away_and_forgotten(watched: Watched) -> None:
    for wid in (1, 2):
        watched.popped_up(wid, Box(6, 6, 600, 400))
    assert watched.judge.change_screens([Box(0, 0, 400, 300)]) == [LostWindow(1), MoveResize(2, Box(6, 6, 600, 258))]
    assert watched.told(1, title="x") == Metadata()


def test_a_type_that_nobody_manages_counts_as_unmanaged(watched: Watched) -> None:
    [large] = watched.asked(1, WHOLE, window_types=("DROPDOWN_MENU",))
    assert isinstance(large, NewWindow) and large.metadata.window_types == ("NORMAL",)
    assert not watched.opened(2, window_types=("TOOLTIP",)).managed
    # A later type changes nothing, and types for a desktop's own parts are none.
    assert watched.told(1, window_types=("POPUP_MENU",)) == Metadata()
    for wid, kind in enumerate(("DOCK", "DESKTOP", "NOTIFICATION", "SPLASH", "MENU"), 3):
        window = watched.opened(wid, window_types=(kind,))
        assert (window.managed, window.metadata.window_types) == (True, ("NORMAL",))
        assert window.metadata.decorations is True


def test_a_large_window_keeps_its_frame(watched: Watched) -> None:
    assert watched.opened(1, (1280, 800), decorations=False).metadata.decorations is True
    assert watched.opened(2, decorations=False).metadata.decorations is False
    framed, resized = watched.admit(Resized(2, 1260, 780))
    assert framed == WindowMetadata(2, Metadata(decorations=True))
    assert resized == Resized(2, 1260, 780)
    assert watched.told(2, decorations=False) == Metadata(decorations=True)
    # Maximised while it has a frame, it does not lose that at once.
    watched.opened(3)
    assert watched.told(3, maximized=True) == Metadata(maximized=True)
    assert watched.told(3, decorations=False) == Metadata(decorations=True)
    assert watched.opened(4, decorations=False, maximized=True).metadata.decorations is True


def test_a_bare_window_that_the_user_makes_large_gets_its_frame(watched: Watched, judging: Judging) -> None:
    watched.opened(decorations=False)
    assert watched.judge.placed(1, Box(6, 6, 1268, 788)) == [WindowMetadata(1, Metadata(decorations=True))]
    assert watched.judge.placed(2, WHOLE) == []
    free = judging(FREE)
    free.opened(decorations=False)
    assert free.judge.placed(1, Box(6, 6, 1268, 788)) == []
    assert free.judge.change_rules(RULES) == [WindowMetadata(1, Metadata(decorations=True))]
    watched = judging()
    watched.opened(decorations=False)
    watched.judge.placed(1, Box(6, 6, 400, 290))
    assert watched.judge.change_screens([Box(0, 0, 420, 310)])[0] == WindowMetadata(1, Metadata(decorations=True))


def test_no_window_lies_over_a_screen_with_its_frame_outside(watched: Watched, judging: Judging) -> None:
    window = watched.opened(1, (32767, 32767))
    assert window.box == Box(100, 100, 1268, 788)
    # The user's own screens may be spanned, but not a small one among them covered.
    two = judging(screens=(Box(0, 0, 3840, 2160), Box(3840, 300, 1366, 768)))
    two.opened(1, (3000, 1500))
    assert two.judge.placed(1, Box(2500, 100, 2000, 1500)) == []
    assert two.judge.placed(1, Box(3000, 100, 3000, 1500)) == [MoveResize(1, Box(3846, 306, 1354, 756))]


def test_a_window_that_the_user_made_wider_than_a_screen_may_stay_so(judging: Judging) -> None:
    watched = judging(screens=(SCREEN, Box(1280, 0, 1280, 800)))
    watched.opened()
    watched.judge.placed(1, Box(10, 10, 2000, 500))
    assert watched.admit(Resized(1, 2000, 600)) == [Resized(1, 2000, 600)]
    assert watched.admit(Resized(1, 2100, 600)) == [MoveResize(1, Box(10, 10, 2000, 600))]


def test_windows_stay_where_they_can_be_reached(watched: Watched) -> None:
    for place in ((-30000, -30000), (30000, 30000)):
        [window] = watched.asked(1, Box(*place, 400, 300))
        [moved] = watched.admit(MoveResize(1, Box(*place, 400, 300)))
        assert isinstance(window, NewWindow) and isinstance(moved, MoveResize)
        for box in (window.box, moved.box):
            assert -412 + 64 <= box.x - 6 <= 1280 - 64
            assert 0 <= box.y - 6 <= 800 - 64
        watched.admit(LostWindow(1))


def test_a_window_that_was_not_placed_yet_is_placed_by_the_host(watched: Watched) -> None:
    [window] = watched.asked(1, Box(0, 0, 400, 300))
    assert isinstance(window, NewWindow) and (window.box.x, window.box.y) == (0, 0)
    assert window.metadata.set_initial_position is False
    # Its frame and title bar would be out of sight where it wants to be.
    [window] = watched.asked(2, Box(0, 0, 400, 300), set_initial_position=True)
    assert isinstance(window, NewWindow) and (window.box.x, window.box.y) == (0, 0)


def test_a_window_that_goes_to_the_corner_of_the_screen_has_its_frame_there(watched: Watched) -> None:
    watched.asked(1, Box(40, 50, 400, 300))
    assert watched.admit(MoveResize(1, Box(0, 0, 400, 300))) == [MoveResize(1, Box(6, 6, 400, 300))]
    # Who goes beyond it means that.
    assert watched.admit(MoveResize(1, Box(-1, 50, 400, 300))) == [MoveResize(1, Box(-1, 50, 400, 300))]


# Where nobody knows where windows are.


def test_on_wayland_a_window_whose_size_is_refused_is_where_its_guest_believes(judging: Judging) -> None:
    watched = judging(screens=(Box(0, 0, 1280, 800),), places_known=False)
    watched.opened(1, (300, 200))
    assert watched.admit(MoveResize(1, Box(-6, 3834, 10, 1268))) == [MoveResize(1, Box(-6, 3834, 10, 788))]


def test_on_wayland_it_matters_on_which_screen_a_window_is(judging: Judging) -> None:
    watched = judging(screens=(Box(0, 0, 3840, 2160), Box(0, 0, 1366, 768)), places_known=False)
    assert watched.opened(1, (2000, 1500), decorations=False).box == Box(100, 100, 2000, 1500)
    assert watched.judge.placed(1, Box(100, 100, 2000, 1500), 0) == []
    # On the small one it would be all that is to be seen.
    assert watched.judge.placed(1, Box(100, 100, 2000, 1500), 1) == [
        WindowMetadata(1, Metadata(decorations=True)),
        Resized(1, 1354, 756),
    ]
    # On none, it is as if it were on the largest.
    for nowhere in (-1, -2, 5):
        assert watched.judge.placed(1, Box(-9, -9, 4000, 3000), nowhere) == [Resized(1, 3828, 2148)]


def test_on_wayland_menus_are_counted_where_their_window_is(judging: Judging) -> None:
    watched = judging(screens=(Box(0, 0, 3840, 2160), Box(0, 0, 1366, 768)), places_known=False)
    watched.opened(1)
    watched.judge.placed(1, Box(0, 0, 400, 300), 0)
    assert not watched.popped_up(2, Box(0, 0, 1366, 700), transient_for=1).managed
    assert not watched.popped_up(3, Box(0, 0, 1366, 700), transient_for=2).managed
    taken = watched.judge.placed(1, Box(0, 0, 400, 300), 1)
    assert {packet.wid for packet in taken if isinstance(packet, MoveResize | LostWindow)} & {2, 3}


# What belongs to what.


def test_windows_belong_to_windows_of_their_own_guest_alone(watched: Watched) -> None:
    watched.opened(1)
    assert watched.opened(2, transient_for=1).metadata.transient_for == 1
    for wid, nobody in enumerate((99, 0, -1, 4, 2**31 - 1), 3):
        assert watched.opened(wid, transient_for=nobody if nobody != 4 else wid).metadata.transient_for is None
    # Not to itself by way of others either.
    assert watched.told(1, transient_for=2) == watched.told(1, transient_for=1) == Metadata()
    assert watched.told(3, transient_for=2) == Metadata(transient_for=2)


def test_menus_go_before_the_window_that_they_belong_to(watched: Watched) -> None:
    watched.opened(1)
    watched.popped_up(2, Box(100, 100, 50, 50), transient_for=1)
    watched.popped_up(3, Box(150, 100, 50, 50), transient_for=2)
    watched.opened(4, transient_for=1)
    assert watched.admit(LostWindow(1)) == [LostWindow(3), LostWindow(2), LostWindow(1)]
    assert watched.admit(LostWindow(2)) == []


def test_a_menu_stays_near_its_window(watched: Watched) -> None:
    watched.opened(1, (200, 150))
    watched.judge.placed(1, Box(100, 100, 200, 150))
    near = Box(310, 100, 80, 300)
    assert watched.popped_up(2, near, transient_for=1).box == near
    # Beside the first menu, and so on; but not over another domain's window at the other side of the screen.
    assert watched.popped_up(3, Box(390, 120, 80, 300), transient_for=2).box.x == 390
    far = watched.popped_up(4, Box(1100, 700, 60, 40), transient_for=1).box
    assert far.x - 6 < 306 + 128 and far.y - 6 < 256 + 128
    [moved] = watched.admit(MoveResize(2, Box(-3000, 100, 80, 300)))
    assert isinstance(moved, MoveResize) and moved.box.x + moved.box.width >= 94 - 128 - 12
    # Where there is no other window it is where it wants to be.
    alone = Watched()
    assert alone.popped_up(1, Box(1100, 700, 60, 40)).box == Box(1100, 700, 60, 40)


def test_a_chain_of_menus_leads_none_over_others_windows(watched: Watched) -> None:
    watched.opened(1, (200, 150))
    watched.judge.placed(1, Box(100, 100, 200, 150))
    x = 400
    for wid in range(2, 7):
        assert watched.popped_up(wid, Box(x, 120, 80, 60)).box.x == x
        x += 80 + 12 + 40
    # All of them show where they come from; without those before it the last one lies beside its window again.
    left = [watched.admit(LostWindow(wid)) for wid in range(2, 6)]
    [gone, *brought] = left[0]
    assert gone == LostWindow(2) and len(brought) == 4
    assert all(isinstance(moved, MoveResize) and moved.box.x < 306 + 128 + 6 for moved in brought)
    assert left[1:] == [[LostWindow(wid)] for wid in range(3, 6)]


def test_menus_go_where_their_window_goes(watched: Watched) -> None:
    watched.opened(1, (200, 150))
    watched.judge.placed(1, Box(100, 100, 200, 150))
    watched.popped_up(2, Box(110, 120, 80, 60), transient_for=1)
    assert watched.judge.placed(1, Box(150, 100, 200, 150)) == []
    [moved] = watched.judge.placed(1, Box(900, 500, 200, 150))
    assert isinstance(moved, MoveResize) and (moved.wid, moved.box.width, moved.box.height) == (2, 80, 60)
    assert moved.box.x > 900 - 6 - 128 - 80 - 12 and moved.box.y > 500 - 6 - 128 - 60 - 12
    assert watched.judge.placed(1, Box(900, 500, 200, 150)) == []


def test_a_guest_has_no_more_menus_than_can_be_judged_at_once(watched: Watched) -> None:
    watched.opened(1)
    opened = [wid for wid in range(2, 200) if watched.asked(wid, Box(100, 100, 1, 1), managed=False)]
    assert opened == list(range(2, 52)) and {*watched.refused} == {"too many menus"}
    assert watched.opened(500).managed
    assert watched.admit(LostWindow(2)) == [LostWindow(2)]
    assert watched.popped_up(300, Box(100, 100, 1, 1))


# What is said of windows.


def test_windows_that_are_open_take_what_their_domain_is_shown_as(watched: Watched) -> None:
    watched.opened(title="a letter", icon_title="letter")
    watched.opened(2)
    shown = replace(RULES, shown="Bank (work)")
    assert watched.judge.change_rules(shown) == [
        WindowMetadata(1, Metadata(title="[Bank (work)] a letter", icon_title="[Bank (work)] letter")),
        WindowMetadata(2, Metadata(title="[Bank (work)]")),
    ]
    assert watched.judge.change_rules(replace(shown, border_width=3)) == []
    assert watched.told(title="another") == Metadata(title="[Bank (work)] another")
    assert watched.judge.rules.border_width == 3


def test_nothing_comes_before_the_others_by_itself(watched: Watched) -> None:
    watched.opened()
    assert watched.told(iconic=True) == Metadata(iconic=True)
    assert watched.told(iconic=False) == Metadata()
    assert watched.told(attention=True) == Metadata(attention=True)


def test_the_pointer_is_taken_only_while_a_button_is_held_in_the_window(watched: Watched) -> None:
    watched.opened(1)
    watched.opened(2)
    watched.popped_up(3, Box(100, 100, 50, 50))
    asked = [InitiateMoveResize(wid, 5, 5, Direction.MOVE, 1) for wid in (1, 2, 3)]
    assert [watched.admit(packet) for packet in asked] == [[], [], []]
    for wid in (1, 3):
        watched.judge.pressed(wid, True)
    assert [watched.admit(packet) for packet in asked] == [[asked[0]], [], []]
    # By the keyboard it would go on when the button is let go.
    for direction in (Direction.MOVE_KEYBOARD, Direction.SIZE_KEYBOARD, Direction.CANCEL):
        assert watched.admit(InitiateMoveResize(1, 5, 5, direction, 1)) == []
    watched.judge.pressed(1, False)
    assert watched.admit(asked[0]) == []


def test_size_hints_hold_on_the_screens_that_there_are(watched: Watched) -> None:
    hints = SizeConstraints(minimum=(30000, 50))
    assert watched.opened(constraints=hints).metadata.constraints == SizeConstraints(minimum=(1140, 50))
    assert watched.judge.change_screens([Box(0, 0, 1000, 700)])[0] == WindowMetadata(
        1, Metadata(constraints=SizeConstraints(minimum=(888, 50)))
    )
    assert watched.judge.change_screens([]) == []


# Pictures.


def test_a_pointer_is_no_window(watched: Watched) -> None:
    small = Cursor(1, 1, 32, 32, bytes(32 * 32 * 4))
    assert watched.admit(small) == [small]
    for width, height in ((1920, 96), (97, 5), (5, 97), (0, 0)):
        assert watched.admit(Cursor(0, 0, width, height, bytes(width * height * 4))) == []


def test_pictures_that_cannot_be_are_answered_without_being_drawn(watched: Watched) -> None:
    watched.opened()
    picture = Draw(1, Box(10, 20, 30, 40), 120, PixelFormat.BGRX, bytes(4800), 7)
    assert watched.admit(picture) == [picture]
    nothing = [NoDraw(1, Box(0, 0, 0, 0), 7)]
    assert watched.admit(replace(picture, pixels=bytes(4799))) == nothing
    assert watched.admit(replace(picture, wid=2)) == [NoDraw(2, Box(0, 0, 0, 0), 7)]
    scroll = Scroll(1, ((0, 10, 400, 290, 0, -10),), 8)
    assert watched.admit(scroll) == [scroll]
    assert watched.admit(replace(scroll, moves=scroll.moves * 5)) == [NoDraw(1, Box(0, 0, 0, 0), 8)]


def test_icons_wear_the_label_s_colour_and_change_with_it(watched: Watched) -> None:
    watched.opened()
    white = WindowIcon(1, 1, 1, b"\xff\xff\xff\xff")
    [blue] = watched.admit(white)
    assert isinstance(blue, WindowIcon)
    assert blue.pixels[0] > blue.pixels[2]
    [red] = watched.judge.change_rules(replace(RULES, colour="#cc0000"))
    assert isinstance(red, WindowIcon)
    assert red.pixels[2] > red.pixels[0] and red.pixels[3] == 255
    assert watched.admit(WindowIcon(1, 257, 1, bytes(4 * 257))) == []


def test_the_viewer_s_memory_holds_all_windows(judging: Judging) -> None:
    watched = judging(screens=(Box(0, 0, 8000, 4000),))
    for wid in (1, 2):
        watched.opened(wid, (6000, 3900))
    # The third has no room, and none that is there grows to it.
    assert watched.asked(3, Box(0, 0, 6000, 3900)) == []
    for wid in (4, 5):
        watched.opened(wid, (100, 100))
    assert watched.admit(Resized(4, 2500, 2000)) == []
    assert set(watched.refused) == {"windows larger than its viewer has memory for"}
    # What the user makes larger may be so, but not without end either.
    assert watched.judge.placed(4, Box(6, 6, 2500, 2000)) == []
    assert watched.judge.placed(5, Box(6, 6, 2500, 2000)) == [LostWindow(5)]


def test_popups_that_go_with_another_are_no_trouble(judging: Judging) -> None:
    watched = judging(screens=[Box(0, 0, 1000, 1000)])
    watched.asked(1, Box(-900, 200, 980, 500))
    watched.judge.placed(1, Box(-900, 200, 980, 500))
    watched.asked(2, Box(-900, 100, 800, 600), managed=False, transient_for=1)
    watched.asked(3, Box(-900, 100, 800, 600), managed=False, transient_for=2)
    # Leaves no room for others to be brought back into.
    watched.asked(4, Box(6, 6, 980, 895), managed=False, transient_for=1)
    said = watched.admit(MoveResize(1, Box(900, 200, 90, 500)))
    assert {2, 3} <= {packet.wid for packet in said if isinstance(packet, LostWindow)}, said
