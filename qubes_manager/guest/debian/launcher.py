#!/usr/bin/python3
"""Starts applications in the user's session when the host asks.

The host writes lines "TOKEN ID" into a pipe, by the guest agent: ID is the name of a .desktop file without the ending.
What became of it is a word in a file "answer-TOKEN". GLib finds and reads the .desktop file. This runs all the time:
on a slow machine a program that starts for each launch would cost more than most applications.
"""

import os
import re
import signal
import time
from pathlib import Path

from gi.repository import Gio, GLib

RUN = Path(os.environ["XDG_RUNTIME_DIR"])
READY = RUN / "xpra.sock"
PIPE = RUN / "launch"
# Seconds for which an answer waits for the host.
KEPT = 60
TOKEN = re.compile(r"[0-9a-f]{1,40}")


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


def main() -> None:
    os.environ.update(DISPLAY=":10", XDG_SESSION_TYPE="x11")
    # Whoever was started is nobody's to wait for.
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    while not READY.exists():
        time.sleep(0.1)
    PIPE.unlink(missing_ok=True)
    os.mkfifo(PIPE, 0o600)
    # Open for writing too, so that it does not end when the host is done.
    with os.fdopen(os.open(PIPE, os.O_RDWR)) as pipe:
        for line in pipe:
            token, _, app_id = line.strip().partition(" ")
            if TOKEN.fullmatch(token):
                answer(token, launch(app_id))


if __name__ == "__main__":
    main()
