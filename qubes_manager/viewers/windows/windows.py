"""All windows of one guest on the host's screen, made and changed by what the judge lets through."""

from collections.abc import Callable
from dataclasses import fields, replace
from functools import partial

from PySide6.QtCore import QPoint, Qt, QTimer
from PySide6.QtGui import (
    QIcon,
    QPixmap,
)

from qubes_manager.core.gui_rules import GuiRules
from qubes_manager.viewers.protocol.packets import (
    Box,
    ButtonAction,
    CloseWindow,
    ConfigureWindow,
    Cursor,
    DamageDone,
    DefaultCursor,
    Direction,
    Draw,
    FromGuest,
    InitiateMoveResize,
    LostWindow,
    MapWindow,
    Metadata,
    MoveResize,
    NewWindow,
    NoDraw,
    Resized,
    Scroll,
    ToGuest,
    WindowIcon,
    WindowMetadata,
)
from qubes_manager.viewers.windows import hints, title_bar
from qubes_manager.viewers.windows.activation import Activation
from qubes_manager.viewers.windows.frame import NO_FRAME, Frame
from qubes_manager.viewers.windows.guest_cursor import GuestCursor
from qubes_manager.viewers.windows.guest_window import GuestWindow
from qubes_manager.viewers.windows.hanging import hanging_on, take_off
from qubes_manager.viewers.windows.neighbours import Input, Observer
from qubes_manager.viewers.windows.picture import argb
from qubes_manager.viewers.windows.platform import Platform
from qubes_manager.viewers.windows.screens import Screens
from qubes_manager.viewers.windows.state_reports import StateReports
from qubes_manager.viewers.windows.user_hands import UserHands, keyboard_of

_EDGES = {
    Direction.TOP_LEFT: Qt.Edge.TopEdge | Qt.Edge.LeftEdge,
    Direction.TOP: Qt.Edge.TopEdge,
    Direction.TOP_RIGHT: Qt.Edge.TopEdge | Qt.Edge.RightEdge,
    Direction.RIGHT: Qt.Edge.RightEdge,
    Direction.BOTTOM_RIGHT: Qt.Edge.BottomEdge | Qt.Edge.RightEdge,
    Direction.BOTTOM: Qt.Edge.BottomEdge,
    Direction.BOTTOM_LEFT: Qt.Edge.BottomEdge | Qt.Edge.LeftEdge,
    Direction.LEFT: Qt.Edge.LeftEdge,
}

# Answers that wait for the screen at most: a guest that does not wait for them must not fill the memory.
_MOST_DRAWN = 256
# Right of and below all that a display has: the pointer then is in its last corner.
_FAR = (1 << 15) - 1


