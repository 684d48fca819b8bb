"""A domain's data ports: which are free, and who has one."""

import asyncio
import socket
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from qubes_manager.backend.connection.connection import LibvirtConnection
from qubes_manager.backend.guests.guest_port import GuestPort, open_channel
from qubes_manager.core.crossing.ports import DATA_PORTS
from qubes_manager.core.errors import QubesManagerError, TimedOut

# Seconds for which a port is not used again that the guest was told of, may open yet, and has not as far as is known:
# QEMU tells of a port once a second at most.
SETTLING = 3.0


class DataPorts:
    """Those of one run of a domain. A port that the guest has not let go of since its last use is not free."""

    def __init__(self, connection: LibvirtConnection, uuid: str, ports: Mapping[str, GuestPort]) -> None:
        self._connection = connection
        self._uuid = uuid
        self._ports = {number: ports[name] for number, name in enumerate(DATA_PORTS) if name in ports}
        self._open = {number for number, port in self._ports.items() if port.is_open}
        self._used: dict[int, DataPort] = {}
        # Those of which it is not known yet whether the guest has them open, and how many times over.
        self._settling = Counter[int]()
        # Those that could not be connected to, as one is that another program has: they are taken last.
        self._failed: set[int] = set()
        # Set whenever one may have become free.
        self.moved = asyncio.Event()

    @property
    def free(self) -> int | None:
        """One that is free."""
        return next(iter(self._free()), None)

    def has_free(self, spare: int) -> bool:
        """Whether one is free beside *spare* others."""
        return len(self._free()) > spare

    def take(self, number: int) -> "DataPort":
        """Have a free port, until it is closed."""
        self._used[number] = port = DataPort(number, self._let_go)
        return port

    async def connect(self, port: "DataPort") -> None:
        """Connect to a port that was taken; raises HostCallFailed, TimedOut, NotFound."""
        name = DATA_PORTS[port.number]
        self._failed.add(port.number)
        end = await open_channel(self._connection, self._uuid, name, self._ports[port.number])
        self._failed.discard(port.number)
        end.setblocking(False)
        port.put(end)

    def on_change(self, alias: str, *, is_open: bool) -> None:
        """QEMU says that the guest has opened or closed a port."""
        for number, port in self._ports.items():
            if port.alias == alias:
                (self._open.add if is_open else self._open.discard)(number)
                if used := self._used.get(number):
                    used.on_change(is_open=is_open)
                self.moved.set()

    def _free(self) -> list[int]:
        free = self._ports.keys() - self._used.keys() - self._open - (+self._settling).keys()
        return sorted(free, key=lambda number: (number in self._failed, number))

    def _let_go(self, port: "DataPort") -> None:
        self._used.pop(port.number, None)
        if port.may_be_open and port.number not in self._open:
            self._settling[port.number] += 1
            asyncio.get_running_loop().call_later(SETTLING, self._settle, port.number)
        self.moved.set()

    def _settle(self, number: int) -> None:
        self._settling[number] -= 1
        self.moved.set()


class DataPort:
    """One that is in use. ``is_left`` is set as long as the guest had opened it in this use and has closed it again."""

    def __init__(self, number: int, let_go: "Callable[[DataPort], None]") -> None:
        self.number = number
        # The guest knows that it is to open this one, and has not said yet that it will not.
        self.is_told = False
        # It has opened it, by its own word or QEMU's.
        self.was_opened = False
        self._let_go = let_go
        self._end: socket.socket | None = None
        self._is_closed = False
        self.is_left = asyncio.Event()

    @property
    def may_be_open(self) -> bool:
        """Whether the guest may have it open, or open it yet."""
        return self.is_told and not self.is_left.is_set()

    @property
    def end(self) -> socket.socket:
        """Our end of it, after ``DataPorts.connect``."""
        assert self._end
        return self._end

    def put(self, end: socket.socket) -> None:
        """It is connected now."""
        if self._is_closed:
            end.close()
            raise QubesManagerError("the call is over")
        self._end = end

    def on_change(self, *, is_open: bool) -> None:
        """QEMU says that the guest has opened or closed it; that may come late, and be about an earlier use."""
        if is_open:
            self.was_opened = True
            self.is_left.clear()
        elif self.was_opened:
            self.is_left.set()

    def close(self) -> None:
        """Hang up: whatever the guest still writes is thrown away by QEMU."""
        if not self._is_closed:
            self._is_closed = True
            if self._end:
                self._end.close()
            self._let_go(self)


@dataclass(frozen=True, slots=True)
class WantedPort:
    """A port that is wanted of the domain *name*; *check* raises when it is not any more. *spare* others stay free."""

    name: str
    ports: DataPorts
    check: Callable[[], None]
    spare: int = 0

    @property
    def is_missing(self) -> bool:
        """Whether there is none now."""
        return not self.ports.has_free(self.spare)


async def take_all(wanted: Sequence[WantedPort], patience: float) -> list[DataPort]:
    """Take all ports that are wanted when there are all.

    None is held while another is waited for. Raises TimedOut after *patience* seconds, and what the checks do.
    """

    def missing() -> WantedPort | None:
        return next((one for one in wanted if one.is_missing), None)

    try:
        async with asyncio.timeout(patience):
            while awaited := missing():
                awaited.ports.moved.clear()
                await awaited.ports.moved.wait()
                for one in wanted:
                    one.check()
    except TimeoutError:
        name = (missing() or wanted[0]).name
        raise TimedOut(f"all data ports of “{name}” are in use; wait until something else has ended") from None
    return [one.ports.take(number) for one in wanted if (number := one.ports.free) is not None]
