"""What stands in the window's middle."""

import pytest
import qasync
from PySide6.QtWidgets import QPushButton, QWidget
from pytestqt.qtbot import QtBot

from qubes_manager.core.domain import HOST_UUID, Domain, DomainKey, DomainState
from qubes_manager.core.settings import Settings
from qubes_manager.models.domain_filter import TableFilter
from qubes_manager.models.domain_table import DomainTableModel
from qubes_manager.services.hosts.store import DomainStore, HostPhase, HostStatus
from qubes_manager.ui.actions import WINDOW_ACTIONS, ActionSet
from qubes_manager.ui.table.domain_view import DomainView
from qubes_manager.ui.table.table_pages import Page, TablePages, page_for
from tests.ui.conftest import run

CONNECTING, CONNECTED, DISCONNECTED = HostPhase.CONNECTING, HostPhase.CONNECTED, HostPhase.DISCONNECTED
HOST = Domain(DomainKey("x", HOST_UUID), "dom0", DomainState.RUNNING)
WORK = Domain(DomainKey("x", "1"), "work", DomainState.HALTED)


@pytest.mark.parametrize(
    ("guests", "known", "rows", "phases", "page"),
    [
        (0, 0, 0, set(), Page.CONNECTING),
        (0, 0, 0, {CONNECTING}, Page.CONNECTING),
        # Domains are there before all have been heard of.
        (5, 5, 5, {CONNECTING}, Page.TABLE),
        (0, 0, 0, {CONNECTED}, Page.EMPTY),
        (0, 1, 1, {CONNECTED, DISCONNECTED}, Page.EMPTY),
        (0, 0, 0, {CONNECTING, DISCONNECTED}, Page.TABLE),
        (5, 0, 0, {CONNECTED}, Page.TABLE),
        (5, 6, 6, {CONNECTED}, Page.TABLE),
        (5, 6, 0, {CONNECTED}, Page.NOTHING_FITS),
        (5, 6, 0, {DISCONNECTED}, Page.NOTHING_FITS),
    ],
)
def test_the_page_says_why_there_is_no_table(
    guests: int, known: int, rows: int, phases: set[HostPhase], page: Page
) -> None:
    assert page_for(guests, known, rows, phases) is page


class Middle:
    """The pages over a store, without any libvirt."""

    def __init__(self, settings: Settings) -> None:
        self.window = QWidget()
        self.triggered: list[str] = []
        self.store = DomainStore()
        self.model = DomainTableModel()
        self.store.on_batch(self.model.apply)
        self.view = DomainView(self.model)
        actions = ActionSet(self.window, WINDOW_ACTIONS, self.triggered.append)
        self.pages = TablePages(self.view, self.model, self.store, actions, settings)

    async def put(self, *domains: Domain) -> None:
        self.store.put(domains)
        self.store.flush()
        self.pages.choose()


def test_the_assistant_opens_once_when_there_is_no_domain(loop: qasync.QEventLoop, qtbot: QtBot) -> None:
    settings = Settings()
    middle = Middle(settings)
    qtbot.addWidget(middle.window)
    qtbot.addWidget(middle.pages)
    middle.pages.choose()
    assert middle.triggered == []
    middle.store.set_host(HostStatus("x", CONNECTED))
    run(loop, middle.put(HOST))
    assert middle.triggered == ["assistant"]
    assert settings.setup_offered
    middle.pages.choose()
    assert middle.triggered == ["assistant"]


def test_the_assistant_stays_away_from_who_has_domains_and_from_pictures(loop: qasync.QEventLoop, qtbot: QtBot) -> None:
    settings = Settings()
    middle = Middle(settings)
    qtbot.addWidget(middle.window)
    qtbot.addWidget(middle.pages)
    middle.pages.offers_setup = False
    middle.store.set_host(HostStatus("x", CONNECTED))
    run(loop, middle.put(HOST))
    assert middle.pages.currentWidget() is not middle.view
    middle.pages.offers_setup = True
    run(loop, middle.put(WORK))
    assert (middle.triggered, settings.setup_offered) == ([], False)
    assert middle.pages.currentWidget() is middle.view
    # What the filter hides can be had back.
    middle.model.set_filter(TableFilter.of("running", "nothing"))
    middle.pages.choose()
    nothing = middle.pages.currentWidget()
    assert nothing and nothing is not middle.view
    [button] = nothing.findChildren(QPushButton)
    with qtbot.waitSignal(middle.pages.show_all_wanted):
        button.click()
