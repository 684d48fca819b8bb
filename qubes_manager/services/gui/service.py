"""The program that shows domains' windows, one for each connection and screen; it outlives the manager.

Its clients talk to it through a socket of the user's, a line of JSON each way: see ``link`` and ``gui_messages``.
"""

import asyncio
import fcntl
import logging
from collections.abc import Callable
from typing import assert_never

from qubes_manager.core.background import Background
from qubes_manager.core.domain import DomainKey
from qubes_manager.core.errors import QubesManagerError, TimedOut
from qubes_manager.core.gui_messages import (
    MAX_SENTENCE,
    AnnounceLaunch,
    Answer,
    ApplicationsRead,
    Done,
    Failed,
    Follow,
    News,
    Notice,
    OpenConsole,
    Reload,
    Request,
    parse_request,
)
from qubes_manager.core.gui_options import GuiOptions
from qubes_manager.core.gui_status import GuiPhase, GuiStatus
from qubes_manager.core.json_lines import MAX_LINE
from qubes_manager.core.text import one_line
from qubes_manager.core.viewer_messages import Launch
from qubes_manager.services.applications.app_lists import AppLists
from qubes_manager.services.applications.menu_keeper import MenuKeeper
from qubes_manager.services.files.gui_options_file import GuiOptionsFile
from qubes_manager.services.files.log_paths import LogPaths
from qubes_manager.services.gui.address import socket_path
from qubes_manager.services.gui.client import Client
from qubes_manager.services.gui.consoles import Consoles
from qubes_manager.services.gui.supervisor import GuiSupervisor
from qubes_manager.services.hosts.hosts import Hosts
from qubes_manager.services.hosts.store import DomainStore, HostPhase, HostStatus

log = logging.getLogger(__name__)

# Seconds for which it stays when nobody talks to it and no domain has windows.
GRACE = 20.0
_READ_PATIENCE = 20.0


class GuiService:
    """Looks after the windows of a connection's domains until nobody needs it."""

    def __init__(
        self,
        uri: str,
        hosts: Hosts,
        store: DomainStore,
        lists: AppLists,
        menu_keeper: MenuKeeper,
        options_file: GuiOptionsFile,
        logs: LogPaths,
        grace: float = GRACE,
    ) -> None:
        self._uri = uri
        self._hosts = hosts
        self._store = store
        self._lists = lists
        self._menu_keeper = menu_keeper
        self._options_file = options_file
        self._logs = logs
        self._grace = grace
        self._asked: set[str] = set()
        self._background = Background()
        self._clients: set[Client] = set()
        self._followers: dict[Client, Callable[[], None]] = {}
        self._connected, self._ended = asyncio.Event(), asyncio.Event()

    async def run(self) -> bool:
        """Serve; returns False at once when another one serves already."""
        path = await asyncio.to_thread(socket_path, self._uri)
        with path.with_suffix(".lock").open("w") as lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                return False
            self._options = await asyncio.to_thread(self._load_options)
            self._supervisor = GuiSupervisor(self._hosts, self._store, self._options, self._logs)
            self._consoles = Consoles(self._hosts, self._store, self._options, self._logs, self._on_complaint)
            path.unlink(missing_ok=True)
            server = await asyncio.start_unix_server(self._serve, path, limit=MAX_LINE)
            self._store.on_host(self._on_host)
            self._hosts.follow(self._uri)
            self._supervisor.on_change(self._on_windows)
            await self._lists.load()
            self._background.spawn(self._menu_keeper.run())
            self._end_when_idle()
            try:
                await self._ended.wait()
            finally:
                # From here on a new one may be started: this one must not be found any more.
                server.close()
                path.unlink(missing_ok=True)
                await self._background.close()
                await asyncio.gather(self._supervisor.close(), self._consoles.close())
                await self._hosts.close()
        return True

    def stop(self) -> None:
        """Close all windows and end."""
        self._ended.set()

    def _load_options(self) -> GuiOptions:
        options, trouble = self._options_file.load()
        if trouble:
            log.warning("%s", trouble)
        return options

    def _on_host(self, status: HostStatus) -> None:
        if status.phase is HostPhase.CONNECTED:
            self._connected.set()

    def _on_windows(self, uuid: str, status: GuiStatus | None) -> None:
        self._end_when_idle()
        if status is None:
            self._asked.discard(uuid)
        elif status.phase is GuiPhase.SHOWN and uuid not in self._asked:
            # Once in a run: its applications may have changed since the last one.
            self._asked.add(uuid)
            self._background.spawn(self._refresh_list(DomainKey(self._uri, uuid)))

    async def _refresh_list(self, key: DomainKey) -> None:
        domain = self._store.get(key)
        if domain is None or not self._lists.wants(domain):
            return
        try:
            await self._lists.refresh(key)
        except QubesManagerError as error:
            log.warning("%s", error)
        self._broadcast(ApplicationsRead(key.uuid))

    def _on_complaint(self, text: str) -> None:
        self._broadcast(Notice(one_line(text, MAX_SENTENCE)))

    def _broadcast(self, news: News) -> None:
        for client in self._followers:
            client.send(news)

    def _end_when_idle(self) -> None:
        if not self._is_idle():
            return
        asyncio.get_running_loop().call_later(self._grace, lambda: self._ended.set() if self._is_idle() else None)

    def _is_idle(self) -> bool:
        return not self._clients and self._supervisor.is_idle and self._consoles.is_idle

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        client = Client(reader, writer)
        self._clients.add(client)
        try:
            async for line in client.lines():
                client.send(await self._answer(client, line))
        finally:
            self._clients.discard(client)
            if disconnect := self._followers.pop(client, None):
                disconnect()
            await client.close()
            self._end_when_idle()

    async def _answer(self, client: Client, line: bytes) -> Answer:
        try:
            await self._obey(client, parse_request(line))
        except (QubesManagerError, OSError) as error:
            log.warning("a request to the gui service failed: %s", error)
            return Failed(one_line(str(error), MAX_SENTENCE))
        return Done()

    async def _obey(self, client: Client, request: Request) -> None:
        """Do what a client asks for; raises QubesManagerError, OSError."""
        match request:
            case Follow():
                self._follow(client)
            case Reload():
                await self._reload()
            case OpenConsole():
                await self._open_console(request)
            case AnnounceLaunch(uuid, startup_id):
                self._supervisor.announce_launch(uuid, Launch(startup_id))
            case _:
                assert_never(request)

    def _follow(self, client: Client) -> None:
        if client not in self._followers:
            self._followers[client] = self._supervisor.on_change(client.on_status)

    async def _reload(self) -> None:
        options = await asyncio.to_thread(self._load_options)
        self._supervisor.set_options(options)
        self._consoles.set_options(options)

    async def _open_console(self, request: OpenConsole) -> None:
        # A service that was only just started has not read its domains yet.
        try:
            async with asyncio.timeout(_READ_PATIENCE):
                await self._connected.wait()
        except TimeoutError:
            raise TimedOut(f"the domains of {self._uri} could not be read within {_READ_PATIENCE:.0f} s") from None
        console = await self._consoles.open(DomainKey(self._uri, request.uuid), request.kind)
        console.add_done_callback(lambda _task: self._end_when_idle())
