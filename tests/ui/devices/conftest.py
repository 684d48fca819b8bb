"""The devices of a window over services without a connection."""

from collections.abc import Mapping
from typing import Any

import pytest
import qasync
from PySide6.QtGui import QAction
from PySide6.QtWidgets import QMenu, QWidget
from pytestqt.qtbot import QtBot

from qubes_manager.core.devices.assignment import Assignment
from qubes_manager.core.devices.device import Device
from qubes_manager.core.domain import Domain, DomainKey
from qubes_manager.core.errors import QubesManagerError
from qubes_manager.core.progress import SILENT, Progress
from qubes_manager.models.device_tree import Entry, Listing
from qubes_manager.models.devices_model import DevicesModel
from qubes_manager.services.assembly import Services
from qubes_manager.services.devices.devices import Devices
from qubes_manager.services.devices.kind import Held, Offered
from qubes_manager.services.devices.notices import DeviceNotices
from qubes_manager.services.devices.watch import DeviceNews, identity
from qubes_manager.services.hosts.store import HostPhase, HostStatus
from qubes_manager.ui.devices.device_commands import DeviceCommands
from qubes_manager.ui.devices.device_menu import DeviceMenus
from qubes_manager.ui.devices.device_watches import DeviceWatches
from qubes_manager.ui.feedback.jobs import Jobs
from qubes_manager.ui.feedback.message_bar import MessageBar
from qubes_manager.ui.feedback.tasks import Tasks
from qubes_manager.ui.look.icons import icon, label_icon
from tests.device_samples import BANK, UNTRUSTED, URI, VAULT, WORK


class Asked(Devices):
    """Notes what is asked for, and answers as a test says."""

    def __init__(self, services: Services) -> None:
        super().__init__(services.hosts, services.store, ())
        self.done: list[tuple[Any, ...]] = []
        self.refusal: QubesManagerError | None = None
        self.told: list[str] = []
        self.said = "“work” does not have sda any more. It is safe to pull it out."

    async def attach(self, key: DomainKey, device: Device, options: Mapping[str, str]) -> str:
        return self._note("attach", key.uuid, device.port, dict(options)) or "sdc"

    async def detach(self, held: Held, *, force: bool = False, progress: Progress = SILENT) -> str:
        progress.step("the guest writes what it has in memory")
        self._note("detach", held.holder.domain.name, held.holder.place, force)
        return self.said

    async def move(self, held: Held, key: DomainKey, options: Mapping[str, str], *, progress: Progress = SILENT) -> str:
        self._note("move", held.holder.domain.name, key.uuid)
        return "sdd"

    async def assign(self, key: DomainKey, assignment: Assignment) -> None:
        self._note("assign", key.uuid, assignment.name.port, assignment.name.ident, assignment.mode.value)

    async def unassign(self, key: DomainKey, unwanted: Any) -> list[Assignment]:
        self._note("unassign", key.uuid)
        return []

    def warnings(self, device: Device) -> list[str]:
        return self.told

    def _note(self, *what: Any) -> str:
        self.done.append(what)
        if self.refusal:
            raise self.refusal
        return ""


class Scene:
    """All that menus and pages stand on, of four domains and what a test plugs in."""

    def __init__(self, services: Services, parent: QWidget) -> None:
        self.services, self.parent = services, parent
        self.devices = Asked(services)
        services.__dict__["devices"] = self.devices
        self.messages = MessageBar()
        self.messages.setParent(parent)
        self.noticed: list[tuple[str, str]] = []
        tasks = Tasks(self.messages.show_error)
        self.notices = DeviceNotices(tasks.spawn, self._show)
        self.watches = DeviceWatches(services, self.notices, parent)
        jobs = Jobs(self.messages)
        self.commands = DeviceCommands(parent, services, tasks, self.messages, jobs, self.watches, self.notices)
        self.model = DevicesModel(icon, lambda domain: label_icon(domain.label))
        self.menus = DeviceMenus(services, self.watches, self.commands)
        self.page_action = QAction("All devices", parent)

    def _show(self, title: str, text: str, **_more: object) -> str:
        self.noticed.append((title, text))
        return ""

    async def has(self, *domains: Domain) -> None:
        """Let a connection be there, with these domains."""
        store = self.services.store
        store.set_host(HostStatus(URI, HostPhase.CONNECTED))
        store.put(domains or (WORK, UNTRUSTED, BANK, VAULT))
        store.flush()
        self.watches._connected[URI] = None
        self.watches._watch(URI)

    def plug(self, *devices: Device | Offered, new: tuple[Device, ...] = ()) -> list[Entry]:
        """Let there be these devices; returns the rows of things, in the order of their sections."""
        offered = tuple(one if isinstance(one, Offered) else Offered(one) for one in devices)
        self.watches._watches[URI].news = DeviceNews(offered)
        self.model.show([Listing(URI, offered, frozenset(map(identity, new)))])
        return [entry for section in self.model.sections for entry in section.entries]

    @property
    def texts(self) -> list[str]:
        return self.messages.texts


@pytest.fixture
def scene(loop: qasync.QEventLoop, qtbot: QtBot, services: Services, parent: QWidget) -> Scene:
    return Scene(services, parent)


def opened(menu: QMenu) -> dict[str, QAction]:
    """What a menu has when it opens, by its words without keys; what cannot be chosen stands in brackets."""
    menu.aboutToShow.emit()
    actions = [action for action in menu.actions() if not action.isSeparator()]
    words = [(action.text().replace("&", "").strip(), action) for action in actions]
    return {text if action.isEnabled() else f"[{text}]": action for text, action in words}


def below(actions: dict[str, QAction], text: str) -> dict[str, QAction]:
    """What is in a sub-menu."""
    menu = actions[text].menu()
    assert isinstance(menu, QMenu), text
    return opened(menu)
