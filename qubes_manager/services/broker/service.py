"""The program that carries what crosses between the domains of a connection; it outlives the manager.

Its clients talk to it through a socket of the user's: see ``services.crossing.link`` and ``broker_messages``. What it
does are its parts', which ``services.broker_assembly`` brings together.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Protocol

from qubes_manager.core.background import Background
from qubes_manager.core.crossing.broker_messages import MAX_LINE, Answer, parse_request
from qubes_manager.core.errors import QubesManagerError
from qubes_manager.core.signal import Signal
from qubes_manager.services.broker.requests import Requests
from qubes_manager.services.crossing.address import socket_path
from qubes_manager.services.hosts.hosts import Hosts
from qubes_manager.services.programs.client import Client
from qubes_manager.services.programs.serving import Serving, only_one

log = logging.getLogger(__name__)

# Seconds for which it stays when nobody talks to it and nothing that runs could ask anything of it.
GRACE = 20.0
# Seconds after which a part that failed works again: at first, and when it fails again and again.
_PAUSE, _LONGEST_PAUSE = 1.0, 60.0


class Part(Protocol):
    """A part of the broker, which is needed as long as it is not idle."""

    @property
    def is_idle(self) -> bool: ...


class Worker(Part, Protocol):
    """One that works as long as the broker runs."""

    async def run(self) -> None: ...


class Broker:
    """Carries until nobody needs it: no client, and none of its parts. *requests* are answered by the parts."""

    def __init__(self, uri: str, hosts: Hosts, requests: Requests, grace: float = GRACE) -> None:
        self._uri = uri
        self._hosts = hosts
        self._requests = requests
        self._grace = grace
        # A client has gone.
        self.left = Signal[Client]()
        self._serving = Serving(("broker", "--connect", uri), self._answer, self.left.emit, self._is_idle, grace)
        self._parts: list[Part] = []
        self._workers: list[Worker] = []
        self._endings: list[Callable[[], Awaitable[object]]] = []

    def stay_for(self, *parts: Part) -> None:
        """Stay as long as one of them is not idle."""
        self._parts += parts

    def add(self, *workers: Worker) -> None:
        """Let them work while the broker serves, which stays for them too; to be called before that."""
        self._workers += workers

    def at_end(self, *endings: Callable[[], Awaitable[object]]) -> None:
        """What is to be done at the end, in this order, each though another one fails."""
        self._endings += endings

    async def run(self) -> bool:
        """Serve; returns False at once when another one serves already."""
        path = await asyncio.to_thread(socket_path, self._uri)
        async with only_one(path) as is_alone:
            if is_alone:
                await self._run(path)
        return is_alone

    def stop(self) -> None:
        """Give up what is crossing, and end."""
        self._serving.ended.set()

    def end_when_idle(self) -> None:
        """Look whether anybody needs it; to be called when that may have changed."""
        self._serving.end_when_idle()

    async def _run(self, path: Path) -> None:
        background = Background()
        try:
            async with self._serving.listening(path, MAX_LINE):
                self._hosts.follow(self._uri)
                for worker in self._workers:
                    background.spawn(_keep_working(worker))
                background.spawn(self._notice_idleness())
                await self._serving.ended.wait()
        finally:
            async with AsyncExitStack() as ending:
                for close in reversed((background.close, *self._endings, self._hosts.close)):
                    ending.push_async_callback(close)

    def _is_idle(self) -> bool:
        return all(part.is_idle for part in (*self._parts, *self._workers))

    async def _notice_idleness(self) -> None:
        """Look now and then whether the parts have come to rest, which nothing tells of."""
        while True:
            await asyncio.sleep(self._grace)
            self.end_when_idle()

    async def _answer(self, client: Client, line: bytes) -> Answer:
        return await self._requests.answer(client, parse_request(line))


async def _keep_working(worker: Worker) -> None:
    """Let a part work until cancelled: a broker may run for weeks, and without one of them it would do harm."""
    loop, pause = asyncio.get_running_loop(), _PAUSE
    while True:
        begun = loop.time()
        try:
            await worker.run()
        except QubesManagerError as error:
            log.warning("%s", error)
        except Exception:
            log.exception("a part of the broker failed")
        if loop.time() - begun > _LONGEST_PAUSE:
            # It did its work meanwhile.
            pause = _PAUSE
        await asyncio.sleep(pause)
        pause = min(2 * pause, _LONGEST_PAUSE)
