"""Where windows may be, and how large: never over a screen without their frame, whoever put them there."""

from dataclasses import replace

from qubes_manager.viewers.protocol.packets import Box
from qubes_manager.viewers.rules.covering import AT_BOX, with_frame, without_frame
from qubes_manager.viewers.rules.desktop import Desktop
from qubes_manager.viewers.rules.pictures import MAX_SIDE
from qubes_manager.viewers.rules.reach import brought_near, is_near
from qubes_manager.viewers.rules.window import Window, owner_of

_NOTHING = Box(0, 0, 0, 0)


def admit_new(desktop: Desktop, window: Window) -> bool:
    """Find a new window a box, or say that there is none.

    One that is not managed becomes so where it would cover too much.
    """
    wanted, window.box = window.box, _NOTHING
    if not window.managed and desktop.rules.override_redirect_protection:
        host = _wanted(desktop, window, wanted)
        if desktop.screens.is_crowded([*desktop.unmanaged_beside(window), (host, desktop.where(window))]):
            desktop.on_refused("an unmanaged window over most of the screen")
            # The user can move, lower and close it like any other.
            window.managed = True
    return move(desktop, window, wanted)


def move(desktop: Desktop, window: Window, wanted: Box) -> bool:
    """Give a window the box that its guest wants for it, or the next best; False when it stays as it is."""
    host, where = _wanted(desktop, window, wanted), desktop.where(window)
    if window.managed and where == AT_BOX:
        host = desktop.screens.reachable(host, desktop.rules.border_width)
    box = _kept_to_rules(desktop, window, host)
    if box is None or not _has_memory(desktop, window, box) or _is_astray(desktop, window, box):
        return False
    window.box = box
    return True


def settle(desktop: Desktop, window: Window) -> bool:
    """Put a window right that is where somebody else has put it; False when it can be nowhere."""
    if window.fullscreen:
        return True
    box = _kept_to_rules(desktop, window, desktop.host_box(window))
    if box is None:
        return False
    window.box = box
    return True


def bring_back(desktop: Desktop, window: Window) -> bool:
    """Put a popup that others have led away near the window that it belongs to; False when it cannot be there."""
    own = _own(desktop, window)
    box = _kept_to_rules(desktop, window, brought_near(desktop.host_box(window), own))
    if box is None or not is_near(with_frame(box, desktop.rules.border_width), own):
        return False
    window.box = box
    return True


def keep_decorated(desktop: Desktop, window: Window) -> bool:
    """Give a window over most of a screen a frame of the window manager's too; says whether it had none."""
    if desktop.rules.allow_fullscreen or not window.managed or window.decorated:
        return False
    host, screens = desktop.host_box(window), desktop.screens
    # One of a screen's size may come to lie on that screen at any moment.
    if not (
        window.maximized or screens.is_large(host, desktop.where(window)) or screens.is_large(host, screens.largest)
    ):
        return False
    desktop.on_refused("a window without a frame over most of the screen")
    window.decorated = True
    return True


def _wanted(desktop: Desktop, window: Window, wanted: Box) -> Box:
    """The host's box that a guest wants for a window, no larger than a guest may make it."""
    border = desktop.rules.border_width
    # What the user has made larger may stay so.
    most = [
        max(min(side - 2 * border, MAX_SIDE), own, 1)
        for side, own in zip(desktop.screens.most, (window.box.width, window.box.height), strict=True)
    ]
    width, height = max(1, min(wanted.width, most[0])), max(1, min(wanted.height, most[1]))
    host = with_frame(replace(wanted, width=width, height=height), border)
    if window.managed or window.wid not in desktop.strays(window, host):
        return host
    return brought_near(host, _own(desktop, window))


def _is_astray(desktop: Desktop, window: Window, box: Box) -> bool:
    return not window.managed and window.wid in desktop.strays(window, with_frame(box, desktop.rules.border_width))


def _own(desktop: Desktop, window: Window) -> Box:
    """The host's box of the window that a popup belongs to, or of another one of its domain, of which there is one."""
    owner = owner_of(desktop.windows, window)
    return desktop.host_box(owner or next(other for other in desktop.windows.values() if other.managed))


def _kept_to_rules(desktop: Desktop, window: Window, host: Box) -> Box | None:
    """The guest's box for a host's that breaks no rule; None when there is none."""
    where, border = desktop.where(window), desktop.rules.border_width
    kept = desktop.screens.with_its_frame_seen(host, where)
    if not window.managed and desktop.rules.override_redirect_protection:
        cut = desktop.screens.cut_to_room(kept, where, desktop.unmanaged_beside(window))
        if cut != kept:
            desktop.on_refused("unmanaged windows over most of the screen")
        if cut is None or cut.height <= 2 * border:
            return None
        kept = cut
    return without_frame(kept, border)


def _has_memory(desktop: Desktop, window: Window, box: Box) -> bool:
    grows = box.width * box.height - window.box.width * window.box.height
    if grows <= 0 or desktop.has_room(window, grows):
        return True
    desktop.on_refused("windows larger than its viewer has memory for")
    return False
