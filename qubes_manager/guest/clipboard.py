"""The clipboard of this domain's own display, by xclip. What is on it never stands on a command line."""

import contextlib
import os
import subprocess
import threading
import time
from pathlib import Path
from typing import Any

# Seconds for the program that has the clipboard to answer, for a paste to be there, and until one is forgotten that is
# to be.
_PATIENCE = 5.0
_TAKING, _PAUSE = 2.0, 0.01
_FORGET_AFTER = 60


class ClipboardError(Exception):
    """Why the clipboard cannot be had, in a line."""


def read(limit: int, target: str = "") -> bytes:
    """Return what is on the clipboard as *target* (X's name of a format; empty for text), *limit* bytes at most.

    Empty when there is nothing of that kind. Raises ClipboardError without a display, or when the program that has
    the clipboard does not answer.
    """
    process = _xclip("-out", target, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    assert process.stdout
    assert process.stderr
    is_late = threading.Event()

    def give_up() -> None:
        is_late.set()
        process.kill()

    timer = threading.Timer(_PATIENCE, give_up)
    timer.start()
    try:
        data = process.stdout.read(limit)
        # For more than that nobody waits: xclip ends when it finds so.
        process.stdout.close()
        errors = process.stderr.read()
        process.wait()
    finally:
        timer.cancel()
        process.stderr.close()
    if is_late.is_set():
        raise ClipboardError("the program that has the clipboard does not answer")
    if b"open display" in errors:
        raise ClipboardError("no session of windows runs here")
    return data


def own(data: bytes, target: str = "", *, forget: bool = False) -> None:
    """Put *data* on the clipboard as *target*; *forget* it after a minute if it is still there then.

    Raises ClipboardError.
    """
    # It goes on in the background, as X wants it of who has the clipboard: in a group of its own, so that it stays
    # when this service ends, and with nothing of this service's open.
    process = _xclip(
        "-in",
        target,
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        process_group=0,
    )
    try:
        process.communicate(data, timeout=_PATIENCE)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
        raise ClipboardError("the display does not answer") from None
    if process.returncode:
        raise ClipboardError("no session of windows runs here")
    _until_taken(data, target)
    if forget:
        _forget(process.pid)


def _until_taken(data: bytes, target: str) -> None:
    """Wait until *data* can be had: xclip says that it has the clipboard before it has told the display.

    Not for ever: another program may have copied something meanwhile.
    """
    end = time.monotonic() + _TAKING
    with contextlib.suppress(ClipboardError):
        while read(len(data) + 1, target) != data and time.monotonic() < end:
            time.sleep(_PAUSE)


def _forget(group: int) -> None:
    """End xclip after a minute, and with it what it offers; when somebody else copies, it ends by itself before."""
    try:
        # Within the group, which keeps its number meanwhile.
        subprocess.Popen(
            ["/bin/sh", "-c", f"sleep {_FORGET_AFTER}; kill 0"],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            process_group=group,
        )
    except PermissionError:
        # Somebody else has copied already, and the group is gone.
        return


def _xclip(direction: str, target: str, **how: Any) -> subprocess.Popen[bytes]:
    words = ["xclip", "-selection", "clipboard", direction, *(["-target", target] if target else [])]
    try:
        return subprocess.Popen(words, env=_session(), **how)
    except FileNotFoundError:
        raise ClipboardError("xclip is not installed here, which reads and sets the clipboard") from None


def _session() -> dict[str, str]:
    """The environment, with the display of the session where none is named."""
    if "DISPLAY" in os.environ:
        return dict(os.environ)
    return {**os.environ, "DISPLAY": ":10", "XAUTHORITY": str(Path.home() / ".Xauthority")}
