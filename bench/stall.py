"""Prints the longest block of the window's thread, in ms, while domains change state: stall.py URI NUMBER."""

import asyncio
import gc
import sys
import time

import qasync
from PySide6.QtCore import Qt, QTimer
from PySide6.QtWidgets import QApplication

from qubes_manager.core.domain import DomainState
from qubes_manager.core.settings import Settings
from qubes_manager.services.assembly import Services
from qubes_manager.services.hosts.store import HostPhase
from qubes_manager.ui.main_window import MainWindow

_BEAT_MS = 2


async def main(uri: str, number: int) -> None:
    """Pause *number* running domains and resume them, and watch a heartbeat of the window's thread."""
    services = Services.connecting(watch=True)
    window = MainWindow(services, Settings())
    window.show()
    polling = asyncio.get_running_loop().create_task(services.poller.run())
    services.hosts.follow(uri)
    while not _loaded(services):
        await asyncio.sleep(0.05)
    running = [d for d in services.store.domains.values() if d.state is DomainState.RUNNING and not d.is_host]
    chosen = running[:number]
    gc.freeze()  # as the program does, a while after it is ready
    await asyncio.sleep(2)
    last, longest = time.perf_counter(), 0.0

    def beat() -> None:
        nonlocal last, longest
        now = time.perf_counter()
        longest = max(longest, now - last)
        last = now

    timer = QTimer()
    timer.setTimerType(Qt.TimerType.PreciseTimer)
    timer.timeout.connect(beat)
    timer.start(_BEAT_MS)
    connection = services.hosts.connection(uri)
    for method in ("suspend", "resume"):
        # Somebody else's doing: one call after the other in a thread, as fast as the driver takes them.
        handles = [connection.handles[d.key.uuid] for d in chosen]
        await connection.call(method, lambda _raw, m=method, hs=handles: [getattr(h, m)() for h in hs])
        await asyncio.sleep(2)
    states = {services.store.domains[d.key].state for d in chosen}
    assert states == {DomainState.RUNNING}, states
    print(f"{1000 * longest - _BEAT_MS:.1f}")
    timer.stop()
    polling.cancel()
    await services.hosts.close()


def _loaded(services: Services) -> bool:
    hosts = services.store.hosts.values()
    connected = bool(hosts) and all(status.phase is HostPhase.CONNECTED for status in hosts)
    return connected and all(domain.is_read for domain in services.store.domains.values())


if __name__ == "__main__":
    application = QApplication(sys.argv[:1])
    loop = qasync.QEventLoop(application)
    asyncio.set_event_loop(loop)
    with loop:
        loop.run_until_complete(main(sys.argv[1], int(sys.argv[2])))
