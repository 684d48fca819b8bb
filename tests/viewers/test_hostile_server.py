"""A server that lies to the whole viewer, in its sandbox, on real desktops: nobody suffers but its own windows."""

import time
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace

import pytest

from qubes_manager.core.viewer_messages import Connected, Denied
from qubes_manager.viewers.wire.rencode import Packet
from tests.desktops.sway import SwayDesktop
from tests.viewers.liar import HONEST, PlayedDomain
from tests.viewers.lies import LIE, LIES, WINDOWS, gone, opened, painted, popped_up, told
from tests.viewers.trial import CALM, DESKTOPS, HERE, LIAR, OLIVE, OTHER, TEAL, THERE, Trial, a_trial, folder

# Kinds of lies between two looks at whether all is well.
TOGETHER = 4
pytestmark = pytest.mark.timeout(240)


@pytest.fixture(params=DESKTOPS, scope="module")
def trial(request: pytest.FixtureRequest) -> Iterator[Trial]:
    with a_trial(request.param) as trial:
        yield trial


def test_lies_of_every_kind_leave_windows_in_use_and_in_their_frames(trial: Trial) -> None:
    before = len(trial.liar.viewer.events)
    for kind in range(len(LIES)):
        trial.lie(kind, kind)
        if kind % TOGETHER == 0:
            trial.nobody_suffers(f"lies up to those of kind {kind}")
    trial.nobody_suffers("lies of all kinds")
    assert len(trial.liar.viewer.heard(Connected)) == 1
    assert len(trial.liar.viewer.events) - before < 500


def test_half_a_packet_holds_nothing_up(trial: Trial) -> None:
    begun, rest = trial.liar.server.halves(told(HONEST, title=b"x" * 500))
    trial.liar.server.send(begun)
    trial.nobody_suffers("half a packet")
    trial.liar.server.send(rest)
    trial.liar.until_read("the other half")


def test_the_key_leads_out_of_full_screen_whatever_a_guest_says(trial: Trial) -> None:
    desktop, server, (first, second, third, *_more) = trial.liar.desktop, trial.liar.server, WINDOWS
    trial.liar.viewer.change_rules(replace(LIAR, allow_fullscreen=True))
    server.say([opened(first, 100, 100, 300, 200, title=b"full"), painted(first, 300, 200)])
    full = desktop.window("[work] full")

    # What was allowed takes effect in the viewer when it has read that.
    def is_full() -> bool:
        server.say([told(first, fullscreen=True)])
        return desktop.is_fullscreen(full)

    desktop.until(is_full, "full screen")
    server.say([opened(second, 0, 0, 5, 5, transient_for=first, modal=True), told(second, iconic=True)])
    server.say([popped_up(third, 0, 0, 700, 500, transient_for=first), painted(third, 700, 500)])
    server.say([opened(WINDOWS[3], 300, 300, 200, 100, transient_for=second, title=b"too"), painted(WINDOWS[3], 9, 9)])
    server.say([told(wid, fullscreen=n % 3 > 0, modal=True) for n in range(60) for wid in (first, WINDOWS[3])])
    server.say([told(first, fullscreen=True)])
    trial.liar.until_read("storms of full screen")

    def is_any_full() -> bool:
        return any(desktop.is_fullscreen(window) for window in desktop.windows("[work]"))

    def is_left() -> bool:
        desktop.raise_window(full)
        desktop.keys("super+F11")
        # What the desktop was still doing at that moment may come after it: the key is for the user to press again.
        end = time.monotonic() + 15
        while is_any_full() and time.monotonic() < end:
            time.sleep(0.1)
        return not is_any_full()

    desktop.until(is_left, "no full screen any more")
    server.say([told(first, fullscreen=False), told(first, fullscreen=True)])
    trial.liar.until_read("another wish for full screen")
    assert not is_any_full()
    server.say([*map(gone, WINDOWS)])
    trial.liar.viewer.change_rules(LIAR)
    trial.nobody_suffers("full screen")


