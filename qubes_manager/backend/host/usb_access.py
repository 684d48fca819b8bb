"""Letting the user's own QEMU open a USB device.

A session's QEMU runs as the user, whom udev's rules let open few devices only. Spice's helper, which is root's, asks
polkit whether the user may (org.spice-space.lowlevelusbaccess: by default who sits at the machine) and gives the user
the device's node for as long as its standard input is open. Who has the device open by then keeps it.

How it speaks, as seen with spice-gtk 0.42: it reads "BUS DEVICE" and a line's end, and answers one line.
"""

import asyncio
import contextlib
import os
import selectors
import shutil
import subprocess
import threading
import time
from collections.abc import AsyncIterator, Iterable
from pathlib import Path
from urllib.parse import urlsplit

from qubes_manager.backend.host.daemon_paths import is_on_this_machine
from qubes_manager.core.errors import Cancelled, NotFound, QubesManagerError, Refused, TimedOut
from qubes_manager.core.text import one_line

NODES = Path("/dev/bus/usb")
HELPER = "spice-client-glib-usb-acl-helper"
# Where Debian, Fedora, Arch and older ones of them have it, which is on nobody's PATH.
HELPER_PLACES = tuple(
    f"{folder}/{HELPER}"
    for folder in ("usr/libexec", "usr/libexec/spice-gtk*", "usr/lib/*", "usr/lib", "usr/lib/spice-gtk*", "usr/lib64")
)
# Seconds: the desktop may ask its user for a password.
ANSWER_TIMEOUT = 120.0
_END_TIMEOUT = 5.0
_MOST_BYTES = 4096
_YES = "SUCCESS"
# What is in its answer, and what that means. Its own words, with their mistakes.
_MEANINGS = (
    (
        "Not authorized",
        "polkit did not let you have it. Do it from this machine’s own desktop, not from afar, or ask its "
        "administrator for a rule for org.spice-space.lowlevelusbaccess",
    ),
    ("CANCELED", "the question whether you may have it was turned down"),
    ("Cancelled while waiting", "the question whether you may have it was turned down"),
    ("is not registered", f"polkit does not know {HELPER}: install its package anew"),
    (
        "PoliciKit error",
        "polkit, which is to say whether you may have it, does not answer: is it installed and running?",
    ),
    ("statting", "it is not plugged in any more"),
    (
        "facl: Operation not permitted",
        f"{HELPER} has not root’s rights: install its package anew, whose files must keep their modes",
    ),
    (
        "facl: Operation not supported",
        f"{NODES} cannot be given to single users on this machine: use a system connection",
    ),
)


def needs_access(uri: str) -> bool:
    """Whether the QEMU behind *uri* runs on this machine as the user who connects."""
    parts = urlsplit(uri)
    driver = parts.scheme.partition("+")[0]
    return driver == "qemu" and parts.path != "/system" and is_on_this_machine(uri)


def find_helper(places: Iterable[str] = HELPER_PLACES, root: Path = Path("/")) -> Path | None:
    """Return the program that gives the user a device's node; None where it is not installed. Blocks."""
    if on_path := shutil.which(HELPER):
        return Path(on_path)
    found = (path for place in places for path in sorted(root.glob(place)) if os.access(path, os.X_OK))
    return next(found, None)


@contextlib.asynccontextmanager
async def usb_access(
    uri: str, bus: int, number: int, name: str, *, nodes: Path = NODES, helper: Path | None = None
) -> AsyncIterator[None]:
    """Let the QEMU behind *uri* open the USB device *name* while the block runs; it keeps it once it has it.

    Nothing is asked where it may already, or where libvirt itself gives it the device. Raises NotFound, Refused,
    TimedOut, QubesManagerError, each with what to do.
    """
    if not needs_access(uri):
        yield
        return
    program = await asyncio.to_thread(_program, nodes / f"{bus:03d}" / f"{number:03d}", name, helper)
    if program is None:
        yield
        return
    asked = _Asked(program)
    try:
        answer = await asyncio.to_thread(asked.ask, bus, number, name)
        if answer != _YES:
            raise _refusal(name, answer)
        yield
    finally:
        await asyncio.to_thread(asked.end)


def _program(node: Path, name: str, helper: Path | None) -> Path | None:
    """The program to ask; None where the node can be opened already. Raises NotFound, Refused."""
    if not node.exists():
        raise NotFound(f"{name} is not plugged in any more: list the devices again")
    if os.access(node, os.R_OK | os.W_OK):
        return None
    if program := helper or find_helper():
        return program
    raise Refused(
        f"you may not open {name}: install {HELPER} (Debian’s package has its name), which lets you, "
        "or use a system connection (qemu:///system)"
    )


def _refusal(name: str, answer: str) -> QubesManagerError:
    meaning = next((plain for phrase, plain in _MEANINGS if phrase in answer), "")
    said = one_line(answer, 200)
    if not meaning:
        return QubesManagerError(f"you may not open {name}: {HELPER} says “{said}”", said)
    return Refused(f"you may not open {name}: {meaning}", said)


class _Asked:
    """One run of the helper. ``ask`` and ``end`` block; ``end`` may come before ``ask`` or while that waits."""

    def __init__(self, program: Path) -> None:
        self._program = program
        self._lock = threading.Lock()
        self._process: subprocess.Popen[bytes] | None = None
        self._is_over = False

    def ask(self, bus: int, number: int, name: str, timeout: float = ANSWER_TIMEOUT) -> str:
        """Return the first line of its answer, empty where it said none; raises TimedOut, NotFound, Cancelled."""
        with self._lock:
            if self._is_over:
                raise Cancelled
            try:
                # polkit is asked about whoever started it: this program.
                process = self._process = subprocess.Popen(
                    [str(self._program)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
                )
            except OSError as error:
                raise NotFound(f"{self._program} cannot be run: {error.strerror}") from None
            assert process.stdin and process.stdout
            with contextlib.suppress(BrokenPipeError):
                process.stdin.write(f"{bus} {number}\n".encode())
                process.stdin.flush()
        deadline = time.monotonic() + timeout
        said = b""
        with selectors.DefaultSelector() as selector:
            selector.register(process.stdout, selectors.EVENT_READ)
            while b"\n" not in said and len(said) < _MOST_BYTES:
                if not selector.select(max(0.0, deadline - time.monotonic())):
                    raise TimedOut(
                        f"nobody said within {timeout:.0f} s whether you may open {name}: "
                        "see that polkit runs, and try again"
                    )
                if not (data := os.read(process.stdout.fileno(), _MOST_BYTES)):
                    break
                said += data
        return said.decode("utf-8", "replace").partition("\n")[0].strip()

    def end(self) -> None:
        """Take the node back from the user; the helper does it when nothing more can come to it."""
        with self._lock:
            self._is_over = True
            process = self._process
        if process is None:
            return
        assert process.stdin and process.stdout
        with contextlib.suppress(BrokenPipeError):
            process.stdin.close()
        try:
            process.wait(_END_TIMEOUT)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait(_END_TIMEOUT)
        process.stdout.close()
