"""Launches that are announced before there is a viewer to be told of them."""

import time

from qubes_manager.core.viewer_messages import Launch

# Seconds for which one is kept: what a guest may take to its session. A window that comes later is nobody's.
_KEPT = 300.0


class EarlyLaunches:
    """Keeps the newest launch in each domain, by UUID, until its viewer can be told."""

    def __init__(self) -> None:
        self._kept: dict[str, tuple[Launch, float]] = {}

    def put(self, uuid: str, launch: Launch) -> None:
        """Keep one."""
        self._forget_old()
        self._kept[uuid] = launch, time.monotonic()

    def take(self, uuid: str) -> Launch | None:
        """The one that is still waited for in a domain, which is told once."""
        self._forget_old()
        launch, _since = self._kept.pop(uuid, (None, 0))
        return launch

    def _forget_old(self) -> None:
        oldest = time.monotonic() - _KEPT
        self._kept = {uuid: kept for uuid, kept in self._kept.items() if kept[1] > oldest}