@pytest.mark.parametrize("trial", ["wayland 6.5"], indirect=True)
def test_a_popup_that_the_compositor_has_dismissed_ends_no_viewer(trial: Trial) -> None:
    desktop, server, popup = trial.liar.desktop, trial.liar.server, WINDOWS[0]
    desktop.raise_window(trial.liar.window)
    server.say([popped_up(popup, 100, 100, 90, 80, transient_for=HONEST), painted(popup, 90, 80)])
    desktop.until(lambda: desktop.extent(LIE), "the popup is seen")
    desktop.raise_window(trial.other.window)
    desktop.until(lambda: not desktop.extent(LIE), "it is dismissed")
    for shade in range(20):
        server.say([painted(popup, 90, 80, pixel=bytes((shade, 0, 0, 255)))])
        trial.liar.until_read("what is drawn into it")
    server.say([gone(popup)])
    trial.nobody_suffers("a popup that was dismissed")


@pytest.mark.parametrize("trial", ["wayland 6.5"], indirect=True)
def test_a_popup_whose_own_popup_outlives_it_ends_no_viewer(trial: Trial) -> None:
    desktop, server = trial.liar.desktop, trial.liar.server
    desktop.raise_window(trial.liar.window)
    outer, inner, *more = WINDOWS[:4]
    for wid in (outer, inner):
        server.say([popped_up(wid, 100, 100, 90, 80, window_type=[b"POPUP_MENU"]), painted(wid, 90, 80)])
        trial.liar.until_read("a menu")
    desktop.until(lambda: desktop.extent(LIE), "the menus are seen")
    server.say([gone(outer)])
    for wid in more:
        server.say([popped_up(wid, 110, 110, 90, 80, window_type=[b"POPUP_MENU"]), painted(wid, 90, 80)])
        trial.liar.until_read("a menu of the one that is left")
    desktop.until(lambda: (found := desktop.extent(LIE)) and found.width > 90, "all of them are seen")
    server.say([*map(gone, WINDOWS[:4])])
    trial.nobody_suffers("menus")


def test_as_many_pixels_as_a_guest_may_have_are_drawn_again_and_again() -> None:
    width, height = 3820, 2100
    with folder() as path, closing(SwayDesktop(path, (3840, 2160))) as desktop:
        desktop.command(CALM)
        liar = PlayedDomain(desktop, LIAR, "6.5", TEAL, HERE)
        picture = painted(0, width, height)
        pictures: list[Packet] = [[picture[0], wid, *picture[2:]] for wid in WINDOWS[:8]]
        liar.server.say(opened(wid, 5, 5, width, height, title=b"large") for wid in WINDOWS[:8])
        desktop.until(lambda: liar.viewer.heard(Denied), "some are refused")
        desktop.until(lambda: len(desktop.windows("[work] large")) >= 4, "the others are there")
        for _ in range(3):
            liar.server.say(pictures)
            liar.until_read("large pictures")
        assert liar.close() == 0


@pytest.mark.parametrize("trial", ["x11 3.1"], indirect=True)
@pytest.mark.parametrize(
    ("said", "reason"),
    [
        (b"\x00" * 64, "its display server is not understood: what came is no packet"),
        (b"P\x10\x00\x00\xff\xff\xff\xff", "a packet of 4294967295 bytes came, for item 0"),
        ([b"disconnect", b"\x1b]0;x\x07bye\nTraceback"], "bye"),
    ],
    ids=["no packet", "a huge packet", "an end"],
)
def test_a_viewer_ends_by_its_own_bounds_alone_and_says_why_in_a_line(
    trial: Trial, said: bytes | Packet, reason: str
) -> None:
    ending = PlayedDomain(trial.liar.desktop, replace(OTHER, domain="third"), "6.5", OLIVE, THERE)
    if isinstance(said, bytes):
        ending.server.send(said)
    else:
        ending.server.say([said])
    last = ending.until_ended()
    assert reason in last and last.isprintable()
    assert ending.close() == 1
