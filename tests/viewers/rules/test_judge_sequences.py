"""Whatever a guest says, the user does and screens become, in whatever order: the rules hold on the screen."""

from dataclasses import dataclass, replace

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from qubes_manager.core.gui_rules import GuiRules
from qubes_manager.viewers.protocol.packets import (
    Box,
    FromGuest,
    InitiateMoveResize,
    LostWindow,
    Metadata,
    MoveResize,
    NewWindow,
    Resized,
    SizeConstraints,
    WindowMetadata,
)
from qubes_manager.viewers.protocol.packets import Direction as Towards
from qubes_manager.viewers.rules.judge import Judge
from qubes_manager.viewers.rules.pictures import most_pixels

BORDER, LIMIT = 6, 5
ONE = (Box(0, 0, 1280, 800),)
TWO = (Box(0, 0, 3840, 2160), Box(3840, 300, 1366, 768))
BESIDE_NOTHING = (Box(-1024, -768, 1024, 768), Box(200, 0, 640, 480))
SCREENS = st.sampled_from([ONE, TWO, BESIDE_NOTHING, (*ONE, *ONE), ()])
WIDS = st.integers(1, 6)
PLACES = st.sampled_from([-6, 0, 6, -20, 200, 400, 3834]) | st.integers(-5000, 5000)
SIZES = st.sampled_from([1, 300, 640, 700, 760, 1268, 1280, 1366, 2160, 3840]) | st.integers(1, 32767)
BOXES = st.builds(Box, PLACES, PLACES, SIZES, SIZES)
SEEN_SIZES = st.sampled_from([1, 400, 700, 800, 1280, 1400, 2200, 3900]) | st.integers(1, 5000)
SEEN_BOXES = st.builds(Box, PLACES, PLACES, SEEN_SIZES, SEEN_SIZES)
TRUTHS = st.none() | st.booleans()
BARE, FULL, MAXIMIZED = Metadata(decorations=False), Metadata(fullscreen=True), Metadata(maximized=True)
METADATA = st.builds(
    Metadata,
    title=st.none() | st.text(max_size=9),
    window_types=st.none() | st.lists(st.sampled_from(["NORMAL", "DIALOG", "TOOLTIP", "SPLASH", "DND"])).map(tuple),
    constraints=st.none()
    | st.builds(SizeConstraints, *[st.none() | st.tuples(st.integers(-9, 32767), st.integers(-9, 32767))] * 4),
    transient_for=st.none() | st.integers(-2, 9),
    decorations=TRUTHS,
    maximized=TRUTHS,
    fullscreen=TRUTHS,
    set_initial_position=TRUTHS,
)


@dataclass
class Shown:
    """A window as the host draws it; *screen* is where a compositor has put it."""

    box: Box
    managed: bool
    decorated: bool
    fullscreen: bool = False
    parent: int = 0
    title: str = ""
    screen: int = 0


def overlap(box: Box, screen: Box) -> tuple[int, int]:
    width = min(box.x + box.width, screen.x + screen.width) - max(box.x, screen.x)
    height = min(box.y + box.height, screen.y + screen.height) - max(box.y, screen.y)
    return max(0, width), max(0, height)


