"""Telling those that show a domain's windows that the user waits for one, on whatever screen it is to come."""

import asyncio
import logging
from pathlib import Path

from qubes_manager.core.domain import DomainKey
from qubes_manager.core.errors import QubesManagerError
from qubes_manager.core.gui_messages import AnnounceLaunch
from qubes_manager.services.gui.address import screen_paths
from qubes_manager.services.gui.link import ask_at

log = logging.getLogger(__name__)
# Seconds that they have to answer: what is to be opened waits meanwhile.
_PATIENCE = 2.0


async def announce_launch(key: DomainKey) -> None:
    """Let the next window of a domain have the keyboard: the user has opened something there, or said yes to that.

    Without it the window comes all the same.
    """
    try:
        paths = await asyncio.to_thread(screen_paths)
    except QubesManagerError as error:
        log.warning("a launch could not be announced: %s", error)
        return
    await asyncio.gather(*(_announce_at(path, key.uuid) for path in paths))


async def _announce_at(path: Path, uuid: str) -> None:
    try:
        await ask_at(path, AnnounceLaunch(uuid, ""), _PATIENCE)
    except QubesManagerError as error:
        log.warning("a launch could not be announced at %s: %s", path.name, error)
