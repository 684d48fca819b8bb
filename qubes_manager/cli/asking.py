"""What commands ask on a terminal before something is lost."""

import sys
from collections.abc import Sequence

from qubes_manager.core.disposables import what_ends
from qubes_manager.core.domain import Domain


def agreed(question: str) -> bool:
    """Whether the user says yes; the end of the input is no."""
    try:
        answer = input(f"{question} [y/N] ")
    except EOFError:
        answer = ""
    return answer.strip().lower() in ("y", "yes")


async def may_end(domains: Sequence[Domain]) -> bool:
    """Whether all of *domains* may be ended; on a terminal it asks where disposables among them have windows."""
    # What is not read is transient, and what this program shows windows of is its own: no other domains are both.
    disposables = [d for d in domains if d.state.is_active and (d.is_disposable if d.is_read else not d.persistent)]
    if not (disposables and sys.stdin and sys.stdin.isatty()):
        return True
    from qubes_manager.services.gui.open_windows import open_windows

    windows = await open_windows()
    lost = what_ends({d.name: count for d in disposables if (count := windows.get(d.key.uuid))})
    if not lost or agreed(f"{lost} End?"):
        return True
    print("nothing was ended", file=sys.stderr)
    return False
