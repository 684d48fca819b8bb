"""What was asked between domains, and what became of it."""

import asyncio
import time
from collections.abc import Callable, Coroutine
from datetime import datetime
from typing import Any

from PySide6.QtWidgets import QHBoxLayout, QLineEdit, QPushButton, QVBoxLayout, QWidget

from qubes_manager.core.errors import QubesManagerError
from qubes_manager.services.crossing.audit import Audit, AuditFilter, Decision, Outcome
from qubes_manager.ui.dialogs.policy.cells import MOST, chosen, fill, new_choice, new_table, offer
from qubes_manager.ui.look.plain import PlainLabel

# Words, and seconds; none is all.
_SPANS = (("at any time", 0), ("in the last hour", 3600), ("in the last day", 86_400), ("in the last week", 604_800))
_HEADS = ("When", "Who asked", "For what", "Of whom", "Outcome", "Decided by", "Rule", "Why")


class DecisionsPage(QWidget):
    """The log of decisions, the newest first, with filters; *start* runs the work."""

    def __init__(self, audit: Audit, start: Callable[[Coroutine[Any, Any, None]], object]) -> None:
        super().__init__()
        self._audit, self._start = audit, start
        self._round = 0
        # All that was seen of each, whatever is filtered now.
        self._seen: dict[str, set[str]] = {"source": set(), "service": set(), "target": set()}
        self.outcome = new_choice("Which outcome")
        offer(self.outcome, [("allowed and refused", ""), *((o.value, o.value) for o in Outcome)])
        self.source, self.service, self.target = (new_choice(name) for name in ("Who asked", "For what", "Of whom"))
        self.since = new_choice("Since when")
        offer(self.since, [(words, str(seconds)) for words, seconds in _SPANS])
        self.search = QLineEdit()
        self.search.setPlaceholderText("Search in the decisions")
        self.search.setAccessibleName("Search in the decisions")
        self.search.setClearButtonEnabled(True)
        refresh = QPushButton("Read again")
        refresh.setAutoDefault(False)
        self.table = new_table("Decisions", _HEADS)
        self.note = PlainLabel()
        choices = (self.source, self.service, self.target, self.outcome, self.since)
        first, second = QHBoxLayout(), QHBoxLayout()
        for choice in choices:
            first.addWidget(choice, 1)
        second.addWidget(self.search, 1)
        second.addWidget(refresh)
        layout = QVBoxLayout(self)
        layout.addLayout(first)
        layout.addLayout(second)
        layout.addWidget(self.table, 1)
        layout.addWidget(self.note)
        for signal in (self.search.textChanged, *(choice.currentIndexChanged for choice in choices)):
            signal.connect(lambda _value: self._start(self.update_decisions()))
        refresh.clicked.connect(lambda: self._start(self.update_decisions()))

    async def update_decisions(self) -> None:
        """Read the log and show what is wanted."""
        self._round += 1
        now, outcome, span = self._round, chosen(self.outcome), float(chosen(self.since))
        wanted = AuditFilter(
            chosen(self.source),
            chosen(self.target),
            chosen(self.service),
            Outcome(outcome) if outcome else None,
            time.time() - span if span else 0.0,
            self.search.text().strip(),
        )
        try:
            found = await asyncio.to_thread(self._audit.read, wanted, MOST)
        except OSError as error:
            raise QubesManagerError(f"the log of decisions cannot be read: {error.strerror}") from error
        if now == self._round:
            self._show(found)

    def _show(self, found: list[Decision]) -> None:
        fill(self.table, ((_cells(decision), decision.reason) for decision in found))
        for decision in found:
            self._seen["source"].add(decision.source)
            self._seen["service"].add(decision.service)
            self._seen["target"].update(filter(None, (decision.target, decision.went_to)))
        for choice, kind, words in (
            (self.source, "source", "whoever asked"),
            (self.service, "service", "for whatever"),
            (self.target, "target", "of whomever"),
        ):
            offer(choice, [(words, ""), *((name, name) for name in sorted(self._seen[kind]))])
        more = f"; older ones than these {MOST:,} are not shown" if len(found) == MOST else ""
        self.note.setText(f"{len(found):,} decisions{more}." if found else "No such decision is in the log.")


def _cells(decision: Decision) -> list[str]:
    service = decision.service + (f"+{decision.argument}" if decision.argument else "")
    when = datetime.fromtimestamp(decision.when).isoformat(" ", "seconds")
    target = decision.went_to or decision.target
    return [when, decision.source, service, target, decision.outcome, decision.by, decision.rule, decision.reason]
