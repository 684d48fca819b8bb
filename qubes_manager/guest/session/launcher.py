"""Starts applications in the user's session when the host asks.

The host writes lines "TOKEN ID" into a pipe, by the guest agent: ID is the name of a .desktop file without the ending.
What became of it is a word in a file "answer-TOKEN". GLib finds and reads the .desktop file. This runs all the time:
on a slow machine a program that starts for each launch would cost more than most applications. It also tells all that
starts in the session what scale the host has.
"""

import contextlib
import os
import re
import select
import signal
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

from gi.repository import Gio, GLib

from qubes_manager.guest.session import scale

DISPLAY = ":10"
RUN = Path(os.environ.get("XDG_RUNTIME_DIR", "/run/qubes-manager-gui"))
# What applications need beside the display itself.
READY = (RUN / "xpra.sock", RUN / "bus")
PIPE = RUN / "launch"
# Seconds between two looks whether there is a session.
PAUSE = 0.05
# Seconds for which an answer waits for the host.
KEPT = 60
TOKEN = re.compile(r"[0-9a-f]{1,40}")
# Bytes of a line; who writes more is not the host.
LONGEST = 1 << 12


def launch(app_id: str) -> str:
    """Start an application; returns what became of it."""
    try:
        info = Gio.DesktopAppInfo.new(f"{app_id}.desktop")
    except TypeError:
        return "missing"
    try:
        return "started" if info.launch([], None) else "failed"
    except GLib.Error as error:
        print(f"{app_id}: {error.message}", flush=True)
        return "failed"


def answer(token: str, word: str) -> None:
    """Leave an answer, whole, and take away old ones."""
    now = time.time()
    for old in RUN.glob("answer-*"):
        if now - old.stat().st_mtime > KEPT:
            old.unlink(missing_ok=True)
    fresh = RUN / f".answer-{token}"
    fresh.write_text(word)
    fresh.rename(RUN / f"answer-{token}")


def orders(pipe: int, display: scale.Display) -> Iterator[str]:
    """Lines of the pipe, for ever; each comes when the environment says the scale that the display has by then."""
    os.environ.update(scale.write(RUN, display.dpi()))
    poll = select.poll()
    poll.register(pipe, select.POLLIN)
    poll.register(display, select.POLLIN)
    rest = b""
    while True:
        ready = {fd for fd, _event in poll.poll()}
        if display.has_changed():
            os.environ.update(scale.write(RUN, display.dpi()))
        if pipe in ready:
            *lines, rest = (rest + os.read(pipe, LONGEST)).split(b"\n")
            rest = rest[-LONGEST:]
            yield from (line.decode("utf-8", "replace") for line in lines)


def wait_for_display(name: str) -> scale.Display:
    """Return when there is a session."""
    while True:
        if all(map(Path.exists, READY)):
            with contextlib.suppress(OSError):
                return scale.Display(name)
        time.sleep(PAUSE)


def main(arguments: Sequence[str] = ()) -> int:
    """Entry point; the display of the session may be named."""
    name = arguments[0] if arguments else DISPLAY
    os.environ.update(DISPLAY=name, XDG_SESSION_TYPE="x11")
    # Whoever was started is nobody's to wait for.
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    display = wait_for_display(name)
    fresh = RUN / ".launch"
    fresh.unlink(missing_ok=True)
    os.mkfifo(fresh, 0o600)
    # Open for writing too, so that it does not end when the host is done.
    pipe = os.open(fresh, os.O_RDWR)
    # Who finds it finds it open: what is written into a pipe that nobody has is lost.
    fresh.rename(PIPE)
    for line in orders(pipe, display):
        token, _, app_id = line.strip().partition(" ")
        if TOKEN.fullmatch(token):
            answer(token, launch(app_id))
    return 0
