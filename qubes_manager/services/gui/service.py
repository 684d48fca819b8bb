"""The program that shows domains' windows, one for each connection and screen; it outlives the manager.

Others talk to it through a socket of the user's, a line of JSON each way: see ``window_link``.
"""

import asyncio
import contextlib
import fcntl
import hashlib
import json
import logging
import os
from collections.abc import Callable
from pathlib import Path

from qubes_manager.backend.guests.consoles import ConsoleKind
from qubes_manager.backend.user.user_folder import user_folder
from qubes_manager.core.background import Background
from qubes_manager.core.domain import DomainKey
from qubes_manager.core.errors import QubesManagerError
from qubes_manager.core.gui_options import GuiOptions
from qubes_manager.core.gui_status import GuiPhase, GuiStatus
from qubes_manager.services.applications.app_lists import AppLists
from qubes_manager.services.applications.menu_keeper import MenuKeeper
from qubes_manager.services.files.gui_options_file import GuiOptionsFile
from qubes_manager.services.files.log_paths import LogPaths
from qubes_manager.services.gui.consoles import Consoles
from qubes_manager.services.gui.supervisor import GuiSupervisor
from qubes_manager.services.hosts.hosts import Hosts
from qubes_manager.services.hosts.store import DomainStore, HostPhase, HostStatus

log = logging.getLogger(__name__)

# Seconds for which it stays when nobody talks to it and no domain has windows.
GRACE = 20.0
_LINE = 16 << 10
_READ_PATIENCE = 20.0


def socket_path(uri: str) -> Path:
    """Where the service of a connection and of this screen listens."""
    name = hashlib.sha256(f"{uri} {os.environ.get('DISPLAY', '')}".encode()).hexdigest()[:16]
    return user_folder() / f"gui-{name}.sock"


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
        self._clients: set[asyncio.StreamWriter] = set()
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
            self._consoles = Consoles(
                self._hosts, self._store, self._options, self._logs, lambda text: self._say(notice=text)
            )
            path.unlink(missing_ok=True)
            server = await asyncio.start_unix_server(self._serve, path, limit=_LINE)
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
        self._say(applications=key.uuid)

    def _say(self, **values: str) -> None:
        for writer in self._clients:
            writer.write(json.dumps(values).encode() + b"\n")

    def _end_when_idle(self) -> None:
        if not self._is_idle():
            return
        asyncio.get_running_loop().call_later(self._grace, lambda: self._ended.set() if self._is_idle() else None)

    def _is_idle(self) -> bool:
        return not self._clients and self._supervisor.is_idle and self._consoles.is_idle

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        forget: Callable[[], None] | None = None

        def tell(uuid: str, status: GuiStatus | None) -> None:
            data = status.to_data() if status else {"uuid": uuid, "gone": True}
            writer.write(json.dumps(data).encode() + b"\n")

        try:
            while line := await reader.readline():
                request = json.loads(line)
                if request["do"] == "follow":
                    self._clients.add(writer)
                    forget = forget or self._supervisor.on_change(tell)
                else:
                    await self._obey(request)
                    writer.write(b'{"done": true}\n')
        except ConnectionError:
            pass
        except (ValueError, KeyError, TimeoutError, OSError) as error:
            log.warning("a request to the window service failed: %r", error)
        finally:
            if forget:
                forget()
            self._clients.discard(writer)
            writer.close()
            with contextlib.suppress(OSError):
                await writer.wait_closed()
            self._end_when_idle()

    async def _obey(self, request: dict[str, str]) -> None:
        match request["do"]:
            case "reload":
                options = await asyncio.to_thread(self._load_options)
                self._supervisor.set_options(options)
                self._consoles.set_options(options)
            case "console":
                # A service that was only just started has not read its domains yet.
                async with asyncio.timeout(_READ_PATIENCE):
                    await self._connected.wait()
                console = self._consoles.open(DomainKey(self._uri, request["uuid"]), ConsoleKind(request["kind"]))
                console.add_done_callback(lambda _task: self._end_when_idle())
            case "launching":
                line = json.dumps({"startup_id": request["startup_id"][:200]})
                self._supervisor.launching(request["uuid"], line)
