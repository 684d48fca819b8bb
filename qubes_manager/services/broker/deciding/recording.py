"""Writing decisions down so that a guest which asks without end does not push those about others out of the log."""

import asyncio
from dataclasses import dataclass, replace
from typing import NamedTuple

from qubes_manager.core.domain import DomainKey
from qubes_manager.services.broker.lineage import Kin, Lineage
from qubes_manager.services.crossing.audit import Audit, Decider, Decision, Outcome

# Seconds within which so many decisions of a kind are written one by one; the others are counted. Each call that was
# allowed has a line even so, where it pushes out nothing but others of the many: the count is what stays.
SPAN, EACH = 86_400.0, 20
# Seconds until the count is written for the first time, and each time twice as many: who dies takes little with it.
FIRST_COUNT = 1.0
# Kinds of one domain that are told apart: what is refused may be called anything, and takes no room from what is not.
MOST_KINDS = {Outcome.REFUSED: 8, Outcome.ALLOWED: 32}


class _Kind(NamedTuple):
    outcome: Outcome
    by: Decider
    service: str = ""
    went_to: str = ""


@dataclass(slots=True)
class _Span:
    """One kind, since its first decision: how many were written, how many were not, and the last of those."""

    end: asyncio.TimerHandle
    # Seconds until the count is written, if it has grown.
    pause: float
    written: int = 0
    more: int = 0
    last: Decision | None = None
    # How many of those the log tells of, and when it is told again.
    told: int = 0
    count: asyncio.TimerHandle | None = None

    def take_count(self) -> Decision | None:
        """What is to be written of those that were not, when there are some that the log does not tell of."""
        if self.last is None or self.told == self.more:
            return None
        self.told = self.more
        said = f"{self.last.reason}; " if self.last.reason else ""
        return replace(self.last, reason=f"{said}the last of {self.more} more like this")


class Recorder:
    """Writes to *audit*; what disposables of one domain's making do counts together."""

    def __init__(self, audit: Audit, lineage: Lineage) -> None:
        self._audit = audit
        self._lineage = lineage
        self._spans: dict[Kin, dict[_Kind, _Span]] = {}

    async def write(self, source: DomainKey, decision: Decision) -> None:
        """Write a decision about a call of *source*, or count it."""
        kin = self._lineage.kin(source)
        spans = self._spans.setdefault(kin, {})
        kind = _Kind(decision.outcome, decision.by, decision.service, decision.went_to)
        if kind not in spans and sum(known.outcome is kind.outcome for known in spans) >= MOST_KINDS[kind.outcome]:
            kind = _Kind(decision.outcome, decision.by)
        if kind not in spans:
            spans[kind] = _Span(asyncio.get_running_loop().call_later(SPAN, self._on_end, kin, kind), FIRST_COUNT)
        span = spans[kind]
        if span.written < EACH:
            span.written += 1
            await asyncio.to_thread(self._audit.write, decision)
            return
        span.more += 1
        span.last = decision
        if span.count is None:
            span.count = asyncio.get_running_loop().call_later(span.pause, self._tell_count, span)
        if decision.outcome is Outcome.ALLOWED:
            await asyncio.to_thread(self._audit.write, decision, is_of_many=True)

    async def close(self) -> None:
        """Write down what was counted."""
        counts = [self._end(kin, kind) for kin, spans in list(self._spans.items()) for kind in list(spans)]
        for count in filter(None, counts):
            await asyncio.to_thread(self._audit.write, count)

    def _tell_count(self, span: _Span) -> None:
        span.count = None
        span.pause *= 2
        self._write_soon(span.take_count())

    def _on_end(self, kin: Kin, kind: _Kind) -> None:
        self._write_soon(self._end(kin, kind))

    def _end(self, kin: Kin, kind: _Kind) -> Decision | None:
        """The time of a kind is over, and it begins anew with the next one; returns what is to be written of it."""
        span = self._spans[kin].pop(kind)
        for timer in filter(None, (span.end, span.count)):
            timer.cancel()
        if not self._spans[kin]:
            del self._spans[kin]
        return span.take_count()

    def _write_soon(self, count: Decision | None) -> None:
        if count:
            asyncio.get_running_loop().run_in_executor(None, self._audit.write, count)
