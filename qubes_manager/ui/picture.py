"""A picture of the window, for machines without a screen and for the README."""

import asyncio
from collections.abc import Callable
from pathlib import Path

from qubes_manager.core.errors import QubesManagerError
from qubes_manager.core.progress import Progress
from qubes_manager.services.assembly import Services
from qubes_manager.services.domains.listing import table
from qubes_manager.services.hosts.store import HostPhase
from qubes_manager.services.hosts.usage_poller import INTERVAL
from qubes_manager.ui.main_window import MainWindow

_CONNECT_SECONDS = 30
_AGENT_SECONDS = 45


async def take_picture(window: MainWindow, services: Services, target: Path, *, demo: bool) -> None:
    """Save a picture of the window once it shows what there is; print where it is, and the table of domains.

    With *demo*, a machine without domains gets the demo domains first, and they are started. Raises
    QubesManagerError when nothing can be connected.
    """
    await _until(lambda: _settled(services), _CONNECT_SECONDS)
    connected = [uri for uri, s in services.store.hosts.items() if s.phase is HostPhase.CONNECTED]
    if demo and connected and not any(not d.is_host for d in services.store.of_host(connected[0])):
        keys = await services.demo.create(connected[0], _Printed())
        await asyncio.gather(*(services.lifecycle.start(key) for key in keys))
        await _until(lambda: all(services.store.domains[key].agent for key in keys), _AGENT_SECONDS)
        window.view.select(keys[:1])
        await asyncio.sleep(4 * INTERVAL)
    await asyncio.sleep(0.5)
    if not window.grab().save(str(target)):
        raise QubesManagerError(f"the picture could not be written to {target}")
    print(f"picture of the window: {target}")
    print(table(services.store.domains.values()))


class _Printed(Progress):
    def step(self, text: str, total: int = 0) -> None:
        print(text)


def _settled(services: Services) -> bool:
    hosts = services.store.hosts.values()
    return bool(hosts) and all(status.phase is not HostPhase.CONNECTING for status in hosts)


async def _until(check: Callable[[], bool], seconds: float) -> None:
    """Wait until *check* holds, or the time is up: a picture of what there is then is better than none."""
    for _ in range(int(seconds * 10)):
        if check():
            return
        await asyncio.sleep(0.1)
