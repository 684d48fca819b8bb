"""Notices of the user's desktop, by ``notify-send`` where it is installed."""

import contextlib
import shutil
from html import escape

from qubes_manager.backend.host.host_tools import run_tool_now
from qubes_manager.core.errors import QubesManagerError

_TIMEOUT = 5


def show_notice(title: str, text: str, *, replaces: str = "", urgent: bool = False) -> str:
    """Show a notice, in place of the one that this returned before, and return what stands for it. Blocks.

    Where no desktop listens nothing is shown, and nothing raised.
    """
    if shutil.which("notify-send") is None:
        return ""
    words = ["--app-name=Qubes Manager", "--icon=qubes-manager", "--print-id", "--transient"]
    words.append(f"--urgency={'critical' if urgent else 'low'}")
    if replaces.isdigit():
        words.append(f"--replace-id={replaces}")
    with contextlib.suppress(QubesManagerError):
        # Desktops take a text for markup.
        output = run_tool_now(["notify-send", *words, "--", title, escape(text)], timeout=_TIMEOUT)
        return output.decode("ascii", "replace").strip()
    return ""
