"""What crosses now, and what crossed until just now, for who shows it."""

import asyncio
import time
from collections.abc import Callable
from dataclasses import replace

from qubes_manager.core.crossing.broker_messages import CancelTransfer, TransferPhase, TransferStatus
from qubes_manager.core.errors import NotFound
from qubes_manager.core.service_messages import Done
from qubes_manager.core.signal import Signal
from qubes_manager.services.broker.requests import Requests
from qubes_manager.services.programs.client import Client

# Seconds between two news of one transfer, and the time over which its rate is taken.
_PAUSE, _RATE_SPAN = 0.2, 2.0


class Transfer:
    """One crossing in progress. Who carries it says how it goes, and ends it with ``done`` or ``failed``."""

    def __init__(self, first: TransferStatus, tell: Callable[[TransferStatus], None], cancel: Callable[[], object]):
        # But for what moves: that is in the counters, which change thousands of times a second.
        self._status = first
        self._moved, self._total, self._rate = first.moved, first.total, first.rate
        self._tell = tell
        self.cancel = cancel
        self._planned: asyncio.TimerHandle | None = None
        self._measured = (time.monotonic(), 0)

    @property
    def status(self) -> TransferStatus:
        """How it stands."""
        return replace(self._status, moved=self._moved, total=self._total, rate=self._rate)

    def step(self, phase: TransferPhase, message: str = "") -> None:
        """It is at something else now; *message* says what is being waited for."""
        self._change(replace(self._status, phase=phase, message=message))
        self._say()

    def to(self, name: str, uuid: str) -> None:
        """Its target is known now."""
        self._change(replace(self._status, target=name, target_uuid=uuid))

    def moved(self, count: int, total: int = 0) -> None:
        """So many bytes have gone in all; *total* where more is known of it than before."""
        if self._status.is_over:
            return
        now, (since, before), rate = time.monotonic(), self._measured, self._rate
        if now - since >= _RATE_SPAN or not rate:
            rate = int((count - before) / max(now - since, 0.001))
            if now - since >= _RATE_SPAN:
                self._measured = (now, count)
        total = total or self._total
        if (count, total, rate) != (self._moved, self._total, self._rate):
            self._moved, self._total, self._rate = count, total, rate
            self._plan()

    def done(self, message: str = "") -> None:
        """It has ended well."""
        self._end(TransferPhase.DONE, message)

    def failed(self, reason: str) -> None:
        """It has ended otherwise."""
        self._end(TransferPhase.FAILED, reason)

    def _end(self, phase: TransferPhase, message: str) -> None:
        if not self._status.is_over:
            self._status = replace(self._status, phase=phase, message=message)
            self._say()

    def _change(self, status: TransferStatus) -> None:
        if not self._status.is_over and status != self._status:
            self._status = status
            self._plan()

    def _plan(self) -> None:
        """Say it soon, with whatever else comes until then."""
        if self._planned is None:
            self._planned = asyncio.get_running_loop().call_later(_PAUSE, self._say)

    def _say(self) -> None:
        if self._planned:
            self._planned.cancel()
            self._planned = None
        self._tell(self.status)


class Transfers:
    """All of them, by number."""

    def __init__(self) -> None:
        self._running: dict[int, Transfer] = {}
        self._last = 0
        # At most five times a second for each, and at each step.
        self.changed = Signal[TransferStatus]()

    def serve(self, requests: Requests) -> None:
        """Let clients stop them."""
        requests.serve(CancelTransfer, self._on_cancel)

    @property
    def is_idle(self) -> bool:
        """Whether nothing crosses."""
        return not self._running

    @property
    def statuses(self) -> list[TransferStatus]:
        """How all stand that are in progress."""
        return [transfer.status for transfer in self._running.values()]

    def begin(
        self,
        *,
        source: tuple[str, str],
        target: tuple[str, str],
        service: str,
        sentence: str,
        phase: TransferPhase = TransferPhase.MOVING,
        total: int = 0,
        cancel: Callable[[], object],
    ) -> Transfer:
        """A crossing begins; *source* and *target* are name and UUID, *cancel* is called when the user stops it."""
        self._last += 1
        status = TransferStatus(self._last, *_of(source, target), service, sentence, phase, total=total)
        self._running[self._last] = transfer = Transfer(status, self._on_change, cancel)
        self.changed.emit(status)
        return transfer

    def cancel(self, number: int) -> None:
        """Stop one; raises NotFound when it is over."""
        if not (transfer := self._running.get(number)):
            raise NotFound("that transfer is over")
        transfer.cancel()

    async def _on_cancel(self, _client: Client, request: CancelTransfer) -> Done:
        self.cancel(request.transfer)
        return Done()

    def _on_change(self, status: TransferStatus) -> None:
        if status.is_over:
            self._running.pop(status.transfer, None)
        self.changed.emit(status)


def _of(source: tuple[str, str], target: tuple[str, str]) -> tuple[str, str, str, str]:
    return source[0], target[0], source[1], target[1]
