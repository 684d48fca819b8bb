"""Windows on X11: places are the screen's, and menus are windows of their own that no window manager touches."""

from collections.abc import Iterable, Mapping

from PySide6.QtCore import QPoint, Qt

from qubes_manager.viewers.windows.guest_window import GuestWindow
from qubes_manager.viewers.windows.platform import managed_flags
from qubes_manager.viewers.windows.x11_properties import X11Properties

# Qt's own name and numbers for the window types of EWMH (QNativeInterface::Private::QXcbWindow). NORMAL it says itself,
# unless it is asked to.
_TYPE_PROPERTY = "_q_xcb_wm_window_type"
_TYPES = {
    "TOOLBAR": 0x8,
    "MENU": 0x10,
    "UTILITY": 0x20,
    "SPLASH": 0x40,
    "DIALOG": 0x80,
    "DROPDOWN_MENU": 0x100,
    "POPUP_MENU": 0x200,
    "TOOLTIP": 0x400,
    "NOTIFICATION": 0x800,
    "COMBO": 0x1000,
    "DND": 0x2000,
}


class X11:
    """Qt's windows without scaling: each of its units is one pixel."""

    places_known = True
    draws_titles = True
    tells_scales = True

    def __init__(self) -> None:
        self._properties = X11Properties()

    def prepare(self, window: GuestWindow, domain: str) -> None:
        """Make the X window with its type, role and class, which window managers look at when it is mapped."""
        said = window.metadata
        types = said.window_types or ()
        if window.managed:
            frameless = window.flags() & Qt.WindowType.FramelessWindowHint
            window.setFlags(managed_flags(types) | frameless)
        else:
            window.setFlags(
                Qt.WindowType.ToolTip | Qt.WindowType.BypassWindowManagerHint | Qt.WindowType.WindowDoesNotAcceptFocus
            )
        if known := [_TYPES[name] for name in types if name in _TYPES]:
            window.setProperty(_TYPE_PROPERTY, known[0])
        if said.role:
            window.setProperty("_q_xcb_wm_window_role", said.role.encode())
        window.create()
        self._properties.set_class(window.winId(), said.class_instance or (domain, domain))

    def parent_of(self, window: GuestWindow, windows: Mapping[int, GuestWindow]) -> GuestWindow | None:
        """The one that the guest names; places do not hang on it here."""
        return windows.get(window.metadata.transient_for or 0)

    def read_ratios(self) -> Mapping[str, float]:
        """Units are pixels."""
        return {}

    def place(self, window: GuestWindow) -> None:
        """Move and resize it."""
        window.fit()
        window.setPosition(QPoint(window.box.x, window.box.y) - window.frame.corner)

    def place_found(self, window: GuestWindow) -> QPoint:
        """Where it really is."""
        return window.position() + window.frame.corner

    def paint_soon(self, window: GuestWindow) -> None:
        """Paint it at once: X shows what it gets, and waits for nothing."""
        window.paint()

    def has_keyboard(self, windows: Iterable[GuestWindow]) -> bool:
        """Ask X: Qt passes over a focus that is lost for less than a tenth of a second."""
        focused = self._properties.input_focus()
        return any(window.winId() == focused for window in windows)

    def launched(self, window: GuestWindow, startup_id: str) -> None:
        """Give the window its launch, and end the desktop's waiting for it."""
        self._properties.end_startup(window.winId(), startup_id)
