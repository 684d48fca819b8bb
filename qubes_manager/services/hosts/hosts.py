"""All connections: who is connected, and which connection a domain belongs to."""

import asyncio
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from qubes_manager.backend.connection.connection import LibvirtConnection
from qubes_manager.backend.connection.line import Opener
from qubes_manager.core.background import Background
from qubes_manager.core.domain import DomainKey
from qubes_manager.core.errors import NotFound
from qubes_manager.services.hosts.store import DomainStore

if TYPE_CHECKING:
    from qubes_manager.services.hosts.host_watcher import HostWatcher


class Hosts:
    """Opens connections and keeps the store true.

    With *watch* (the window, and commands that wait for something) events are heard; otherwise a command reads
    once what there is.
    """

    def __init__(self, store: DomainStore, *, watch: bool) -> None:
        self.store = store
        self._watch = watch
        self._watchers: dict[str, HostWatcher] = {}
        self._followed: set[str] = set()
        self._following = Background()

    @property
    def uris(self) -> Sequence[str]:
        """The connections, in the order in which they were added."""
        return list(self._watchers)

    async def load(self, uri: str, *, details: bool = True, opener: Opener | None = None) -> None:
        """Connect and read all domains once; raises HostUnreachable, TimedOut. For commands.

        *opener* is a connection that is on its way already (start_opening).
        """
        connection = LibvirtConnection(uri, watch=self._watch, opener=opener)
        opening = asyncio.create_task(connection.open())
        try:
            await asyncio.sleep(0)
            # The connection opens in a thread: a command's start is shorter by the time this import takes.
            from qubes_manager.services.hosts.host_watcher import HostWatcher

            await opening
        finally:
            opening.cancel()
        self._watchers[uri] = watcher = HostWatcher(connection, self.store)
        await watcher.load(details=details)

    async def reopen(self, uri: str) -> None:
        """Connect again where libvirt went away in the middle of a command's work; raises HostUnreachable, TimedOut.

        What the window follows comes back by itself, and then its caretaker finds what was begun.
        """
        watcher = self._watchers[uri]
        if uri not in self._followed:
            await watcher.connection.open()
            await watcher.load(details=False)

    async def load_names(self, uri: str) -> None:
        """Read at least the names of a connection's domains, where ``load`` failed."""
        from qubes_manager.services.hosts.host_watcher import put_names

        await put_names(self.store, uri)

    def follow(self, uri: str, opener: Opener | None = None) -> None:
        """Connect and stay connected, in the background; once is enough. For the window."""
        if uri in self._followed:
            # A second watcher would take the place of one whose connection is in use.
            return
        from qubes_manager.services.hosts.host_watcher import HostWatcher

        watcher = HostWatcher(LibvirtConnection(uri, watch=self._watch, opener=opener), self.store)
        self._watchers[uri] = watcher
        self._followed.add(uri)
        self._following.spawn(watcher.run())

    def retry(self, uri: str) -> None:
        """Try a broken connection again now."""
        self._watchers[uri].retry()

    def set_visible(self, keys: Iterable[DomainKey]) -> None:
        """Say which rows can be seen: their details are read first."""
        visible = frozenset(keys)
        for watcher in self._watchers.values():
            watcher.visible = visible

    def refresh_all(self) -> None:
        """Read all domains of every connection anew; broken connections are tried again."""
        for watcher in self._watchers.values():
            watcher.request_resync()

    def refresh_flags(self) -> None:
        """Look again at what libvirt has no events for (autostart)."""
        for watcher in self._watchers.values():
            watcher.request_flags()

    def connection(self, uri: str) -> LibvirtConnection:
        """Return the connection to *uri*; raises NotFound."""
        if uri not in self._watchers:
            raise NotFound(f"not connected to {uri}")
        return self._watchers[uri].connection

    async def refresh(self, key: DomainKey) -> None:
        """Read one domain again, XML included; for a change that libvirt may have no event for."""
        if watcher := self._watchers.get(key.connection):
            await watcher.refresh([key.uuid])

    async def refresh_host(self, uri: str) -> None:
        """Read all domains of a connection again, XML included, for who decides what nobody needs any more."""
        if watcher := self._watchers.get(uri):
            await watcher.refresh_all()

    async def close(self) -> None:
        """End all connections."""
        await self._following.close()
        await asyncio.gather(*(watcher.connection.close() for watcher in self._watchers.values()))
