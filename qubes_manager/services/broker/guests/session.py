"""The request port of one running domain: what its guest says, and what is said to it."""

import asyncio
import contextlib
import logging
import time
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Protocol

from qubes_manager.backend.connection.connection import LibvirtConnection
from qubes_manager.backend.guests.guest_port import GuestPort, open_channel, read_ports
from qubes_manager.backend.guests.port_changes import port_changes
from qubes_manager.backend.user.port_holder import HeldPort, PortHolder, PortTaken
from qubes_manager.core.background import Background
from qubes_manager.core.crossing.guest_messages import (
    FIRST_STARTED,
    MAX_DOMAIN,
    VERSION,
    Call,
    ErrorText,
    FromGuest,
    Hello,
    ToGuest,
    parse_from_guest,
)
from qubes_manager.core.crossing.ports import REQUEST_PORT
from qubes_manager.core.crossing.rate import Rate
from qubes_manager.core.domain import Domain
from qubes_manager.core.errors import QubesManagerError
from qubes_manager.core.json_lines import BadMessage, LineBuffer
from qubes_manager.services.broker.guests.data_ports import DataPorts
from qubes_manager.services.crossing.subjects import policy_name

log = logging.getLogger(__name__)

# Messages that a guest may say, in a second and at once; so many bytes count as one, however few lines they are.
RATE, BURST, _BYTES = 20, 40, 4096
# Bytes that wait for a guest to read them, beyond what the kernel and QEMU keep for it: of errors' texts, and at all.
_MAX_TEXT, _MAX_UNREAD = 32 << 10, 128 << 10
_READ = 16 << 10
# Seconds between two tries, from one to the other; between two Hellos that are not answered; between two looks at a
# port that another of the user's programs has; between two complaints of one guest.
_FIRST_PAUSE, _LAST_PAUSE, _HELLO_PAUSE, _TAKEN_PAUSE, _COMPLAINT_PAUSE = 0.2, 30.0, 5.0, 2.0, 60.0
_HELD = 10.0


class CallListener(Protocol):
    """Who hears what the guest says of one call."""

    def hear(self, message: FromGuest) -> None:
        """Take a message."""
        ...

    def fail(self, reason: str) -> None:
        """The guest is gone."""
        ...


