"""The thread that runs libvirt's own event loop."""

import functools
import threading

import libvirt


@functools.cache
def ensure_event_thread() -> None:
    """Register libvirt's default event loop and run it in a daemon thread; must come before the first open.

    libvirt has one event implementation a process (virEventRegisterDefaultImpl), hence a cached function and
    not an object.
    """
    libvirt.virEventRegisterDefaultImpl()
    # Without any handle or timer the loop would spin or block for ever; a dormant timer keeps it interruptible.
    libvirt.virEventAddTimeout(-1, lambda *_: None, None)
    threading.Thread(target=_run, name="libvirt-events", daemon=True).start()


def _run() -> None:
    while True:
        libvirt.virEventRunDefaultImpl()
