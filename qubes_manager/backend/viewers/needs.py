"""Whether this machine can show guests' windows, and how well its screen keeps them apart. All block."""

import os
from collections.abc import Mapping

from qubes_manager.backend.host import host_facts
from qubes_manager.backend.viewers.display import Platform, display_of, x_display
from qubes_manager.backend.viewers.own_python import package_files
from qubes_manager.backend.viewers.programs import WINDOWS, ViewerProgram
from qubes_manager.backend.viewers.seccomp import compiled
from qubes_manager.core.errors import QubesManagerError, Refused


def windows_trouble() -> tuple[str, str]:
    """Return why applications' windows cannot be shown on this machine, and what to do; both are empty when they can.

    What cannot be had is not advised.
    """
    if trouble := host_facts.sandbox_trouble():
        return trouble, "" if host_facts.has_tool("bwrap") else host_facts.installing("bubblewrap")
    try:
        compiled()
        list(package_files())
    except QubesManagerError as error:
        return str(error), ""
    return "", ""


def shares_screen(program: ViewerProgram = WINDOWS, environment: Mapping[str, str] = os.environ) -> bool | None:
    """Whether a viewer that a guest took over would have the other programs' windows, keys and clipboard, as X11 gives
    them to everybody; None without a screen.

    X's own remedy, cookies that are not trusted (the SECURITY extension), takes the keyboard's layout, the list of
    screens and the window manager's words away too, so that it is none.
    """
    try:
        display = display_of(environment) if program.is_ours else x_display(environment)
    except Refused:
        return None
    return display.platform is Platform.X11
