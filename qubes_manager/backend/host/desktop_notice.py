"""Notices of the user's desktop, by ``notify-send`` where it is installed."""

import contextlib
import shutil
from collections.abc import Mapping
from html import escape
from types import MappingProxyType

from qubes_manager.backend.host.host_tools import run_tool_now
from qubes_manager.core.errors import QubesManagerError
from qubes_manager.core.text import harmless, one_line

# Characters of a notice that anybody reads.
_MOST = 1000
_TIMEOUT = 5


def show_notice(
    title: str,
    text: str,
    *,
    replaces: str = "",
    urgent: bool = False,
    environment: Mapping[str, str] = MappingProxyType({}),
) -> str:
    """Show a notice, in place of the one that this returned before, and return what stands for it. Blocks.

    *environment* names another desktop than this program's own. Where none listens nothing is shown, and nothing
    raised.
    """
    if shutil.which("notify-send") is None:
        return ""
    words = ["--app-name=Qubes Manager", "--icon=qubes-manager", "--print-id", "--transient"]
    words.append(f"--urgency={'critical' if urgent else 'low'}")
    if replaces.isdigit():
        words.append(f"--replace-id={replaces}")
    with contextlib.suppress(QubesManagerError):
        # Desktops take a text for markup.
        output = run_tool_now(
            ["notify-send", *words, "--", one_line(title), escape(harmless(text[:_MOST]))],
            timeout=_TIMEOUT,
            environment=environment,
        )
        return output.decode("ascii", "replace").strip()
    return ""
