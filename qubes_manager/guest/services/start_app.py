"""qubes.StartApp: starts the application that the argument names by its .desktop file, without the ending.

The session's launcher does it (guest/session/launcher.py), which runs all the time.
"""

import os
import secrets
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from qubes_manager.core.applications import check_id
from qubes_manager.core.errors import NotFound, QubesManagerError, TimedOut
from qubes_manager.guest.exchange import plain_reason
from qubes_manager.guest.opening.watch import Look, Watch
from qubes_manager.guest.opening.windows import NoDisplay, Windows

_SESSION = "/run/qubes-manager-gui"
# Seconds for the launcher's answer, and for the application's first window.
_ANSWER_TIMEOUT, _WINDOW_TIMEOUT = 30.0, 120.0
_PAUSE = 0.05
_SAYS = {"missing": "there is no application “{0}” here", "failed": "“{0}” cannot be started"}


def main(arguments: Sequence[str] = ()) -> int:
    """Entry point; returns when there is a window, so that a disposable does not end before."""
    try:
        app_id = check_id(arguments[0] if arguments else "")
        windows = Windows()
        # The application is the launcher's child and not ours: any window that comes now counts.
        watch = Watch(lambda: Look({}, windows.present()), grace=_WINDOW_TIMEOUT)
        answer = _launch(app_id, Path(os.environ.get("XDG_RUNTIME_DIR", _SESSION)))
        if answer != "started":
            raise NotFound(_SAYS.get(answer, _SAYS["failed"]).format(app_id))
        watch.wait_for_window(_WINDOW_TIMEOUT)
        windows.close()
    except NoDisplay:
        print("there is no session here that shows windows", file=sys.stderr)
        return 1
    except (QubesManagerError, OSError) as error:
        print(plain_reason(error), file=sys.stderr)
        return 1
    return 0


def _launch(app_id: str, session: Path) -> str:
    """Ask the launcher; returns its word."""
    token = secrets.token_hex(8)
    # Without a reader, this fails at once.
    pipe = os.open(session / "launch", os.O_WRONLY | os.O_NONBLOCK)
    try:
        os.write(pipe, f"{token} {app_id}\n".encode())
    finally:
        os.close(pipe)
    answer, end = session / f"answer-{token}", time.monotonic() + _ANSWER_TIMEOUT
    while not answer.exists():
        if time.monotonic() > end:
            raise TimedOut("what starts applications here does not answer")
        time.sleep(_PAUSE)
    return answer.read_text("utf-8")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
