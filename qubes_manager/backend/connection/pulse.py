"""Whether a host still answers on a line on which nobody asks for anything."""

import asyncio

from qubes_manager.backend.connection.call_threads import CallThreads
from qubes_manager.backend.connection.line import Line
from qubes_manager.core.errors import QubesManagerError, TimedOut

# Seconds between two questions, and for which an answer is waited for.
INTERVAL, PATIENCE = 5.0, 25.0


async def until_silent(line: Line) -> None:
    """Ask the host something small again and again, and return once an answer does not come.

    libvirt's own keepalive (virConnectSetKeepAlive) is not for a program with threads: where it ends a line on which
    several calls wait, libvirt 9.0 crashes as soon as the host wakes up.
    """
    # Whatever the other calls hang in, this one has a turn of its own.
    threads = CallThreads("pulse")
    try:
        while True:
            await asyncio.sleep(INTERVAL)
            try:
                await threads.run("hear from the host", line.call, lambda raw: raw.getLibVersion(), timeout=PATIENCE)
            except TimedOut:
                return
            except QubesManagerError:
                # It answers; that a line ends is told by libvirt.
                continue
    finally:
        threads.close()
