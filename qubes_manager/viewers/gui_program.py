"""Shows one domain's application windows.

Usage: gui_program.py FD, the number of a socket that is connected to the guest's display server.
The rules come as a line of JSON on standard input, and again whenever they change; end of file ends the program. What
happens is told on standard output, a line of JSON each.
"""

import os
import socket
import sys
from types import TracebackType

from PySide6.QtCore import QPoint, QSocketNotifier
from PySide6.QtGui import QGuiApplication

from qubes_manager.core import viewer_messages as events
from qubes_manager.core.gui_rules import GuiRules
from qubes_manager.core.viewer_messages import Go, Launch, Order, Unusable
from qubes_manager.viewers.calm_report import CalmReport
from qubes_manager.viewers.confined import load_nothing_else
from qubes_manager.viewers.guest_talk import GuestTalk
from qubes_manager.viewers.host import Host
from qubes_manager.viewers.input.guest_input import GuestInput
from qubes_manager.viewers.input.layouts import Layouts
from qubes_manager.viewers.protocol.dialect import ProtocolBroken, UnknownServer
from qubes_manager.viewers.protocol.packets import (
    Box,
    ClientHello,
    DamageDone,
    Disconnect,
    Draw,
    FromGuest,
    Greeting,
    LostWindow,
    MoveResize,
    NoDraw,
    Ping,
    PingEcho,
    Resized,
    ScreenChanged,
    Scroll,
    StartupComplete,
    ToGuest,
)
from qubes_manager.viewers.rules.judge import Judge
from qubes_manager.viewers.rules.pace import Pace
from qubes_manager.viewers.windows.application import make_application, platform_of
from qubes_manager.viewers.windows.guest_window import GuestWindow
from qubes_manager.viewers.windows.screens import Screens
from qubes_manager.viewers.windows.window_acts import WindowActs
from qubes_manager.viewers.windows.windows import Windows

EXIT_BROKEN, EXIT_UNUSABLE = 1, 72