class DomainSession:
    """Supervises one run of a domain. *on_call* hears of its calls, *on_change* that it has become ready, or is not."""

    def __init__(
        self,
        connection: LibvirtConnection,
        domain: Domain,
        find_address: Callable[[], Path],
        on_call: "Callable[[DomainSession, Call], object]",
        on_change: Callable[[], object],
    ) -> None:
        self.domain = domain
        # Who hears of a call, by its number.
        self.listeners: dict[int, CallListener] = {}
        self.tools = ""
        # What is still to be done of calls that have ended.
        self.afterwards = Background()
        self._connection = connection
        self._find_address = find_address
        self._on_call = on_call
        self._on_change = on_change
        self._ports: DataPorts | None = None
        self._writer: asyncio.StreamWriter | None = None
        self._open, self._over, self._answered = asyncio.Event(), asyncio.Event(), asyncio.Event()
        self._last_number = FIRST_STARTED
        self._complained = -_COMPLAINT_PAUSE

    @property
    def is_ready(self) -> bool:
        """Whether the guest's tools have answered: calls can be made."""
        return self._answered.is_set()

    @property
    def is_open(self) -> bool:
        """Whether the guest has its request port open, as its tools have as soon as they run."""
        return self._open.is_set()

    @property
    def ports(self) -> DataPorts:
        """Its data ports; of one that is ready."""
        assert self._ports
        return self._ports

    @property
    def wire_name(self) -> str:
        """What the domain is called in messages to guests, which have a limit where libvirt has none."""
        name = policy_name(self.domain)
        return name if len(name) <= MAX_DOMAIN and name.isprintable() else f"uuid:{self.domain.key.uuid}"

    def new_number(self) -> int:
        """The number of a call that is to be started in the guest."""
        self._last_number = max(FIRST_STARTED, (self._last_number + 1) % (1 << 31))
        return self._last_number

    def say(self, message: ToGuest) -> None:
        """Say something without waiting until it is heard; a guest that does not read is left alone for a while."""
        if self._writer is None or self._writer.is_closing():
            return
        waiting = self._writer.transport.get_write_buffer_size()
        if waiting > _MAX_TEXT and isinstance(message, ErrorText):
            return
        if waiting > _MAX_UNREAD:
            self._complain("it does not read what it is told")
            self._writer.transport.abort()
            return
        self._writer.write(message.to_json().encode() + b"\n")

    async def run(self) -> None:
        """Talk until cancelled; returns when the domain has no such port."""
        with self._connection.listen() as events:
            ports = await read_ports(self._connection, self.domain.key.uuid)
            if REQUEST_PORT not in ports:
                return
            self._ports = DataPorts(self._connection, self.domain.key.uuid, ports)
            request = ports[REQUEST_PORT]
            if request.is_open:
                self._open.set()
            loop = asyncio.get_running_loop()
            changes = port_changes(self._connection, self.domain.key.uuid, events, ports.values())
            work = [loop.create_task(part) for part in (self._follow(changes, request), self._keep_talking(request))]
            try:
                # Neither ends by itself but by what goes wrong.
                done, _ = await asyncio.wait(work, return_when=asyncio.FIRST_COMPLETED)
                for task in done:
                    task.result()
            finally:
                for task in work:
                    task.cancel()
                await asyncio.wait(work)
                await self.afterwards.close()

    async def _follow(self, changes: AsyncIterator[tuple[str, bool]], request: GuestPort) -> None:
        async for alias, is_open in changes:
            if alias != request.alias:
                self.ports.on_change(alias, is_open=is_open)
            elif is_open:
                self._open.set()
            else:
                # What the guest still says on the old way belongs to nobody.
                self._open.clear()
                self._over.set()

    async def _keep_talking(self, request: GuestPort) -> None:
        pause = _FIRST_PAUSE
        while True:
            held, started = await self._hold(), time.monotonic()
            try:
                await self._talk(request)
            except (QubesManagerError, OSError) as error:
                self._complain(str(error))
            finally:
                held.close()
            if time.monotonic() - started > _HELD:
                pause = _FIRST_PAUSE
            await asyncio.sleep(pause)
            pause = min(pause * 2, _LAST_PAUSE)

    async def _hold(self) -> HeldPort:
        """Wait until the domain's ports are ours: another connection to the same host may have a broker too."""
        is_first = True
        while True:
            try:
                return await asyncio.to_thread(self._hold_now)
            except PortTaken as error:
                # The talk with the run before may be just about to let go.
                if not is_first:
                    self._complain(f"nothing crosses to or from it here: {error}")
                is_first = False
            await asyncio.sleep(_TAKEN_PAUSE)

    def _hold_now(self) -> HeldPort:
        holder = PortHolder.here("qubes-manager broker", str(self._find_address()))
        return HeldPort(self.domain.key.uuid, "requests", holder)

    async def _talk(self, request: GuestPort) -> None:
        """Talk to the guest until it closes its port, or the port is gone; raises QubesManagerError, OSError."""
        end = await open_channel(self._connection, self.domain.key.uuid, REQUEST_PORT, request)
        end.setblocking(False)
        reader, writer = await asyncio.open_unix_connection(sock=end, limit=_READ)
        loop = asyncio.get_running_loop()
        tasks: list[asyncio.Task[object]] = []
        try:
            await self._open.wait()
            self._over.clear()
            self._writer = writer
            tasks += [loop.create_task(work) for work in (self._listen(reader), self._greet(writer), self._over.wait())]
            await asyncio.wait({tasks[0], tasks[2]}, return_when=asyncio.FIRST_COMPLETED)
            if tasks[0].done():
                tasks[0].result()
        finally:
            for task in tasks:
                task.cancel()
            self._writer = None
            writer.transport.abort()
            self._forget(f"“{self.domain.name}” does not answer any more")

    async def _greet(self, writer: asyncio.StreamWriter) -> None:
        """Begin, and begin again as long as there is no answer and the guest has read what was said before."""
        while not self.is_ready:
            if not writer.transport.get_write_buffer_size():
                writer.write(b"\n")
                self.say(Hello())
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(_HELLO_PAUSE):
                    await self._answered.wait()

    async def _listen(self, reader: asyncio.StreamReader) -> None:
        """Hear the guest; as much as it may say, and the rest waits in the guest."""
        buffer, rate = LineBuffer(), Rate(RATE, BURST)
        while data := await reader.read(_READ):
            lines = buffer.lines(data)
            await asyncio.sleep(rate.spend(max(0.0, len(data) / _BYTES - len(lines))))
            for line in lines:
                await asyncio.sleep(rate.spend())
                if line:
                    self._hear(line)

    def _hear(self, line: bytes) -> None:
        try:
            message = parse_from_guest(line)
        except BadMessage as error:
            # What is left of an earlier talk is no fault.
            if self.is_ready:
                self._complain(str(error))
            return
        if isinstance(message, Hello):
            self._on_hello(message)
        elif not self.is_ready:
            return
        elif isinstance(message, Call):
            self._on_call(self, message)
        elif listener := self.listeners.get(message.call):
            listener.hear(message)

    def _on_hello(self, hello: Hello) -> None:
        if hello.version != VERSION:
            self._complain(f"its tools speak version {hello.version}, and this program {VERSION}: update the older one")
            return
        if hello.begins:
            self._forget(f"the tools of “{self.domain.name}” have begun anew")
            self.say(Hello(begins=False))
        self.tools = hello.tools
        self._answered.set()
        self._on_change()

    def _forget(self, reason: str) -> None:
        """All calls of the talk until now are over."""
        for listener in list(self.listeners.values()):
            listener.fail(reason)
        if self.is_ready:
            self._answered.clear()
            self._on_change()

    def _complain(self, text: str) -> None:
        """Log what is wrong with the guest, now and then."""
        if time.monotonic() - self._complained >= _COMPLAINT_PAUSE:
            self._complained = time.monotonic()
            log.warning("“%s”: %s", self.domain.name, text)
