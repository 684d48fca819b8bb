"""The guest's service program: takes calls of its programs to the host, and serves those of other domains.

It runs as the ordinary user, for as long as the guest does: it outlives brokers that go, clients that die and handlers
that hang. Memory is bounded in what it keeps of any of them; bytes of services are never gathered.
"""

import argparse
import asyncio
import contextlib
import functools
import logging
import os
import pwd
import signal
import sys
from collections.abc import Sequence
from pathlib import Path

from qubes_manager.core.crossing.guest_messages import FAILED, Cancel, End, Ended, StandsStill, Start, ToGuest
from qubes_manager.guest.crossing.broker_line import BrokerLine
from qubes_manager.guest.crossing.handlers import (
    FOLDERS,
    Handler,
    NoHandler,
    find_handler,
    handler_environment,
    is_session_to_come,
)
from qubes_manager.guest.crossing.local_calls import PORT_TIMEOUT, LocalCalls, data_port
from qubes_manager.guest.crossing.ports import PORTS, HostGone, OpenPort, open_for_host, open_port
from qubes_manager.guest.crossing.processes import start_handler
from qubes_manager.guest.crossing.running import Running
from qubes_manager.guest.crossing.service_settings import FOLDERS as SETTINGS_FOLDERS

log = logging.getLogger(__name__)
SOCKET = Path("/run/qubes-manager-crossing/calls")
# What the installation writes: its first line is the digest of these programs.
TOOLS = Path("/usr/lib/qubes-manager/tools")
# Services that may run at once; the broker lets fewer.
MOST_RUNNING = 8
# How often a service looks for the user's session, and seconds between two looks.
_SESSION_LOOKS, _PAUSE = 600, 0.1


class Daemon:
    """*opener* opens ports; *folders* are where services of the user's and the template's lie, and their settings."""

    def __init__(
        self,
        opener: OpenPort,
        tools: str = "",
        folders: Sequence[Path] = FOLDERS,
        settings_folders: Sequence[Path] = SETTINGS_FOLDERS,
    ) -> None:
        self._opener = opener
        self._folders = (folders, settings_folders)
        self._line = BrokerLine(opener, tools, self._hear, self._lose)
        self._local = LocalCalls(self._line, opener)
        self._running: dict[int, tuple[Running, asyncio.Task[None]]] = {}

    async def run(self, path: Path) -> None:
        """Serve until cancelled; clients of this guest come to the socket at *path*."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self._line.run())
            group.create_task(self._local.serve(path))
            try:
                await asyncio.get_running_loop().create_future()
            finally:
                await self._end_all()

    def _hear(self, message: ToGuest) -> None:
        if isinstance(message, Start):
            self._start(message)
        elif not self._local.hear(message):
            running = self._running.get(getattr(message, "call", -1))
            match message:
                case End(size=size) if running:
                    running[0].end_of_input(size)
                case StandsStill() if running:
                    running[0].tell_of_stillness()
                case Cancel() | Ended() if running:
                    running[1].cancel()

    def _lose(self) -> None:
        self._local.lose()
        for _running, task in self._running.values():
            task.cancel()

    def _start(self, start: Start) -> None:
        if start.call in self._running:
            return
        running = Running(start, self._line.tell)
        is_one_too_many = len(self._running) >= MOST_RUNNING
        work = (
            self._decline(start, "too many services run in this domain")
            if is_one_too_many
            else self._serve_or_say(start, running)
        )
        task = asyncio.create_task(work)
        self._running[start.call] = (running, task)
        task.add_done_callback(functools.partial(self._forget, start))

    def _forget(self, start: Start, task: "asyncio.Task[None]") -> None:
        del self._running[start.call]
        if not task.cancelled():
            task.result()

    async def _serve(self, start: Start, running: Running) -> None:
        try:
            handler = find_handler(start.service, start.argument, *self._folders)
            name = handler.user or start.user
            user = pwd.getpwnam(name) if name else pwd.getpwuid(os.getuid())
            await _wait_for_session(handler)
            port = await open_for_host(self._opener, data_port(start.port), PORT_TIMEOUT)
            other = "" if user.pw_uid == os.getuid() else user.pw_name
            try:
                process = start_handler(handler, other, handler_environment(start, user), user.pw_dir, port)
            except BaseException:
                os.close(port)
                raise
        except KeyError:
            await self._decline(start, f"there is no user {name} in this domain")
        except (NoHandler, OSError, TimeoutError) as error:
            await self._decline(start, str(error) or "the host did not open the port for the data")
        else:
            try:
                await running.run(port, process)
            except HostGone:
                await self._decline(start, "the host has closed the port for the data")

    async def _serve_or_say(self, start: Start, running: Running) -> None:
        """Whatever goes wrong, who calls hears of it."""
        try:
            await self._serve(start, running)
        except Exception:
            log.exception("%s for “%s” failed", start.service, start.source)
            await self._decline(start, "a fault of the program that serves calls there; its log has more")

    async def _decline(self, start: Start, reason: str) -> None:
        log.warning("%s for “%s” was not served: %s", start.service, start.source, reason)
        with contextlib.suppress(HostGone):
            await self._line.tell(Ended(start.call, FAILED, reason))

    async def _end_all(self) -> None:
        tasks = [task for _running, task in self._running.values()]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def _wait_for_session(handler: Handler) -> None:
    """What shows windows waits for a session that is about to start."""
    for _ in range(_SESSION_LOOKS):
        if not (handler.waits_for_session and is_session_to_come()):
            return
        await asyncio.sleep(_PAUSE)


async def run_until_told(daemon: Daemon, path: Path) -> None:
    """Run until SIGTERM or SIGINT."""
    task = asyncio.ensure_future(daemon.run(path))
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, task.cancel)
    with contextlib.suppress(asyncio.CancelledError):
        await task


def main(arguments: Sequence[str] | None = None) -> int:
    """The program; ends by SIGTERM."""
    parser = argparse.ArgumentParser(description="Carries calls of services between this domain and others.")
    parser.add_argument("--ports", type=Path, default=PORTS, help="folder of the ports")
    parser.add_argument("--socket", type=Path, default=SOCKET, help="where programs of this domain make calls")
    options = parser.parse_args(arguments)
    logging.basicConfig(format="%(message)s", level=logging.INFO, stream=sys.stderr)
    tools = ""
    with contextlib.suppress(OSError):
        tools = TOOLS.read_text("utf-8").partition("\n")[0][:64]
    daemon = Daemon(functools.partial(open_port, folder=options.ports), tools)
    asyncio.run(run_until_told(daemon, options.socket))
    return 0


if __name__ == "__main__":
    sys.exit(main())
