"""Judges what a guest says: what breaks the rules is dropped or put right, so that nothing behind it looks again."""

from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from dataclasses import replace

from qubes_manager.core.gui_rules import GuiRules
from qubes_manager.viewers.protocol.packets import (
    Box,
    Cursor,
    DefaultCursor,
    Direction,
    Disconnect,
    Draw,
    FromGuest,
    Greeting,
    InitiateMoveResize,
    LostWindow,
    Metadata,
    MoveResize,
    NewWindow,
    NoDraw,
    Ping,
    Resized,
    Scroll,
    ServerHello,
    StartupComplete,
    WindowIcon,
    WindowMetadata,
)
from qubes_manager.viewers.rules import pictures, titles
from qubes_manager.viewers.rules.covering import ANYWHERE, AT_BOX, Screens
from qubes_manager.viewers.rules.describing import UNMANAGED_TYPES, constraints, describe, describe_new, retitled
from qubes_manager.viewers.rules.desktop import Desktop
from qubes_manager.viewers.rules.placing import admit_new, bring_back, keep_decorated, move, settle
from qubes_manager.viewers.rules.tint import tint
from qubes_manager.viewers.rules.window import Window, find_parent, popups_of

# Popups at once: no program of use has more, and each is held against all others.
_MOST_POPUPS = 50
_OfWindow = WindowMetadata | MoveResize | Resized | WindowIcon | InitiateMoveResize


