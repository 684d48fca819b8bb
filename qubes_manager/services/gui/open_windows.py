"""How many windows domains have open at this moment, for who looks once and does not follow."""

import asyncio
import contextlib
from contextlib import aclosing
from pathlib import Path

from qubes_manager.core.errors import QubesManagerError
from qubes_manager.core.gui_messages import parse_reply
from qubes_manager.core.gui_status import GuiPhase, GuiStatus
from qubes_manager.core.json_lines import MAX_LINE
from qubes_manager.core.service_messages import Done, Follow
from qubes_manager.services.gui.address import screen_paths
from qubes_manager.services.programs.program import Program

# Seconds for a service to say what it shows.
_PATIENCE = 5.0


async def open_windows() -> dict[str, int]:
    """The windows of all domains that have any, by UUID, as the services of this user tell that answer."""
    shown = await asyncio.gather(*map(_shown_by, await asyncio.to_thread(screen_paths)))
    return {uuid: count for windows in shown for uuid, count in windows.items()}


async def _shown_by(path: Path) -> dict[str, int]:
    program = Program("the program that shows windows", (), lambda: path, MAX_LINE)
    windows: dict[str, int] = {}
    with contextlib.suppress(OSError, QubesManagerError, TimeoutError):
        async with asyncio.timeout(_PATIENCE), aclosing(program.news([Follow()])) as lines:
            async for line in lines:
                match parse_reply(line):
                    case GuiStatus(uuid, GuiPhase.SHOWN, count) if count:
                        windows[uuid] = count
                    case Done():
                        # All that there is has been said before it.
                        break
    return windows