class Windows:
    """Follows packets; *say* speaks to the guest, and *observer* hears of windows as they are on the screen."""

    def __init__(
        self,
        rules: GuiRules,
        platform: Platform,
        screens: Screens,
        say: Callable[[ToGuest], object],
        inputs: Input,
        observer: Observer,
    ) -> None:
        self._rules = rules
        self._frame = Frame.of(rules)
        self._platform = platform
        self._screens = screens
        self._say = say
        self._observer = observer
        self._windows: dict[int, GuestWindow] = {}
        # What was drawn and is not on the screen yet, by window: the answers to it.
        self._drawn: dict[int, list[DamageDone]] = {}
        self._states = StateReports(say, observer.left_fullscreen)
        self._activation = Activation(platform)
        self._cursor = GuestCursor()
        self._hands = UserHands(inputs, observer, self)

    # From the guest.

    def show(self, packet: FromGuest) -> None:
        """Do what a packet says."""
        match packet:
            case Draw() | Scroll():
                self._draw(packet)
            case NoDraw(wid, box, sequence):
                self._say(DamageDone(sequence, wid, box.width, box.height, 0))
            case NewWindow():
                self._open(packet)
            case LostWindow(wid):
                self._close(wid)
            case WindowMetadata(wid, metadata):
                if window := self._windows.get(wid):
                    self._change(window, metadata)
            case MoveResize(wid, box):
                if window := self._windows.get(wid):
                    self._move(window, box)
            case Resized(wid, width, height):
                if window := self._windows.get(wid):
                    self._move(window, Box(window.box.x, window.box.y, width, height))
            case WindowIcon(wid, width, height, pixels):
                if window := self._windows.get(wid):
                    window.setIcon(QIcon(QPixmap.fromImage(argb(width, height, pixels))))
            case Cursor():
                self._cursor.change(packet, self._screens.ratio)
            case DefaultCursor():
                self._cursor.change(None, self._screens.ratio)
            case InitiateMoveResize():
                if window := self._windows.get(packet.wid):
                    self._move_by_hand(window, packet)
            case _:
                pass

    def flush(self) -> None:
        """Paint what came since the last time: once for however many packets."""
        for window in list(self._windows.values()):
            if not window.isExposed() or len(self._drawn.get(window.wid, ())) > _MOST_DRAWN:
                window.paint()
            elif window.is_dirty:
                self._platform.paint_soon(window)

    def _open(self, packet: NewWindow) -> None:
        ratio = self._screens.ratio
        window = GuestWindow(packet.wid, packet.box, packet.managed, self._frame, ratio, self, self._hands)
        window.metadata = packet.metadata
        window.is_bare = packet.managed and not self._platform.draws_titles
        self._frame_of(window)
        if packet.metadata.decorations is False and packet.managed:
            window.setFlag(Qt.WindowType.FramelessWindowHint)
        window.setTitle(self._rules.title(""))
        self._adopt(window)
        self._platform.prepare(window, self._rules.domain)
        self._windows[packet.wid] = window
        self._cursor.opened(window)
        window.fit()
        hints.apply(window, packet.metadata)
        self._states.said(window.wid, packet.metadata)
        # A window that was not placed yet says 0, 0: the desktop finds it a place.
        if not window.managed or (packet.box.x, packet.box.y) != (0, 0):
            self._platform.place(window)
        self._activation.opening(window, self._windows.values())
        # Qt's show() would forget the states.
        window.setVisible(True)
        self._observer.counted(len(self._windows))

    def _close(self, wid: int) -> None:
        if window := self._windows.pop(wid, None):
            self._activation.closing(window)
            if self._cursor.is_over(window):
                self._cursor.left()
            self._answer(wid)
            self._states.forget(wid)
            popups = hanging_on(window, self._windows.values())
            take_off(popups)
            window.end()
            for popup in popups:
                self._hang(popup)
            # It may be in the midst of telling that it moved: it goes when nothing of it is on the stack any more.
            QTimer.singleShot(0, partial(_forget, window))
            self._observer.counted(len(self._windows))

    def _change(self, window: GuestWindow, said: Metadata) -> None:
        new = {field.name: value for field in fields(said) if (value := getattr(said, field.name)) is not None}
        window.metadata = replace(window.metadata, **new)
        if "transient_for" in new and window.managed:
            self._adopt(window)
        hints.apply(window, said)
        self._states.said(window.wid, said)
        self._frame_of(window)

    def _frame_of(self, window: GuestWindow) -> None:
        """A window that really fills the screen, as the judge allowed it, has no frame."""
        wanted = NO_FRAME if window.metadata.fullscreen and window.fills_screen else self._frame
        if window.is_bare and window.metadata.decorations is not False and wanted is self._frame:
            wanted = wanted.with_title_bar(round(title_bar.HEIGHT * window.ratio))
        if window.frame != wanted:
            window.change_frame(wanted)

    def _adopt(self, window: GuestWindow) -> None:
        if (parent := self._platform.parent_of(window, self._windows)) and parent is not window:
            window.setTransientParent(parent)

    def _hang(self, popup: GuestWindow) -> None:
        """Show a popup again as one of another window's."""
        popup.setTransientParent(None)  # type: ignore[arg-type]
        self._adopt(popup)
        self._platform.prepare(popup, self._rules.domain)
        self._platform.place(popup)
        popup.setVisible(True)

    def _move(self, window: GuestWindow, box: Box) -> None:
        window.take_box(box)
        self._platform.place(window)

    def _draw(self, packet: Draw | Scroll) -> None:
        window = self._windows.get(packet.wid)
        if window is None:
            self._say(DamageDone(packet.sequence, packet.wid, 0, 0, 0))
            return
        area, microseconds = window.draw(packet)
        done = DamageDone(packet.sequence, packet.wid, area.width(), area.height(), microseconds)
        self._drawn.setdefault(packet.wid, []).append(done)

    def _answer(self, wid: int) -> None:
        for done in self._drawn.pop(wid, ()):
            self._say(done)

    def _move_by_hand(self, window: GuestWindow, packet: InitiateMoveResize) -> None:
        # Only while a button is held in the window: a guest must not take the pointer by itself.
        if not window.is_held or not window.managed:
            return
        if packet.direction is Direction.MOVE:
            taken = window.startSystemMove()
        elif edges := _EDGES.get(packet.direction):
            taken = window.startSystemResize(edges)
        else:
            return
        if taken:
            self._hands.release(window, packet.x, packet.y)

    def close(self) -> None:
        """Close all windows: Qt's own end would find them half gone."""
        for wid in list(self._windows):
            self._close(wid)

    # From the host.

    def launched(self, startup_id: str) -> None:
        """An application is being launched: the next window is taken for its, as far as one can know."""
        self._activation.launched(startup_id)

    def change_rules(self, rules: GuiRules) -> None:
        """Wear the frame of other rules."""
        self._rules, self._frame = rules, Frame.of(rules)
        for window in self._windows.values():
            self._frame_of(window)
        self.flush()

    def exposed(self, window: GuestWindow) -> None:
        """Tell the guest that a window is seen, which draws it from then on, or that it is not."""
        if self._is_here(window) and window.isExposed() and not window.was_mapped:
            window.was_mapped = True
            self._observer.mapped(window.managed)
            self._screens.learn(window)
            if window.managed:
                self._take_place(window)
                self._say(MapWindow(window.wid, window.box))
            self.moved_on(window)

    def painted(self, window: GuestWindow) -> None:
        """Answer for what was drawn."""
        if self._is_here(window):
            self._answer(window.wid)

    def tell_place(self, refused: MoveResize | Resized) -> None:
        """Tell the guest again where its window is, which wanted something else."""
        window = self._windows.get(refused.wid)
        if window and window.managed and window.was_mapped and not window.insists_on(refused):
            self._say(ConfigureWindow(window.wid, window.box))

    def placed(self, window: GuestWindow) -> None:
        """Tell the guest where its window is now, and the judge."""
        if not self._is_here(window) or not window.was_mapped or not window.managed:
            return
        before = window.box
        self._take_place(window)
        if window.box != before:
            self._say(ConfigureWindow(window.wid, window.box))
            self.moved_on(window)

    def state_changed(self, window: GuestWindow) -> None:
        """Tell the guest what the desktop made of a window."""
        if self._is_here(window) and window.managed:
            self._frame_of(window)
            self._states.changed(window)

    def screens_changed(self) -> None:
        """See that windows on a screen whose scale has changed hear of it, and the judge where all of them are now."""
        self._cursor.rescale(self._screens.ratio)
        for window in list(self._windows.values()):
            if not window.follow_screen(self._screens.ratio_of(window), is_told=self._platform.tells_scales):
                self._rescale(window)
            self.moved_on(window)
        self.flush()

    def _rescale(self, window: GuestWindow) -> None:
        """The guest keeps its size in pixels, of which a unit may have another number now."""
        if window.ratio == self._screens.ratio:
            return
        window.ratio = self._screens.ratio
        hints.apply(window, Metadata(constraints=window.metadata.constraints))
        self._frame_of(window)
        window.refit()
        if not window.managed:
            self._platform.place(window)
        window.mark_all()

    def moved_on(self, window: GuestWindow) -> None:
        """Have a window judged on the screen that it is on now: on Wayland it tells of nothing else."""
        if self._is_here(window) and window.was_mapped:
            self._observer.placed(window.wid, window.box, self._screens.number_of(window))

    def rescaled(self, window: GuestWindow) -> None:
        """Learn the scale of the screen that a window is on, and draw for that."""
        if self._is_here(window):
            self._screens.learn(window)
            self._rescale(window)
            window.mark_all()
            self.flush()

    def reopened(self, window: GuestWindow) -> None:
        """Say anew what the desktop hears of a window that comes to it."""
        self._platform.prepare(window, self._rules.domain)

    def full(self) -> list[int]:
        """The windows that the desktop shows in full screen."""
        full = Qt.WindowState.WindowFullScreen
        return [wid for wid, window in self._windows.items() if window.windowStates() & full]

    def closing(self, window: GuestWindow) -> None:
        """Ask the application; a popup is one that the compositor has dismissed, and takes no picture of any more."""
        if not self._is_here(window):
            return
        if window.managed:
            self._say(CloseWindow(window.wid))
        else:
            take_off([window, *hanging_on(window, self._windows.values())])

    def keyboard_lost(self) -> None:
        """The user went elsewhere, which closes menus: the guest's pointer clicks far from all of its windows."""
        menus = [window for window in self._windows.values() if window.is_menu]
        # On X11 menus are as they always were there.
        if not menus or self._platform.places_known:
            return
        wid = keyboard_of(menus[-1])
        self._say(ButtonAction(wid, 1, True, _FAR, _FAR))
        self._say(ButtonAction(wid, 1, False, _FAR, _FAR))

    def menu(self, window: GuestWindow, place: QPoint) -> None:
        """Open a window's menu; a menu of the guest's has one where it lies over other windows whatever the user does.

        On Wayland it goes down with the window that it belongs to, and would lie over a menu of ours.
        """
        if window.managed or self._platform.places_known:
            self._observer.menu_wanted(window, place)

    def entered(self, window: GuestWindow) -> None:
        """Show the guest's pointer in a window."""
        if self._is_here(window):
            self._cursor.entered(window)

    def left(self, window: GuestWindow, shape: Qt.CursorShape) -> None:
        """Show ours."""
        self._cursor.left()
        window.setCursor(shape)

    def _is_here(self, window: GuestWindow) -> bool:
        """Whether a window has not ended; the guest may have given its number to another one by then."""
        return self._windows.get(window.wid) is window

    def _take_place(self, window: GuestWindow) -> None:
        self._frame_of(window)
        window.take_size()
        place: QPoint = self._platform.place_found(window)
        window.box = replace(window.box, x=place.x(), y=place.y())


def _forget(_window: GuestWindow) -> None:
    """Be the last that knows it."""