class Judge:
    """Admits the packets of one guest, and judges again what the host makes of its windows.

    Boxes are the guest's, inside of the frame, in pixels; *screens* are in the same pixels. With *places_known* windows
    are where their boxes say (X11); else nobody but the compositor knows, and it matters on which screen they are
    (Wayland). *on_refused* is told in a few words what was refused.
    """

    def __init__(
        self,
        rules: GuiRules,
        screens: Sequence[Box],
        on_refused: Callable[[str], object],
        places_known: bool = True,
    ) -> None:
        self._desktop = Desktop(rules, Screens(screens, places_known), on_refused)
        self._windows = self._desktop.windows
        # The user has left full screen, and has done nothing in a window since.
        self._has_left = False

    @property
    def rules(self) -> GuiRules:
        """The rules that hold."""
        return self._desktop.rules

    def admit(self, packet: FromGuest) -> list[FromGuest]:
        """Return what holds in place of *packet*: nothing, or one packet or more."""
        match packet:
            case NewWindow():
                return [*self._new_window(packet), *self._gather()]
            case LostWindow(wid):
                return [*self._lose(wid), *self._gather()] if wid in self._windows else []
            case Disconnect(reason):
                return [Disconnect(titles.reason(reason))]
            case Greeting() | ServerHello() | StartupComplete() | Ping() | DefaultCursor():
                return [packet]
            case Cursor():
                return [packet] if pictures.is_cursor(packet) else []
            case Draw() | Scroll() | NoDraw():
                return [self._picture(packet)]
            case _:
                window = self._windows.get(packet.wid)
                return list(self._of_window(packet, window)) if window else []

    def placed(self, wid: int, box: Box, screen: int = ANYWHERE) -> list[FromGuest]:
        """Hear where a window is now, whoever put it there; returns what puts it right where that breaks the rules.

        It is to be said of each window that is shown, and each time it has moved, or its size or its screen have
        changed. *screen* is the number of its screen, where places are not known, or -1.
        """
        if not (window := self._windows.get(wid)):
            return []
        window.box = Box(box.x, box.y, max(1, box.width), max(1, box.height))
        before = window.where
        window.where = AT_BOX if self._desktop.screens.places_known else screen if screen >= 0 else ANYWHERE
        if not self._desktop.screens.is_large(self._desktop.host_box(window), self._desktop.where(window)):
            # The user has restored it, or it is yet to be maximised, and then this is said again.
            window.maximized = False
        if not self._desktop.has_room(window, by_user=True):
            self._desktop.on_refused("windows larger than its viewer has memory for")
            return [*self._lose(wid), *self._gather()]
        settled = list(self._settle(window))
        # Popups lie where their window does.
        return [*settled, *(self._settle_popups() if before != window.where else ()), *self._gather()]

    def pressed(self, wid: int, is_held: bool) -> None:
        """Hear that the user holds a button of the pointer in a window, or holds none any more."""
        if window := self._windows.get(wid):
            window.is_held = is_held
            self._has_left = self._has_left and not is_held

    def fullscreen(self, wid: int, wanted: bool) -> list[FromGuest]:
        """Take a window to full screen or out of it, as the user wants; into it only where that is allowed."""
        window = self._windows.get(wid)
        if not window or not window.managed or window.fullscreen == wanted:
            return []
        if wanted and not self.rules.allow_fullscreen:
            self._desktop.on_refused("full screen")
            return []
        self._has_left = not wanted
        return [WindowMetadata(wid, self._put_fullscreen(window, wanted))]

    def switch_fullscreen(self, wid: int, seen: Collection[int] = ()) -> list[FromGuest]:
        """Do what the user's keys mean: out of full screen, or into it with that window where none is.

        A guest says which of its windows has the keyboard: it may be another one than the user sees. The desktop may
        show more windows in full screen than were let into it (those *seen*), when it was late to do what it was told.
        """
        full = [window for window in self._windows.values() if window.fullscreen or window.wid in seen]
        if not full:
            return self.fullscreen(wid, True)
        self._has_left = True
        return [WindowMetadata(window.wid, self._put_fullscreen(window, False)) for window in full]

    def change_rules(self, rules: GuiRules) -> list[FromGuest]:
        """Take new rules; returns what brings the windows in line with them."""
        before, self._desktop.rules = self.rules, rules
        changes: list[FromGuest] = []
        for window in self._windows.values():
            if _titling(before) != _titling(rules):
                changes.append(WindowMetadata(window.wid, retitled(self._desktop, window)))
            if before.colour != rules.colour and window.icon:
                changes.append(self._tinted(window.icon))
            if window.fullscreen and not rules.allow_fullscreen:
                changes.append(WindowMetadata(window.wid, self._put_fullscreen(window, False)))
        if before.border_width != rules.border_width:
            changes.extend(self._constrained())
        return [*changes, *self._settle_each(self._windows.values()), *self._gather()]

    def change_screens(self, screens: Sequence[Box]) -> list[FromGuest]:
        """Take other screens; with none the last ones hold, since nobody sees anything meanwhile."""
        if not screens:
            return []
        self._desktop.screens = Screens(screens, self._desktop.screens.places_known)
        return [*self._constrained(), *self._settle_each(self._windows.values()), *self._gather()]

    # From the guest.

    def _new_window(self, packet: NewWindow) -> Iterator[FromGuest]:
        wid, box, given = packet.wid, packet.box, packet.metadata
        if wid in self._windows or wid <= 0:
            return
        if len(self._windows) >= self.rules.windows_count_limit:
            self._desktop.on_refused("too many windows")
            return
        managed = packet.managed and not UNMANAGED_TYPES.intersection(given.window_types or ())
        if not managed and sum(not window.managed for window in self._windows.values()) >= _MOST_POPUPS:
            self._desktop.on_refused("too many menus")
            return
        # One that was not placed yet says 0, 0, and so does one that means it, where its title bar would be out of
        # sight: the host's window manager finds it a place.
        is_placed = not managed or (box.x, box.y) != (0, 0)
        where = AT_BOX if is_placed and self._desktop.screens.places_known else ANYWHERE
        window = Window(wid, box, managed, managed, where)
        window.parent = find_parent(self._windows, wid, managed, given.transient_for or 0)
        if not admit_new(self._desktop, window):
            return
        if window.managed and not managed:
            given = replace(given, window_types=None, decorations=None, set_initial_position=None)
            window.parent = find_parent(self._windows, wid, True, window.parent)
        told = describe_new(self._desktop, window, given)
        told = replace(told, fullscreen=self._wants_fullscreen(window, given))
        self._windows[wid] = window
        if keep_decorated(self._desktop, window):
            told = replace(told, decorations=True)
        yield NewWindow(wid, window.box, window.managed, told)

    def _picture(self, packet: Draw | Scroll | NoDraw) -> Draw | Scroll | NoDraw:
        """The picture, or in its place that there is nothing to draw: the server waits for an answer to each."""
        match packet, self._windows.get(packet.wid):
            case Draw(), Window() if pictures.is_whole(packet):
                return packet
            case Scroll(), Window(box=box) if pictures.is_sane_scroll(packet, box.width * box.height):
                return packet
            case _:
                return NoDraw(packet.wid, Box(0, 0, 0, 0), packet.sequence)

    def _of_window(self, packet: _OfWindow, window: Window) -> Iterator[FromGuest]:
        match packet:
            case WindowMetadata(wid, given):
                yield from self._metadata(wid, given, window)
            case MoveResize(_wid, box):
                yield from self._move(packet, window, box)
            case Resized(_wid, width, height):
                yield from self._move(packet, window, Box(window.box.x, window.box.y, width, height))
            case WindowIcon():
                yield from self._icon(packet, window)
            case InitiateMoveResize():
                # Only while a button is held in the window: a guest must not take the pointer by itself.
                if window.is_held and window.managed and packet.direction <= Direction.MOVE:
                    yield packet

    def _metadata(self, wid: int, given: Metadata, window: Window) -> Iterator[FromGuest]:
        told = describe(self._desktop, window, given)
        told = replace(told, fullscreen=self._wants_fullscreen(window, given))
        if keep_decorated(self._desktop, window):
            told = replace(told, decorations=True)
        if told != Metadata():
            yield WindowMetadata(wid, told)

    def _move(self, packet: MoveResize | Resized, window: Window, box: Box) -> Iterator[FromGuest]:
        # In full screen it has the size of the screen, and gets back its own.
        if window.fullscreen or not move(self._desktop, window, box):
            return
        yield from self._decorated(window)
        if isinstance(packet, MoveResize) and not self._desktop.screens.places_known:
            # Its popups go by the place that the guest believes in, whatever becomes of the size.
            yield replace(packet, box=window.box)
        else:
            yield packet if window.box == box else self._moved(window)
        yield from self._gather()

    def _icon(self, icon: WindowIcon, window: Window) -> Iterator[FromGuest]:
        if not pictures.is_icon(icon):
            return
        window.icon, before = icon, window.icon
        if self._desktop.has_room(window):
            yield self._tinted(icon)
        else:
            window.icon = before

    def _lose(self, wid: int) -> Iterator[FromGuest]:
        """A window goes, its popups before it: Wayland ends who leaves one without what it belongs to."""
        for gone in (*popups_of(self._windows, wid), wid):
            del self._windows[gone]
            yield LostWindow(gone)
        for window in self._windows.values():
            if window.parent not in self._windows:
                window.parent = 0

    def _wants_fullscreen(self, window: Window, given: Metadata) -> bool | None:
        """What becomes of a guest's wish for full screen."""
        if given.fullscreen is None or given.fullscreen == window.fullscreen or not window.managed:
            return None
        if given.fullscreen and (self._has_left or not self.rules.allow_fullscreen):
            self._desktop.on_refused("full screen")
            return None
        return self._put_fullscreen(window, given.fullscreen).fullscreen

    # What holds at any time.

    def _put_fullscreen(self, window: Window, wanted: bool) -> Metadata:
        if wanted:
            window.before = window.box
        elif window.fullscreen and window.before:
            window.box = window.before
        window.fullscreen = wanted
        return Metadata(fullscreen=wanted)

    def _settle(self, window: Window) -> Iterator[FromGuest]:
        before = window.box
        if not settle(self._desktop, window):
            yield from self._lose(window.wid)
            return
        yield from self._decorated(window)
        if window.box != before:
            yield self._moved(window)

    def _settle_popups(self) -> Iterator[FromGuest]:
        yield from self._settle_each(window for window in self._windows.values() if not window.managed)

    def _gather(self) -> Iterator[FromGuest]:
        """Popups stay with the windows of their domain when those go elsewhere, or go."""
        while astray := self._desktop.strays():
            for wid in astray:
                # One may have gone with another.
                if not (window := self._windows.get(wid)):
                    continue
                if bring_back(self._desktop, window):
                    yield self._moved(window)
                else:
                    yield from self._lose(wid)

    def _constrained(self) -> Iterator[FromGuest]:
        for window in self._windows.values():
            if window.constraints:
                yield WindowMetadata(window.wid, Metadata(constraints=constraints(self._desktop, window)))

    def _settle_each(self, windows: Iterable[Window]) -> Iterator[FromGuest]:
        for window in list(windows):
            # One may have gone with another.
            if window.wid in self._windows:
                yield from self._settle(window)

    def _decorated(self, window: Window) -> Iterator[FromGuest]:
        if not window.fullscreen and keep_decorated(self._desktop, window):
            yield WindowMetadata(window.wid, Metadata(decorations=True))

    def _moved(self, window: Window) -> FromGuest:
        if window.managed and window.where != AT_BOX:
            return Resized(window.wid, window.box.width, window.box.height)
        return MoveResize(window.wid, window.box)

    def _tinted(self, icon: WindowIcon) -> WindowIcon:
        return replace(icon, pixels=tint(icon.pixels, self.rules.colour))


def _titling(rules: GuiRules) -> tuple[str, str, bool]:
    return rules.domain, rules.shown, rules.allow_utf8_titles
