"""Who may reach whom: a drawing, all pairs where there are many, and the same as a table."""

import asyncio
from collections.abc import Callable, Coroutine
from itertools import islice
from typing import Any

from PySide6.QtCore import Qt
from PySide6.QtWidgets import QHBoxLayout, QSplitter, QStackedWidget, QVBoxLayout, QWidget

from qubes_manager.core.policy.evaluation import Policy
from qubes_manager.core.policy.reach import Reach, reaches
from qubes_manager.core.policy.subject import System
from qubes_manager.ui.dialogs.policy.cells import MOST, chosen, fill, new_choice, new_table, offer
from qubes_manager.ui.dialogs.policy.reach_graph import ReachGraph
from qubes_manager.ui.dialogs.policy.reach_matrix import ALLOWED, ASKED, ReachMatrix
from qubes_manager.ui.look.plain import PlainLabel

# With more domains than these the work and the drawing are of one of them at a time.
_MANY = 40
# More arrows than these cover each other.
_FEW = 30
# When there is more than this there is no picture until a domain or a service is chosen.
_ALL = 50_000
_HEADS = ("Who", "Has", "Service", "How", "Rule")


class ReachPage(QWidget):
    """Works out who may have what of whom; *start* runs the work."""

    def __init__(self, start: Callable[[Coroutine[Any, Any, None]], object]) -> None:
        super().__init__()
        self._start = start
        self._policy: Policy | None = None
        self._system: System = {}
        self._round = 0
        self.source = new_choice("Who asks")
        self.service = new_choice("Which service")
        self.graph, self.matrix = ReachGraph(), ReachMatrix()
        self.pictures = QStackedWidget()
        self.pictures.addWidget(self.graph)
        self.pictures.addWidget(self.matrix)
        self.table = new_table("Who may reach whom", _HEADS)
        self.note = PlainLabel()
        row = QHBoxLayout()
        for choice in (self.source, self.service):
            choice.currentIndexChanged.connect(lambda _index: self._start(self.update_reaches()))
            row.addWidget(choice, 1)
        both = QSplitter(Qt.Orientation.Vertical)
        both.addWidget(self.pictures)
        both.addWidget(self.table)
        both.setStretchFactor(0, 3)
        both.setStretchFactor(1, 1)
        layout = QVBoxLayout(self)
        layout.addLayout(row)
        layout.addWidget(both, 1)
        layout.addWidget(self.note)

    def show_policy(self, policy: Policy, system: System) -> None:
        """Work with *policy* and the domains of *system* from now on; ``update_reaches`` does."""
        self._policy, self._system = policy, system
        every = [("every domain", "")] if len(system) <= _MANY else []
        services = sorted({rule.service for rule in policy.rules if rule.service})
        offer(self.source, [*every, *((name, name) for name in sorted(system))])
        offer(self.service, [("every service", ""), *((name, name) for name in services)])

    async def update_reaches(self) -> None:
        """Show what is chosen."""
        policy, system = self._policy, self._system
        if policy is None or not self.source.count():
            return
        self._round += 1
        now, source, service = self._round, chosen(self.source), chosen(self.service)

        def work() -> list[Reach]:
            found = reaches(policy, system, sources=[source] if source else (), services=[service] if service else ())
            return list(islice(found, _ALL + 1))

        found = await asyncio.to_thread(work)
        # What was chosen meanwhile has a round of its own.
        if now == self._round:
            self._show(found)

    def _show(self, found: list[Reach]) -> None:
        # A pair that is missing in the picture would be taken for one that is not allowed.
        pairs = {(reach.source, reach.target) for reach in found}
        picture = self.graph if len(pairs) <= _FEW else self.matrix
        picture.show_reaches(found, self._system)
        self.pictures.setVisible(len(found) <= _ALL)
        self.pictures.setCurrentWidget(picture)
        shown = found[:MOST]
        fill(
            self.table,
            (
                ((r.source, r.target, r.call, "asked" if r.is_asked else "allowed", r.rule.place), r.rule.text)
                for r in shown
            ),
        )
        more = f"; more than {MOST:,} are not listed, choose a domain or a service" if len(found) > MOST else ""
        self.note.setText(f"Red (“{ALLOWED}”) is allowed at once, orange (“{ASKED}”) when the user says so{more}.")
