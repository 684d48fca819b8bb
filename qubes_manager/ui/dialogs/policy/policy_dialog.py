"""The window about the policy of what crosses between domains."""

import asyncio
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any

from PySide6.QtWidgets import QDialogButtonBox, QTabWidget, QVBoxLayout, QWidget

from qubes_manager.core.policy.subject import System
from qubes_manager.core.policy.words import BROKEN
from qubes_manager.services.crossing.audit import Audit
from qubes_manager.services.crossing.link import BrokerLink
from qubes_manager.services.crossing.policy_files import PolicyFiles
from qubes_manager.ui.dialogs.hint_dialog import HintDialog, Spawn
from qubes_manager.ui.dialogs.policy.call_page import CallPage
from qubes_manager.ui.dialogs.policy.decisions_page import DecisionsPage
from qubes_manager.ui.dialogs.policy.reach_page import ReachPage
from qubes_manager.ui.dialogs.policy.rules_page import RulesPage
from qubes_manager.ui.dialogs.policy.session_page import SessionPage
from qubes_manager.ui.dialogs.policy.text_page import TextPage


class PolicyDialog(HintDialog):
    """Shows, edits, tries and draws the policy, and what it decided.

    *system* tells the domains that there are, *broker* what the user has said for the session.
    """

    def __init__(
        self,
        parent: QWidget,
        files: PolicyFiles,
        audit: Audit,
        system: Callable[[], Awaitable[System]],
        spawn: Spawn,
        broker: BrokerLink | None = None,
    ) -> None:
        super().__init__(parent, spawn)
        self._files, self._system = files, system
        self.setWindowTitle("Policy")
        self.resize(1040, 640)
        self.rules = RulesPage()
        self.text = TextPage(files, self.start)
        self.call = CallPage()
        self.reach = ReachPage(self.start)
        self.session = SessionPage(broker, self.start)
        self.decisions = DecisionsPage(audit, self.start)
        self.tabs = QTabWidget()
        for page, words in (
            (self.rules, "&Rules"),
            (self.text, "&Text"),
            (self.call, "Which rule &decides?"),
            (self.reach, "Who may reach wh&om"),
            (self.session, "This &session"),
            (self.decisions, "De&cisions"),
        ):
            self.tabs.addTab(page, words)
        self.rules.opened.connect(self._open_rule)
        self.text.saved.connect(lambda: self.start(self.reload()))
        self.finished.connect(self.session.close_page)
        self.tabs.currentChanged.connect(lambda _index: self.start(self._update_page()))
        closing = QDialogButtonBox(QDialogButtonBox.StandardButton.Close)
        closing.rejected.connect(self.reject)
        layout = QVBoxLayout(self)
        layout.addWidget(self.tabs, 1)
        layout.addWidget(self.hint)
        layout.addWidget(closing)
        self._works: set[asyncio.Future[object]] = set()
        self.finished.connect(lambda _code: self._give_up())
        self.start(self.reload())

    def start(self, work: Coroutine[Any, Any, None]) -> object:
        """Run *work* as long as the dialog is open: it shows what it finds here."""
        task = super().start(work)
        if isinstance(task, asyncio.Future):
            self._works.add(task)
            task.add_done_callback(self._works.discard)
        return task

    def _give_up(self) -> None:
        for task in tuple(self._works):
            task.cancel()

    async def reload(self) -> None:
        """Read the policy and the domains anew."""
        policy = await asyncio.to_thread(self._files.load)
        system = await self._system()
        self.rules.show_policy(policy)
        self.call.show_policy(policy, system)
        self.reach.show_policy(policy, system)
        await self.text.update_files()
        await self._update_page()
        self.hint.setText(f"⚠ {BROKEN}: {policy.faults[0]}" if policy.faults else "")

    async def _update_page(self) -> None:
        # What takes long is worked out when somebody looks.
        match self.tabs.currentWidget():
            case ReachPage() as page:
                await page.update_reaches()
            case DecisionsPage() as page:
                await page.update_decisions()

    def _open_rule(self, file: str, line: int) -> None:
        self.tabs.setCurrentWidget(self.text)
        self.start(self.text.go_to(file, line))

    def reject(self) -> None:
        """Close, unless something would be lost by that."""
        if self.text.is_changed:
            self.tabs.setCurrentWidget(self.text)
            self.hint.setText("⚠ Save or discard your changes first.")
        else:
            super().reject()
