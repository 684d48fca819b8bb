"""How many windows domains have open, on whatever screen they are shown."""

import asyncio
import logging
from pathlib import Path

from qubes_manager.core.background import Background
from qubes_manager.core.errors import QubesManagerError
from qubes_manager.core.gui_messages import parse_reply
from qubes_manager.core.gui_status import GuiPhase, GuiStatus
from qubes_manager.core.json_lines import MAX_LINE, BadMessage
from qubes_manager.core.service_messages import Follow
from qubes_manager.services.gui.address import screen_paths
from qubes_manager.services.programs.program import Program

log = logging.getLogger(__name__)
# Seconds between two looks for services: there is one for each screen, and it comes and goes.
_PAUSE = 1.0


class OpenWindows:
    """Hears from all programs of this user that show windows; a domain's windows are shown by one of them at a time.

    What was open stays so when such a program has gone: the applications go on in their domain, and their windows come
    back with the next one.
    """

    def __init__(self) -> None:
        self._open: dict[str, int] = {}
        self._followed: set[Path] = set()

    @property
    def is_idle(self) -> bool:
        """Whether nobody has to hear of windows: those who ask for them say so themselves."""
        return True

    def count(self, uuid: str) -> int:
        """How many windows a domain has open, as far as was heard."""
        return self._open.get(uuid, 0)

    def forget(self, uuid: str) -> None:
        """Forget a domain that is gone."""
        self._open.pop(uuid, None)

    async def run(self) -> None:
        """Hear what there is until cancelled."""
        following = Background()
        try:
            while True:
                for path in await asyncio.to_thread(screen_paths):
                    if path not in self._followed:
                        self._followed.add(path)
                        following.spawn(self._follow(path))
                await asyncio.sleep(_PAUSE)
        finally:
            await following.close()

    async def _follow(self, path: Path) -> None:
        program = Program("the program that shows windows", (), lambda: path, MAX_LINE)
        try:
            async for line in program.news([Follow()]):
                self._on_line(line)
        except (OSError, QubesManagerError) as error:
            log.debug("windows at %s: %s", path, error)
        finally:
            self._followed.discard(path)

    def _on_line(self, line: bytes) -> None:
        try:
            message = parse_reply(line)
        except BadMessage as error:
            log.warning("news of windows are not understood: %s", error)
            return
        # In any other phase its windows are not known.
        if isinstance(message, GuiStatus) and message.phase is GuiPhase.SHOWN:
            self._open[message.uuid] = message.windows
