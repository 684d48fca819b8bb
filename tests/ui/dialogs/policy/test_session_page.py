"""What was said for the session, listed and taken back."""

import asyncio

import qasync
from PySide6.QtWidgets import QLabel
from pytestqt.qtbot import QtBot

from qubes_manager.core.crossing.broker_messages import Request
from qubes_manager.core.crossing.session_messages import RevokeGrant, SessionGrant, SessionRules, Unblock
from qubes_manager.services.crossing.link import BrokerLink
from qubes_manager.ui.dialogs.policy.session_page import SessionPage
from tests.ui.conftest import run
from tests.ui.dialogs.policy.conftest import rows, start

GRANT = SessionGrant("untrusted", "qubes.Filecopy", "", "work")
RULES = SessionRules((GRANT,), ("web",))


class Link(BrokerLink):
    """Takes requests in the broker's place."""

    def __init__(self) -> None:
        super().__init__("test:///x")
        self.requests: list[Request] = []

    async def do(self, request: Request, patience: float = 1) -> None:
        self.requests.append(request)

    def tell(self, rules: SessionRules) -> None:
        self.session = rules
        self.heard.emit(rules)


def shown(qtbot: QtBot, link: BrokerLink | None) -> SessionPage:
    page = SessionPage(link, start)
    qtbot.addWidget(page)
    page.show()
    return page


def is_empty(page: SessionPage) -> bool:
    return any(
        label.isVisible() and label.text() == "Nothing is said for the session" for label in page.findChildren(QLabel)
    )


def test_what_holds_is_listed_as_it_comes_and_goes(qtbot: QtBot) -> None:
    link = Link()
    page = shown(qtbot, link)
    assert is_empty(page)

    link.tell(RULES)
    assert rows(page.table) == [
        ["allowed", "untrusted", "Copy files", "work"],
        ["blocked", "web", "all that it asks for", ""],
    ]
    assert not is_empty(page)

    link.session = SessionRules()
    link.lost.emit()
    assert is_empty(page)


def test_what_is_chosen_is_taken_back(qtbot: QtBot, loop: qasync.QEventLoop) -> None:
    link = Link()
    page = shown(qtbot, link)
    link.tell(RULES)
    assert not page.revoke.isEnabled()

    async def work() -> None:
        for row, words in enumerate(("Revoke", "Lift the block")):
            item = page.table.topLevelItem(row)
            assert item
            page.table.setCurrentItem(item)
            assert page.revoke.text() == words
            page.revoke.click()
            await asyncio.sleep(0)
            await asyncio.sleep(0)

    run(loop, work())
    assert link.requests == [RevokeGrant.for_grant(GRANT), Unblock("web")]


def test_a_page_that_is_closed_hears_no_more(qtbot: QtBot) -> None:
    link = Link()
    page = shown(qtbot, link)

    page.close_page()
    link.tell(RULES)

    assert rows(page.table) == []


def test_without_a_connection_nothing_is_said(qtbot: QtBot) -> None:
    assert is_empty(shown(qtbot, None))
