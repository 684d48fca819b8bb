"""The ways to the programs that show windows, one for each connection that has a domain with windows."""

import asyncio

from qubes_manager.core.gui_messages import Reload
from qubes_manager.core.signal import Signal
from qubes_manager.services.gui.link import GuiLink, has_screen
from qubes_manager.services.hosts.store import Batch, DomainStore
from qubes_manager.services.programs.following import Following


class GuiLinks:
    """Makes links as they are asked for. ``run`` also follows them: for a program that stays."""

    def __init__(self, store: DomainStore) -> None:
        self._links: dict[str, GuiLink] = {}
        self._store = store
        self._following = Following(lambda uri: self.link(uri).follow())
        # A link was made.
        self.added = Signal[GuiLink]()

    def link(self, uri: str) -> GuiLink:
        """The link of a connection."""
        if uri not in self._links:
            self._links[uri] = GuiLink(uri)
            self.added.emit(self._links[uri])
        return self._links[uri]

    async def reload_options(self) -> None:
        """Let all services that run read the options anew."""
        await asyncio.gather(*(link.ask(Reload()) for link in self._links.values()))

    async def run(self) -> None:
        """See that the windows of running domains are shown, and follow how they stand, until cancelled."""
        disconnect = self._store.on_batch(self._on_batch)
        try:
            await self._following.run()
        finally:
            disconnect()

    def want(self, uri: str) -> None:
        """Follow a connection's service from now on."""
        self._following.want(uri)

    def _on_batch(self, batch: Batch) -> None:
        if has_screen():
            for uri in {d.key.connection for d in (*batch.added, *batch.changed) if d.has_gui}:
                self.want(uri)
