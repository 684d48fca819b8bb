"""What the user chooses from the menu of a domain's window is done to that domain."""

import asyncio

from qubes_manager.core.background import Background
from qubes_manager.core.domain import DomainKey
from qubes_manager.core.errors import QubesManagerError
from qubes_manager.core.viewer_messages import Wish, Wished
from qubes_manager.services.domains.lifecycle import Lifecycle
from qubes_manager.services.gui.notices import Notice

# Seconds from one wish's end until the next of its kind is heard.
_PAUSE = 1.0


class WindowWishes:
    """Does one wish at a time for each domain: a viewer that a guest got at could wish without end."""

    def __init__(self, lifecycle: Lifecycle, background: Background) -> None:
        self._background = background
        self._notice = Notice("Domain")
        self._acts = {Wish.SHUT_DOWN: lifecycle.request_shutdown, Wish.KILL: lifecycle.kill}
        self._busy: set[tuple[DomainKey, Wish]] = set()

    def on_wished(self, key: DomainKey, wished: Wished) -> None:
        """The user chose something at a domain's window."""
        if (key, wished.what) not in self._busy:
            self._busy.add((key, wished.what))
            self._background.spawn(self._do(key, wished.what))

    async def _do(self, key: DomainKey, what: Wish) -> None:
        try:
            try:
                await self._acts[what](key)
            except QubesManagerError as error:
                await self._notice.say(f"{error}", urgent=True)
            await asyncio.sleep(_PAUSE)
        finally:
            self._busy.discard((key, what))
