"""What is behind the actions of the window; the commands know no window."""

import asyncio

import pytest
import qasync
from pytestqt.qtbot import QtBot

from qubes_manager.core.domain import Domain, DomainConfig, DomainKey, DomainState
from qubes_manager.core.errors import Refused
from qubes_manager.models.domain_table import DomainTableModel
from qubes_manager.services.assembly import Services
from qubes_manager.services.hosts.store import HostPhase, HostStatus
from qubes_manager.ui.actions import WINDOW_ACTIONS
from qubes_manager.ui.commands.domain_commands import DomainCommands
from qubes_manager.ui.commands.window_commands import WindowCommands
from qubes_manager.ui.dialogs.disposable_dialog import DisposableDialog
from qubes_manager.ui.dialogs.gui_options_dialog import GuiOptionsDialog
from qubes_manager.ui.dialogs.policy.policy_dialog import PolicyDialog
from qubes_manager.ui.feedback.confirm import Confirmation
from qubes_manager.ui.feedback.jobs import Jobs
from qubes_manager.ui.feedback.message_bar import MessageBar
from qubes_manager.ui.feedback.tasks import Tasks
from qubes_manager.ui.table.domain_view import DomainView
from tests.ui.conftest import run
from tests.waiting import until


class Surroundings:
    """A message bar above which dialogs may stand, a table, and note of what the commands ask for."""

    def __init__(self, services: Services) -> None:
        self.bar = MessageBar()
        self.asked: list[str] = []
        model = DomainTableModel()
        services.store.on_batch(model.apply)
        self.view = DomainView(model, self.bar)
        tasks, jobs = Tasks(self.bar.show_error), Jobs(self.bar)
        confirmation = Confirmation(self.bar, set())
        self.domain_commands = DomainCommands(
            self.bar,
            services,
            tasks,
            self.bar,
            confirmation,
            jobs,
            self.view.edit_name,
            show_devices=lambda domain: self.asked.append(f"devices of {domain}"),
        )
        self.commands = WindowCommands(
            self.bar,
            services,
            tasks,
            self.bar,
            jobs,
            self.domain_commands,
            self.view,
            focus_search=lambda: self.asked.append("search"),
            quit_program=lambda: self.asked.append("quit"),
            add_image=lambda: self.asked.append("image"),
        )


@pytest.fixture
def around(qtbot: QtBot, services: Services) -> Surroundings:
    around = Surroundings(services)
    qtbot.addWidget(around.bar)
    return around


def test_every_action_of_the_window_has_its_work(around: Surroundings) -> None:
    assert set(around.commands.work) == {spec.id for spec in WINDOW_ACTIONS if not spec.alone}


def test_search_devices_and_quit_are_the_surroundings_doing(around: Surroundings) -> None:
    for action in ("search", "all-devices", "add-image", "quit"):
        around.commands.trigger(action)
    assert around.asked == ["search", "devices of None", "image", "quit"]


def test_the_connection_is_that_of_the_chosen_domain_or_the_first_that_is_connected(
    loop: qasync.QEventLoop, around: Surroundings, services: Services, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[str] = []

    async def note(uri: str) -> Domain:
        asked.append(uri)
        raise Refused("nothing to make one of")

    monkeypatch.setattr(services.disposables, "default_for", note)

    async def open_files() -> None:
        around.commands.trigger("convert-in-disposable")
        await asyncio.sleep(0.01)

    async def choose() -> None:
        work = Domain(DomainKey("c", "1"), "work", DomainState.RUNNING)
        services.store.put([work])
        services.store.flush()
        around.view.select([work.key])

    run(loop, open_files())
    assert around.bar.texts == ["No libvirt is connected"]
    for uri, phase in (("a", HostPhase.DISCONNECTED), ("b", HostPhase.CONNECTED), ("c", HostPhase.CONNECTED)):
        services.store.set_host(HostStatus(uri, phase))
    run(loop, open_files())
    run(loop, choose())
    run(loop, open_files())
    assert asked == ["b", "c"]


def test_the_policy_can_be_seen_without_a_connection(loop: qasync.QEventLoop, around: Surroundings) -> None:
    async def look() -> None:
        around.commands.trigger("policy")
        await until(lambda: around.bar.findChildren(PolicyDialog))
        (dialog,) = around.bar.findChildren(PolicyDialog)
        await until(lambda: dialog.rules.table.topLevelItemCount())
        # It goes on reading, and is closed meanwhile.
        dialog.reject()

    run(loop, look())
    assert around.bar.texts == []


def test_the_policy_is_one_click_away_from_the_settings_of_all_domains(
    loop: qasync.QEventLoop, around: Surroundings
) -> None:
    async def look() -> None:
        around.commands.trigger("gui-options")
        await until(lambda: around.bar.findChildren(GuiOptionsDialog))
        (dialog,) = around.bar.findChildren(GuiOptionsDialog)
        dialog.policy.click()
        await until(lambda: dialog.findChildren(PolicyDialog))
        (policy,) = dialog.findChildren(PolicyDialog)
        await until(lambda: policy.rules.table.topLevelItemCount())
        policy.reject()
        await until(lambda: not dialog.findChildren(PolicyDialog))
        assert dialog.isVisible()
        dialog.reject()

    run(loop, look())
    assert around.bar.texts == []


def test_no_files_are_chosen_for_a_disposable_that_cannot_be_made(
    loop: qasync.QEventLoop, around: Surroundings, services: Services
) -> None:
    services.store.set_host(HostStatus("a", HostPhase.CONNECTED))

    async def view() -> None:
        around.commands.trigger("view-in-disposable")
        await until(lambda: around.bar.texts)

    run(loop, view())
    assert "default_dispvm" in around.bar.texts[0]


@pytest.mark.parametrize(("stays", "words"), [(False, "it runs until you shut it down"), (True, "start it when you")])
def test_what_a_new_disposable_is_called_is_told(
    loop: qasync.QEventLoop,
    around: Surroundings,
    services: Services,
    monkeypatch: pytest.MonkeyPatch,
    stays: bool,
    words: str,
) -> None:
    base, made = (
        Domain(DomainKey("a:", name), name, DomainState.HALTED, config=DomainConfig(template_for_dispvms=True))
        for name in ("base", "disp7")
    )

    async def make(*_words: object, **_named: object) -> DomainKey:
        services.store.put([made])
        return made.key

    async def new() -> None:
        services.store.set_host(HostStatus("a:", HostPhase.CONNECTED))
        services.store.put([base])
        services.store.flush()
        around.commands.trigger("new-disposable")
        await until(lambda: around.bar.findChildren(DisposableDialog))
        [dialog] = around.bar.findChildren(DisposableDialog)
        dialog.name.setText("disp7" if stays else "")
        dialog.stays.setChecked(stays)
        dialog.ok.click()
        await until(lambda: any("“disp7” is made of “base”: " + words in text for text in around.bar.texts))

    monkeypatch.setattr(services.disposables, "make", make)
    monkeypatch.setattr(services.disposables, "define", make)
    run(loop, new())