class Viewer:
    """Ties the guest's session, the judge, the windows, the input and the supervisor together."""

    def __init__(self, rules: GuiRules, host: Host, application: QGuiApplication, guest: socket.socket) -> None:
        self._host = host
        self._counted, self._mapped = CalmReport(host.report), CalmReport(host.report)
        self._application = application
        self._guest = guest
        self._talk: GuestTalk | None = None
        self._menu: WindowActs | None = None
        self._is_connected = False
        self._refusals: set[str] = set()
        platform = platform_of(application)
        self._screens = Screens(application, self._screens_changed, platform.read_ratios)
        self._judge = Judge(rules, self._screens.boxes(), self._refused, platform.places_known)
        self._pace = Pace()
        self._layouts = Layouts(application.platformName())
        self._input = GuestInput(
            self._say, rules, self._layouts, application.platformName(), host.report, self._toggle_full_screen
        )
        self._windows = Windows(rules, platform, self._screens, self._say, self._input, self)

    # From the supervisor.

    def follow(self, orders: list[Order]) -> None:
        """Do what the supervisor says."""
        for order in orders:
            self._follow(order)

    def _follow(self, order: Order) -> None:
        match order:
            case GuiRules():
                self._input.change_rules(order)
                self._windows.change_rules(order)
                self._show(self._judge.change_rules(order))
                self._windows.flush()
            case Launch(startup_id):
                self._windows.launched(startup_id)
            case Go():
                if self._talk is None:
                    self._talk = GuestTalk(
                        self._guest, self._on_packet, self._windows.flush, self._end, self._pace.wait
                    )

    # From the guest.

    def _on_packet(self, packet: FromGuest) -> None:
        match packet:
            case Greeting():
                self._say(ClientHello(*self._screens.size, self._screens.dpi, self._layouts.layout))
            case Ping(time):
                self._say(PingEcho(time))
            case _:
                admitted = self._judge.admit(packet)
                if not admitted and isinstance(packet, Draw | Scroll | NoDraw):
                    self._say(DamageDone(packet.sequence, packet.wid, 0, 0, -1))
                self._show(admitted)
                if isinstance(packet, MoveResize | Resized) and packet not in admitted:
                    # The guest has another size than its window.
                    self._windows.tell_place(packet)

    def _show(self, packets: list[FromGuest]) -> None:
        for packet in packets:
            self._pace.spend(packet)
            match packet:
                case StartupComplete():
                    if not self._is_connected:
                        self._is_connected = True
                        self._host.report(events.Connected())
                case Disconnect(reason):
                    self._end(reason)
                case _:
                    self._windows.show(packet)

    # From the windows and the input.

    def _say(self, message: ToGuest) -> None:
        if self._talk:
            self._talk.say(message)

    def counted(self, count: int) -> None:
        """Tell how many windows there are."""
        self._counted.tell(events.Windows(count))

    def mapped(self, managed: bool) -> None:
        """Tell that a window is on the screen, unless it is a menu or a tip."""
        if managed:
            self._mapped.tell(events.Mapped())

    def placed(self, wid: int, box: Box, screen: int) -> None:
        """Have the judge look at where a window really is."""
        self._show(self._judge.placed(wid, box, screen))

    def pressed(self, wid: int, is_held: bool) -> None:
        """Tell the judge, which lets a window be moved by hand only while a button is held in it."""
        self._judge.pressed(wid, is_held)

    def left_fullscreen(self, wid: int) -> None:
        """Tell the judge, as if our keys had been pressed: the guest does not come back by itself."""
        self._show(self._judge.fullscreen(wid, False))

    def menu_wanted(self, window: GuestWindow, place: QPoint) -> None:
        """Open a window's menu."""
        self._menu = WindowActs(window, self._close_window, self._toggle_full_screen, self._host.report)
        self._menu.pop_up(self._judge.rules, place)

    def _close_window(self, window: GuestWindow) -> None:
        if window.managed:
            self._windows.closing(window)
        else:
            self._show(self._judge.admit(LostWindow(window.wid)))

    def _toggle_full_screen(self, wid: int) -> None:
        self._show(self._judge.switch_fullscreen(wid, self._windows.full()))

    def _screens_changed(self) -> None:
        self._show(self._judge.change_screens(self._screens.boxes()))
        self._windows.screens_changed()
        self._say(ScreenChanged(*self._screens.size, self._screens.dpi))

    def _refused(self, what: str) -> None:
        # Once for each thing that the guest tried.
        if what not in self._refusals:
            self._refusals.add(what)
            self._host.report(events.Denied(what))

    def _end(self, why: ProtocolBroken | str) -> None:
        print(why, file=sys.stderr, flush=True)
        if isinstance(why, UnknownServer):
            self._host.report(Unusable(str(why)))
        self._application.exit(EXIT_UNUSABLE if isinstance(why, UnknownServer) else EXIT_BROKEN)

    def close(self) -> None:
        """Close all windows."""
        self._windows.close()


def end_at_once(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
    """What happens to an error that nobody caught: the program is in no known state then, and is started anew."""
    sys.__excepthook__(kind, error, trace)
    sys.stderr.flush()
    os._exit(EXIT_BROKEN)


def main() -> int:
    """Show windows until the connection or the input ends."""
    sys.excepthook = end_at_once
    host = Host()
    guest = socket.socket(fileno=int(sys.argv[1]))
    rules = host.first_rules()
    application = make_application(rules.domain, os.environ)
    viewer = Viewer(rules, host, application, guest)
    orders = QSocketNotifier(0, QSocketNotifier.Type.Read)
    orders.activated.connect(lambda: viewer.follow(host.orders()))
    # Qt has its plugins by now. Of the guest nothing was heard.
    load_nothing_else()
    code = application.exec()
    viewer.close()
    return code


if __name__ == "__main__":
    sys.exit(main())
