"""What may be said of a window: its titles, its kind, whose it is, its state. All else is left out."""

from dataclasses import replace

from qubes_manager.viewers.protocol.packets import Metadata, SizeConstraints
from qubes_manager.viewers.rules import titles
from qubes_manager.viewers.rules.constraints import fit_constraints
from qubes_manager.viewers.rules.desktop import Desktop
from qubes_manager.viewers.rules.window import Window, find_parent

_FRAMED_TYPES = frozenset({"NORMAL", "DIALOG", "UTILITY", "TOOLBAR"})
# Types that belong to windows that nobody manages, whatever else is said of them.
UNMANAGED_TYPES = frozenset({"DROPDOWN_MENU", "POPUP_MENU", "TOOLTIP", "COMBO", "DND"})


def describe_new(desktop: Desktop, window: Window, given: Metadata) -> Metadata:
    """All that the host needs to know of a new window."""
    if window.managed:
        types = tuple(name for name in given.window_types or () if name in _FRAMED_TYPES) or ("NORMAL",)
        window.decorated = given.decorations is not False
    else:
        types = tuple(name for name in given.window_types or () if name in UNMANAGED_TYPES)
        window.decorated = False
    told = describe(desktop, window, replace(given, title=given.title or ""))
    # Without a word on it somebody would have to guess.
    place = window.managed and bool(given.set_initial_position)
    return replace(told, window_types=types, decorations=window.decorated, set_initial_position=place)


def describe(desktop: Desktop, window: Window, given: Metadata) -> Metadata:
    """What of *given* may be said of a window that is there; what kind it is was judged when it was made."""
    told = _names(desktop, window, given)
    if given.constraints is not None:
        window.constraints = given.constraints
        told = replace(told, constraints=constraints(desktop, window))
    if parent := find_parent(desktop.windows, window.wid, window.managed, given.transient_for or 0):
        window.parent = parent
        told = replace(told, transient_for=parent)
    if not window.managed:
        return told
    if given.decorations is not None:
        window.decorated = given.decorations
    if given.maximized is not None:
        window.maximized = given.maximized
    return replace(
        told,
        decorations=given.decorations,
        maximized=given.maximized,
        # Nothing comes before the others by itself.
        iconic=given.iconic or None,
        attention=given.attention,
    )


def retitled(desktop: Desktop, window: Window) -> Metadata:
    """A window's titles by the rules that hold now."""
    icon_title = None if window.icon_title is None else desktop.rules.title(window.icon_title)
    return Metadata(title=desktop.rules.title(window.title), icon_title=icon_title)


def constraints(desktop: Desktop, window: Window) -> SizeConstraints | None:
    """A window's sizes on the screens that there are now."""
    given, border = window.constraints, desktop.rules.border_width
    return given and fit_constraints(given, desktop.screens.smallest, border)


def _names(desktop: Desktop, window: Window, given: Metadata) -> Metadata:
    told = Metadata()
    if given.title is not None:
        window.title = titles.kept(given.title)
        told = replace(told, title=desktop.rules.title(window.title))
    if given.icon_title is not None:
        window.icon_title = titles.kept(given.icon_title)
        told = replace(told, icon_title=desktop.rules.title(window.icon_title))
    if given.class_instance is not None:
        told = replace(told, class_instance=titles.class_names(desktop.rules.domain, given.class_instance))
    if given.role is not None:
        told = replace(told, role=titles.role(given.role))
    return told
