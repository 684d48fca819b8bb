"""A service's claim to a port: it has it whenever no other one has, gives it away and takes it over when asked."""

import asyncio
import contextlib
import os
from collections.abc import Callable

from qubes_manager.backend.user.port_holder import HeldPort, PortHolder, PortTaken
from qubes_manager.core.errors import QubesManagerError
from qubes_manager.core.gui_messages import Port
from qubes_manager.services.gui.ports import ask_to_release, hold_port

# Seconds between two looks whether it is free: while another service has it, and while it is just changing hands.
_TAKEN_PAUSE, _SHORT_PAUSE = 2.0, 0.1
# Seconds that whoever asked for it has to take it, and that a claim has to come true.
_GIVE_WAY, _PATIENCE = 3.0, 10.0


class PortClaim:
    """One port of one domain. *on_taken* hears of another service that has it, again at every look."""

    def __init__(self, uri: str, uuid: str, port: Port, on_taken: Callable[[PortHolder], object]) -> None:
        self._uri = uri
        self._uuid = uuid
        self._port = port
        self._on_taken = on_taken
        self._held: HeldPort | None = None
        # The other service that has it.
        self.holder: PortHolder | None = None
        self._wanted, self._moved = asyncio.Event(), asyncio.Event()
        # Set when another service asks for it: who has it here lets go.
        self.is_given_away = asyncio.Event()

    @property
    def is_held(self) -> bool:
        """Whether the port is ours now."""
        return self._held is not None

    async def hold(self) -> None:
        """Wait until the port is ours."""
        if self.is_given_away.is_set():
            await asyncio.sleep(_GIVE_WAY)
        while True:
            self._wanted.clear()
            try:
                self._move(await hold_port(self._uri, self._uuid, self._port))
            except PortTaken as taken:
                # Otherwise what was here a moment ago still ends, or whoever has it is just about to say so.
                is_elsewhere = taken.holder is not None and taken.holder.pid != os.getpid()
                self.holder = taken.holder if is_elsewhere else None
            else:
                self.is_given_away.clear()
                return
            if self.holder:
                self._moved.set()
                self._on_taken(self.holder)
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(_TAKEN_PAUSE if self.holder else _SHORT_PAUSE):
                    await self._wanted.wait()

    def let_go(self) -> None:
        """Have it no more."""
        if self._held:
            self._held.close()
            self._move(None)

    async def settled(self) -> PortHolder | None:
        """Wait until it is known who has it, and return the other service if it is one; raises QubesManagerError."""
        await self._until(lambda: self.is_held or self.holder is not None)
        return self.holder

    async def take_over(self) -> None:
        """Get the port from the service that has it, if any; raises QubesManagerError when it does not let go."""
        if holder := await self.settled():
            await ask_to_release(holder, self._uuid, self._port)
        self._wanted.set()
        await self._until(lambda: self.is_held)

    async def release(self) -> None:
        """Let whoever has it here let go, and wait until that is done; raises QubesManagerError."""
        if self._held:
            self.is_given_away.set()
            await self._until(lambda: not self.is_held)

    def _move(self, held: HeldPort | None) -> None:
        self._held, self.holder = held, None
        self._moved.set()

    async def _until(self, check: Callable[[], bool]) -> None:
        try:
            async with asyncio.timeout(_PATIENCE):
                while not check():
                    self._moved.clear()
                    await self._moved.wait()
        except TimeoutError:
            raise QubesManagerError(f"the {self._port} did not change hands within {_PATIENCE:.0f} s") from None
