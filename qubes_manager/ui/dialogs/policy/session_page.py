"""What the user has said for the session when he was asked: pairs that are allowed, domains that are blocked."""

from collections.abc import Callable, Coroutine
from typing import Any

from PySide6.QtWidgets import QHBoxLayout, QPushButton, QStackedWidget, QTreeWidgetItem, QVBoxLayout, QWidget

from qubes_manager.core.crossing.service_words import service_title
from qubes_manager.core.crossing.session_messages import RevokeGrant, SessionRules, Unblock
from qubes_manager.services.crossing.link import BrokerLink
from qubes_manager.ui.dialogs.policy.cells import fill, new_table
from qubes_manager.ui.feedback.empty_state import EmptyState

_HEADS = ("What", "Who", "For what", "Of whom")
_HINT = (
    "When you are asked whether something may cross to another domain, you can allow the pair for the session, or "
    "block the requests of the domain. What you said then is listed here, and can be taken back."
)


class SessionPage(QWidget):
    """Lists grants and blocks as the broker tells them, and revokes them; *start* runs the work."""

    def __init__(self, link: BrokerLink | None, start: Callable[[Coroutine[Any, Any, None]], object]) -> None:
        super().__init__()
        self._link, self._start = link, start
        self._requests: list[RevokeGrant | Unblock] = []
        self.table = new_table("What you have said for the session", _HEADS)
        self.revoke = QPushButton("Revoke")
        self.revoke.setAutoDefault(False)
        self.revoke.clicked.connect(self._on_revoke)
        self.table.itemSelectionChanged.connect(self._update_button)
        row = QHBoxLayout()
        row.addStretch(1)
        row.addWidget(self.revoke)
        self._listing = QWidget()
        listing = QVBoxLayout(self._listing)
        listing.setContentsMargins(0, 0, 0, 0)
        listing.addWidget(self.table, 1)
        listing.addLayout(row)
        self.pages = QStackedWidget()
        self.pages.addWidget(self._listing)
        self.pages.addWidget(EmptyState("Nothing is said for the session", _HINT, [], picture=False))
        QVBoxLayout(self).addWidget(self.pages)
        self._disconnect: list[Callable[[], None]] = []
        if link:
            self._disconnect = [link.heard.connect(self._on_news), link.lost.connect(self.update_rules)]
        self.update_rules()

    def close_page(self) -> None:
        """Hear no more."""
        for disconnect in self._disconnect:
            disconnect()

    def update_rules(self) -> None:
        """Show what holds now."""
        rules = self._link.session if self._link else SessionRules()
        self._requests = [*map(RevokeGrant.for_grant, rules.grants), *map(Unblock, rules.blocked)]
        allowed = [
            ("allowed", g.source, " ".join(filter(None, (service_title(g.service), g.argument))), g.target)
            for g in rules.grants
        ]
        blocked = [("blocked", name, "all that it asks for", "") for name in rules.blocked]
        fill(self.table, ((cells, "") for cells in (*allowed, *blocked)))
        self.pages.setCurrentIndex(0 if self._requests else 1)
        self._update_button()

    def _on_news(self, news: object) -> None:
        if isinstance(news, SessionRules):
            self.update_rules()

    def _selected(self) -> list[RevokeGrant | Unblock]:
        items: list[QTreeWidgetItem] = self.table.selectedItems()
        return [self._requests[self.table.indexOfTopLevelItem(item)] for item in items]

    def _update_button(self) -> None:
        selected = self._selected()
        self.revoke.setEnabled(bool(selected))
        self.revoke.setText("Lift the block" if any(isinstance(r, Unblock) for r in selected) else "Revoke")

    def _on_revoke(self) -> None:
        for request in self._selected():
            self._start(self._do(request))

    async def _do(self, request: RevokeGrant | Unblock) -> None:
        if self._link:
            await self._link.do(request)
