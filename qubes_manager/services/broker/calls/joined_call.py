"""A call from one guest to another, from the moment when both have their ports until the service has ended."""

import asyncio
import time
from collections.abc import Callable
from typing import Any

from qubes_manager.backend.guests.joint import Pump
from qubes_manager.core.crossing.guest_messages import End, Ended, ErrorText, StandsStill
from qubes_manager.core.crossing.ports import PAUSED_STALL, STALL
from qubes_manager.core.errors import GuestError, TimedOut
from qubes_manager.services.broker.guests.guest_end import GuestEnd
from qubes_manager.services.broker.guests.patience import Patience

# Seconds between two looks at how things go, and for which one that is told to wait does so at least.
_TICK, _REMINDER = 0.5, STALL / 4
# Seconds after the end of a service in which it may still say how much it had sent.
_LAST_WORDS = 3.0
# Bytes that a side may send of which nothing else is known.
NO_LIMIT = 1 << 53


class JoinedCall:
    """Joins two ends whose ports are connected.

    *on_moved* is told the bytes that have gone in both directions; the caller may send *most*.
    """

    def __init__(
        self,
        caller: GuestEnd,
        callee: GuestEnd,
        on_moved: Callable[[int], object],
        most: int = NO_LIMIT,
    ) -> None:
        self._caller, self._callee = caller, callee
        # Since when the caller's domain is paused, and when the callee was told so last (time.monotonic).
        self._still_since: float | None = None
        self._told = 0.0
        self._patience = Patience(lambda: caller.stands_still or callee.stands_still)
        self._on_moved = on_moved
        self._most = most

    async def run(self) -> Ended:
        """Carry bytes until the service has ended, and all that it sent has gone; returns its own last word.

        Raises GuestError and TimedOut when one of the two is gone, lies, stops the call, or lets the other one wait.
        """
        forth = self._pump(self._caller, self._callee, self._most)
        back = self._pump(self._callee, self._caller, NO_LIMIT)
        self._callee.on_error_text = lambda text: self._caller.session.say(ErrorText(self._caller.number, text))
        try:
            await self._until(self._callee.ended, [forth, back], lambda: forth.moved + back.moved)
            forth.close()
            ended = self._callee.ended.result()
            if not self._callee.sent.done():
                await asyncio.wait({self._callee.sent}, timeout=_LAST_WORDS)
            if self._callee.sent.done():
                await self._until(back.over, [back], lambda: forth.moved + back.moved)
                back.over.result()
            elif not ended.code:
                raise GuestError(f"“{self._callee.name}” has not said how much it sent")
            return ended
        finally:
            forth.close()
            back.close()

    def _pump(self, source: GuestEnd, target: GuestEnd, most: int) -> Pump:
        pump = Pump(source.port.end, target.port.end, source.name, target.name, most)

        def tell_end(over: "asyncio.Future[int]") -> None:
            if not over.cancelled() and not over.exception():
                target.session.say(End(target.number, over.result()))

        pump.over.add_done_callback(tell_end)
        source.sent.add_done_callback(lambda sent: None if sent.cancelled() else pump.expect(sent.result()))
        return pump

    async def _until(self, wanted: "asyncio.Future[Any]", pumps: list[Pump], moved: Callable[[], int]) -> None:
        """Wait for *wanted*, as long as nothing is wrong with what moves."""
        faults = (self._caller.fault, self._callee.fault)
        while not wanted.done():
            news: set[asyncio.Future[Any]] = {wanted, *faults, *(p.over for p in pumps if not p.over.done())}
            await asyncio.wait(news, timeout=_TICK, return_when=asyncio.FIRST_COMPLETED)
            self._on_moved(moved())
            for end in (self._caller, self._callee):
                end.raise_fault()
            for pump in pumps:
                if pump.over.done():
                    pump.over.result()
            self._refuse_stalled(pumps)
            self._tell_of_stillness()

    def _refuse_stalled(self, pumps: list[Pump]) -> None:
        for pump in pumps:
            if pump.is_waiting and self._patience.is_over(pump.last_move):
                raise TimedOut(f"“{pump.late_name}” has not moved a byte for {self._patience.limit:.0f} s")

    def _tell_of_stillness(self) -> None:
        """Have the callee wait, which knows what it is owed and not why that does not come."""
        now = time.monotonic()
        if not self._caller.stands_still:
            self._still_since = None
            return
        if self._still_since is None:
            self._still_since, self._told = now, now - _REMINDER
        if now - self._told >= _REMINDER and now - self._still_since < PAUSED_STALL:
            self._told = now
            self._callee.session.say(StandsStill(self._callee.number))
