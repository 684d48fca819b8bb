"""The program that shows domains' windows, one for each connection and screen; it outlives the manager.

Its clients talk to it through a socket of the user's, a line of JSON each way: see ``link`` and ``gui_messages``.
"""

import asyncio
import logging
from collections.abc import Callable
from pathlib import Path
from typing import assert_never

from qubes_manager.backend.viewers.own_python import compile_viewers
from qubes_manager.core.background import Background
from qubes_manager.core.domain import DomainKey
from qubes_manager.core.errors import QubesManagerError, Refused, TimedOut
from qubes_manager.core.gui_messages import (
    AnnounceLaunch,
    Answer,
    ApplicationsRead,
    News,
    OpenConsole,
    Port,
    Release,
    Reload,
    Request,
    Show,
    StatusGone,
    parse_request,
)
from qubes_manager.core.gui_options import GuiOptions
from qubes_manager.core.gui_status import GuiPhase, GuiStatus
from qubes_manager.core.json_lines import MAX_LINE
from qubes_manager.core.service_messages import MAX_SENTENCE, Done, Follow, Notice
from qubes_manager.core.text import one_line
from qubes_manager.core.viewer_messages import Launch
from qubes_manager.services.applications.app_lists import AppLists
from qubes_manager.services.applications.menu_keeper import MenuKeeper
from qubes_manager.services.crossing.links import BrokerLinks
from qubes_manager.services.domains.lifecycle import Lifecycle
from qubes_manager.services.files.gui_options_file import GuiOptionsFile
from qubes_manager.services.files.log_paths import LogPaths
from qubes_manager.services.gui.address import socket_path
from qubes_manager.services.gui.brokers import follow_brokers
from qubes_manager.services.gui.clipboard_keys import ClipboardKeys
from qubes_manager.services.gui.consoles import Consoles
from qubes_manager.services.gui.domain_gui import DomainGui
from qubes_manager.services.gui.supervisor import GuiSupervisor
from qubes_manager.services.gui.window_wishes import WindowWishes
from qubes_manager.services.hosts.hosts import Hosts
from qubes_manager.services.hosts.store import DomainStore, HostPhase, HostStatus
from qubes_manager.services.programs.client import Client
from qubes_manager.services.programs.serving import Serving, only_one

log = logging.getLogger(__name__)

# Seconds for which it stays when nobody talks to it and no domain has windows.
GRACE = 20.0
_READ_PATIENCE = 20.0
_FIND_PATIENCE, _PAUSE = 5.0, 0.1


class GuiService:
    """Looks after the windows of a connection's domains until nobody needs it."""

    def __init__(
        self,
        uri: str,
        hosts: Hosts,
        store: DomainStore,
        lists: AppLists,
        menu_keeper: MenuKeeper,
        broker_links: BrokerLinks,
        lifecycle: Lifecycle,
        options_file: GuiOptionsFile,
        logs: LogPaths,
        grace: float = GRACE,
    ) -> None:
        self._uri = uri
        self._hosts = hosts
        self._store = store
        self._lists = lists
        self._menu_keeper = menu_keeper
        self._broker_links = broker_links
        self._lifecycle = lifecycle
        self._options_file = options_file
        self._logs = logs
        self._serving = Serving(("gui", "--connect", uri), self._answer, self._on_client_left, self._is_idle, grace)
        self._asked: set[str] = set()
        self._background = Background()
        self._followers: dict[Client, Callable[[], None]] = {}
        self._connected = asyncio.Event()

    async def run(self) -> bool:
        """Serve; returns False at once when another one serves already."""
        path = await asyncio.to_thread(socket_path, self._uri)
        async with only_one(path) as is_alone:
            if is_alone:
                await self._run(path)
        return is_alone

    async def _run(self, path: Path) -> None:
        self._options = await asyncio.to_thread(self._load_options)
        await asyncio.to_thread(compile_viewers)
        self._supervisor = GuiSupervisor(self._hosts, self._store, self._options, self._logs)
        self._consoles = Consoles(self._hosts, self._store, self._options, self._logs, self._on_complaint)
        try:
            async with self._serving.listening(path, MAX_LINE):
                self._store.on_host(self._on_host)
                self._hosts.follow(self._uri)
                self._supervisor.on_change(self._on_windows)
                broker = self._broker_links.link(self._uri)
                self._supervisor.pressed.connect(ClipboardKeys(broker, self._background).on_pressed)
                self._supervisor.wished.connect(WindowWishes(self._lifecycle, self._background).on_wished)
                await self._lists.load()
                self._background.spawn(self._menu_keeper.run())
                # What crosses between domains may have to be asked about, on this screen.
                self._background.spawn(follow_brokers(self._broker_links, self._store))
                await self._serving.ended.wait()
        finally:
            await self._background.close()
            await asyncio.gather(self._supervisor.close(), self._consoles.close())
            await self._hosts.close()

    def stop(self) -> None:
        """Close all windows and end."""
        self._serving.ended.set()

    def _load_options(self) -> GuiOptions:
        options, _trouble = self._options_file.load()
        return options

    def _on_host(self, status: HostStatus) -> None:
        if status.phase is HostPhase.CONNECTED:
            self._connected.set()

    def _on_windows(self, uuid: str, status: GuiStatus | None) -> None:
        self._serving.end_when_idle()
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

    def _is_idle(self) -> bool:
        return self._supervisor.is_idle and self._consoles.is_idle

    def _on_client_left(self, client: Client) -> None:
        if disconnect := self._followers.pop(client, None):
            disconnect()

    async def _answer(self, client: Client, line: bytes) -> Answer:
        await self._obey(client, parse_request(line))
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
            case Show(uuid, take_over):
                await (await self._windows(uuid)).show(take_over=take_over)
            case Release(uuid, Port.WINDOWS):
                if windows := self._supervisor.find(uuid):
                    await windows.release()
            case Release(uuid, _):
                await self._consoles.release(uuid)
            case AnnounceLaunch(uuid, startup_id):
                self._supervisor.announce_launch(uuid, Launch(startup_id))
            case _:
                assert_never(request)

    def _follow(self, client: Client) -> None:
        if client not in self._followers:
            self._followers[client] = self._supervisor.on_change(
                lambda uuid, status: client.send(status or StatusGone(uuid))
            )

    async def _reload(self) -> None:
        options = await asyncio.to_thread(self._load_options)
        self._supervisor.set_options(options)
        self._consoles.set_options(options)

    async def _read(self) -> None:
        """Wait for the domains: a service that was only just started has not read them yet. Raises TimedOut."""
        try:
            async with asyncio.timeout(_READ_PATIENCE):
                await self._connected.wait()
        except TimeoutError:
            raise TimedOut(f"the domains of {self._uri} could not be read within {_READ_PATIENCE:.0f} s") from None

    async def _windows(self, uuid: str) -> DomainGui:
        """Who shows a domain's windows, as soon as its XML has been read; raises TimedOut, Refused."""
        await self._read()
        end = asyncio.get_running_loop().time() + _FIND_PATIENCE
        while not (windows := self._supervisor.find(uuid)):
            if asyncio.get_running_loop().time() > end:
                raise Refused("the domain has no windows now: it does not run, or was not made for them")
            await asyncio.sleep(_PAUSE)
        return windows

    async def _open_console(self, request: OpenConsole) -> None:
        await self._read()
        key = DomainKey(self._uri, request.uuid)
        console = await self._consoles.open(key, request.kind, take_over=request.take_over)
        console.add_done_callback(lambda _task: self._serving.end_when_idle())