class Desk(RuleBasedStateMachine):
    """A host that does what it is told, with a user, a window manager and a guest that do what they like."""

    places_known = True

    @initialize(screens=SCREENS.filter(bool), options=st.tuples(st.booleans(), st.booleans()))
    def start(self, screens: tuple[Box, ...], options: tuple[bool, bool]) -> None:
        self.gui_rules = GuiRules("work", "#3465a4", BORDER, *options, windows_count_limit=LIMIT)
        self.screens, self.shown, self.has_left = screens, dict[int, Shown](), False
        self.judge = Judge(self.gui_rules, screens, lambda _what: None, self.places_known)
        # Some windows are there from the start, or most of what is done would be done to none.
        for wid in (1, 2, 3, 4):
            box = Box(screens[0].x + 50, screens[0].y + 60, 300, 200)
            told = Metadata(decorations=wid != 1, transient_for=1)
            self.opens(wid, box, wid < 3, told, box, 0)

    # What the guest does.

    @rule(wid=WIDS, box=BOXES, managed=st.booleans(), metadata=METADATA, place=SEEN_BOXES, screen=st.integers(0, 1))
    def opens_one(self, wid: int, box: Box, managed: bool, metadata: Metadata, place: Box, screen: int) -> None:
        self.opens(wid, box, managed, metadata, place, screen)

    def opens(self, wid: int, box: Box, managed: bool, metadata: Metadata, place: Box, screen: int) -> None:
        is_new = wid not in self.shown
        self.follow(self.judge.admit(NewWindow(wid, box, managed, metadata)))
        if is_new and (window := self.shown.get(wid)) and (window.managed or not self.places_known):
            # The window manager has put it somewhere.
            if window.fullscreen:
                place = self.screens[screen % len(self.screens)]
            self.put(wid, replace(place, width=window.box.width, height=window.box.height), screen)

    @rule(wid=WIDS, metadata=METADATA)
    def says(self, wid: int, metadata: Metadata) -> None:
        self.describes(wid, metadata)

    def describes(self, wid: int, metadata: Metadata) -> None:
        self.follow(self.judge.admit(WindowMetadata(wid, metadata)))

    @rule(wid=WIDS, told=st.sampled_from([BARE, FULL, FULL, MAXIMIZED]))
    def wants_more(self, wid: int, told: Metadata) -> None:
        self.describes(wid, told)

    @rule(wid=WIDS, parent=WIDS)
    def wants_to_belong(self, wid: int, parent: int) -> None:
        self.describes(wid, Metadata(transient_for=parent))

    @rule(wid=WIDS, box=BOXES)
    def moves(self, wid: int, box: Box) -> None:
        self.follow(self.judge.admit(MoveResize(wid, box)))

    @rule(wid=WIDS, width=SIZES, height=SIZES)
    def resizes(self, wid: int, width: int, height: int) -> None:
        self.follow(self.judge.admit(Resized(wid, width, height)))

    @rule(wid=WIDS)
    def closes(self, wid: int) -> None:
        self.follow(self.judge.admit(LostWindow(wid)))
        assert wid not in self.shown

    @rule(wid=WIDS, towards=st.sampled_from(Towards))
    def takes_the_pointer(self, wid: int, towards: Towards) -> None:
        assert self.judge.admit(InitiateMoveResize(wid, 0, 0, towards, 1)) == []

    # What the user and the machine do.

    @rule(wid=WIDS, box=SEEN_BOXES, screen=st.integers(0, 1))
    def user_puts(self, wid: int, box: Box, screen: int) -> None:
        self.user_moves(wid, box, screen)

    def user_moves(self, wid: int, box: Box, screen: int) -> None:
        if wid in self.shown and self.shown[wid].managed and not self.shown[wid].fullscreen:
            self.put(wid, box, screen)

    @rule(wid=WIDS, screen=st.integers(0, 1))
    def user_fills_a_screen(self, wid: int, screen: int) -> None:
        at = self.screens[screen % len(self.screens)]
        sizes = at.width - 2 * BORDER, at.height - 2 * BORDER
        self.user_moves(wid, Box(at.x + BORDER, at.y + BORDER, *sizes), screen)

    @rule(wid=WIDS, wanted=st.booleans())
    def user_switches_full_screen(self, wid: int, wanted: bool) -> None:
        was = wid in self.shown and self.shown[wid].fullscreen
        told = self.judge.fullscreen(wid, wanted)
        self.has_left = not wanted if told else self.has_left
        self.follow(told)
        assert not told or self.shown[wid].fullscreen == wanted
        assert told or not was or wanted, "the user did not get out of full screen"

    @rule(wid=WIDS)
    def user_clicks(self, wid: int) -> None:
        self.judge.pressed(wid, True)
        self.judge.pressed(wid, False)
        self.has_left = self.has_left and wid not in self.shown

    @rule(screens=SCREENS)
    def screens_change(self, screens: tuple[Box, ...]) -> None:
        self.screens = screens or self.screens
        self.follow(self.judge.change_screens(screens))
        # The desktop says where windows are now.
        for wid, window in list(self.shown.items()):
            if wid in self.shown and (window.managed or not self.places_known):
                self.put(wid, window.box, window.screen)

    @rule(options=st.tuples(st.booleans(), st.booleans()), shown=st.sampled_from(["", "Bank (work)"]))
    def rules_change(self, options: tuple[bool, bool], shown: str) -> None:
        self.gui_rules = GuiRules("work", "#3465a4", BORDER, *options, windows_count_limit=LIMIT, shown=shown)
        self.follow(self.judge.change_rules(self.gui_rules))

    # The host.

    def put(self, wid: int, box: Box, screen: int) -> None:
        screen %= len(self.screens)
        self.shown[wid].box, self.shown[wid].screen = box, screen
        self.follow(self.judge.placed(wid, box, screen))

    def follow(self, packets: list[FromGuest]) -> None:
        was_full = {wid for wid, window in self.shown.items() if window.fullscreen}
        self.do(packets)
        for wid in was_full & self.shown.keys():
            if not self.shown[wid].fullscreen:
                # The window manager puts it back, with its frame.
                at = self.screens[self.shown[wid].screen % len(self.screens)]
                box = Box(at.x + BORDER, at.y + BORDER, at.width // 2, at.height // 2)
                self.put(wid, box, self.shown[wid].screen)

    def do(self, packets: list[FromGuest]) -> None:
        for packet in packets:
            match packet:
                case NewWindow(wid, box, managed, told):
                    assert wid not in self.shown
                    self.shown[wid] = Shown(box, managed, bool(told.decorations), bool(told.fullscreen))
                    self.describe(wid, told)
                case WindowMetadata(wid, told):
                    self.describe(wid, told)
                case MoveResize(wid, box):
                    self.shown[wid].box = box
                case Resized(wid, width, height):
                    self.shown[wid].box = replace(self.shown[wid].box, width=width, height=height)
                case LostWindow(wid):
                    del self.shown[wid]
                    for window in self.shown.values():
                        window.parent = 0 if window.parent == wid else window.parent

    def describe(self, wid: int, told: Metadata) -> None:
        window = self.shown[wid]
        window.title = window.title if told.title is None else told.title
        window.parent = told.transient_for or window.parent
        if told.decorations is not None:
            window.decorated = told.decorations
        if told.fullscreen is not None:
            assert not told.fullscreen or not self.has_left
            window.fullscreen = told.fullscreen
        if told.constraints:
            check_constraints(told.constraints, self.screens)

    # What holds.

    @invariant()
    def rules_hold(self) -> None:
        assert len(self.shown) <= LIMIT
        pixels = sum(window.box.width * window.box.height for window in self.shown.values())
        assert pixels <= most_pixels(self.places_known, by_user=True)
        for wid, window in self.shown.items():
            assert window.title.startswith(f"[{self.gui_rules.shown or 'work'}]")
            assert not window.fullscreen or (window.managed and self.gui_rules.allow_fullscreen)
            self.belongs(wid)
        for number, screen in enumerate(self.screens):
            self.is_seen(number, screen)
        managed = [window.box for window in self.shown.values() if window.managed]
        popups = {wid: window.box for wid, window in self.shown.items() if not window.managed}
        # With the frames of both.
        held = {wid for wid, box in popups.items() if any(gap(box, other) < 128 + 2 * BORDER for other in managed)}
        for _ in popups:
            held |= {wid for wid, box in popups.items() if any(gap(box, popups[on]) < 48 + 2 * BORDER for on in held)}
        assert not managed or held == popups.keys()

    def belongs(self, wid: int) -> None:
        seen, window = {wid}, self.shown[wid]
        if window.managed and window.parent in self.shown:
            assert self.shown[window.parent].managed
        while window.parent in self.shown:
            assert window.parent not in seen
            seen.add(window.parent)
            window = self.shown[window.parent]

    def is_seen(self, number: int, screen: Box) -> None:
        covered = 0
        for window in self.shown.values():
            box = window.box
            host = Box(box.x - BORDER, box.y - BORDER, box.width + 2 * BORDER, box.height + 2 * BORDER)
            if window.fullscreen:
                continue
            if not self.places_known:
                if window.screen != number:
                    continue
                width, height = min(host.width, screen.width), min(host.height, screen.height)
                assert host.width <= screen.width or host.height <= screen.height
            else:
                width, height = overlap(host, screen)
                assert (width, height) != (screen.width, screen.height) or has_an_edge(host, screen)
            most = 0.9 * screen.width * screen.height
            if window.managed:
                assert window.decorated or self.gui_rules.allow_fullscreen or width * height <= most
            else:
                covered += width * height
        if self.gui_rules.override_redirect_protection:
            assert covered <= 0.9 * screen.width * screen.height


def gap(one: Box, other: Box) -> int:
    """How many pixels lie between two boxes, along the axis where it is more."""
    across = max(one.x, other.x) - min(one.x + one.width, other.x + other.width)
    return max(across, max(one.y, other.y) - min(one.y + one.height, other.y + other.height))


def has_an_edge(host: Box, screen: Box) -> bool:
    return (
        host.x >= screen.x
        or host.y >= screen.y
        or host.x + host.width <= screen.x + screen.width
        or host.y + host.height <= screen.y + screen.height
    )


def check_constraints(told: SizeConstraints, screens: tuple[Box, ...]) -> None:
    width, height = min(screen.width for screen in screens), min(screen.height for screen in screens)
    least = told.minimum or (0, 0)
    assert 0 <= least[0] <= max(width, 1280) and 0 <= least[1] <= max(height, 1280)
    assert not told.maximum or (told.maximum[0] >= max(64, least[0]) and told.maximum[1] >= max(64, least[1]))
    assert not told.increment or all(0 < side <= 128 for side in told.increment)


class Compositor(Desk):
    """A host that tells nobody where windows are, but on which screen."""

    places_known = False


TestDesk, TestCompositor = Desk.TestCase, Compositor.TestCase
TestDesk.settings = TestCompositor.settings = settings(max_examples=70, stateful_step_count=40, deadline=None)
