"""The panel of applications, without any libvirt."""

import pytest
import qasync
from PySide6.QtTest import QAbstractItemModelTester
from pytestqt.qtbot import QtBot

from qubes_manager.core.applications import ApplicationList
from qubes_manager.core.domain import Domain
from qubes_manager.models.applications_model import ApplicationsModel
from qubes_manager.services.assembly import Services
from qubes_manager.ui.applications.applications_panel import ApplicationsPanel
from qubes_manager.ui.look.icons import application_icon
from tests.ui.conftest import APPS, run


class Panel:
    """A model over a store and lists, without any libvirt."""

    def __init__(self, loop: qasync.QEventLoop) -> None:
        self.loop = loop
        services = Services.connecting(watch=False)
        self.store, self.lists = services.store, services.lists
        self.model = ApplicationsModel(self.store, self.lists, application_icon)
        self.tester = QAbstractItemModelTester(self.model, QAbstractItemModelTester.FailureReportingMode.Fatal)
        self.widget = ApplicationsPanel(self.model, lambda _domain: [])

    def show(self, *domains: Domain) -> None:
        async def put() -> None:
            self.store.put(domains)
            for entry in domains:
                self.lists._lists[entry.key.uuid] = ApplicationList(APPS)
            self.store.flush()

        run(self.loop, put())
        self.model.rebuild()

    def texts(self) -> dict[str, list[str]]:
        model = self.model
        tops = [model.index(row, 0) for row in range(model.rowCount())]
        return {top.data(): [model.index(r, 0, top).data() for r in range(model.rowCount(top))] for top in tops}


@pytest.fixture
def panel(qtbot: QtBot, loop: qasync.QEventLoop) -> Panel:
    panel = Panel(loop)
    qtbot.addWidget(panel.widget)
    return panel
