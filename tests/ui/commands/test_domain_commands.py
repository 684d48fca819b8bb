"""What is behind the actions of domains, and what is offered when a guest does not shut down."""

from dataclasses import replace
from pathlib import Path

import pytest
import qasync
from pulsectl_asyncio import PulseAsync
from PySide6.QtWidgets import QApplication, QPushButton
from pytestqt.qtbot import QtBot

from qubes_manager.backend.domains.new_domain import NewDomain
from qubes_manager.core.domain import GUI_FEATURE, Domain, DomainClass, DomainConfig, DomainKey, DomainState
from qubes_manager.core.errors import HostCallFailed, StateIsSaved
from qubes_manager.core.firewall.firewall import Firewall, Kind
from qubes_manager.core.gui_status import GuiPhase, GuiStatus
from qubes_manager.core.hardware import SoundDevice
from qubes_manager.core.labels import LABELS
from qubes_manager.core.operations import OPERATIONS
from qubes_manager.core.progress import Progress
from qubes_manager.core.sound import PLAYING, stream_name
from qubes_manager.core.source_build import XPRA_FOR_TRIXIE
from qubes_manager.services.assembly import Services
from qubes_manager.services.domains.lifecycle import Lifecycle, ShutdownTimedOut
from qubes_manager.ui.actions import DOMAIN_ACTIONS
from qubes_manager.ui.commands.domain_commands import DomainCommands
from qubes_manager.ui.dialogs.firewall.firewall_dialog import FirewallDialog
from qubes_manager.ui.dialogs.policy.policy_dialog import PolicyDialog
from qubes_manager.ui.dialogs.settings_dialog import SettingsDialog
from qubes_manager.ui.feedback.confirm import Confirmation
from qubes_manager.ui.feedback.jobs import Jobs
from qubes_manager.ui.feedback.message_bar import MessageBar
from qubes_manager.ui.feedback.tasks import Tasks
from tests.build import domain
from tests.driver import write_host
from tests.sound import sound_server
from tests.ui.conftest import press, run, shown_box
from tests.waiting import until

WORK = domain()


class HangingGuests(Lifecycle):
    """Stands in for guests that hang: those take a minute each."""

    def __init__(self, services: Services) -> None:
        parts = services.hosts, services.store, services.roots, services.sound, services.isolation
        super().__init__(*parts, services.firewalls, services.assigned_devices, services.lists.refresh)
        self.killed: list[DomainKey] = []
        self.waited: list[DomainKey] = []

    async def shutdown(self, key: DomainKey, timeout: float = 0) -> None:
        assert timeout == 60
        raise ShutdownTimedOut(replace(WORK, key=key), timeout)

    async def wait_halted(self, key: DomainKey, timeout: float = 0) -> None:
        self.waited.append(key)

    async def start(self, key: DomainKey, passphrase: str = "") -> bool:
        raise HostCallFailed("cannot start “work”: no", "libvirt said no")

    async def kill(self, key: DomainKey) -> None:
        self.killed.append(key)


def test_a_shutdown_that_takes_long_offers_to_wait_or_to_kill(
    loop: qasync.QEventLoop, qtbot: QtBot, services: Services
) -> None:
    messages = MessageBar()
    qtbot.addWidget(messages)

    async def work() -> None:
        services.store.put([WORK])
        services.lifecycle = lifecycle = HangingGuests(services)
        confirmation = Confirmation(messages, {"shutdown", "start"})
        commands = DomainCommands(
            messages, services, Tasks(messages.show_error), messages, confirmation, Jobs(messages), lambda: None
        )
        commands.trigger("shutdown", [WORK])
        await until(lambda: messages.texts)
        assert messages.texts == ["“work” has not shut down yet. Its programs may be asking something, or hang."]
        buttons = {b.text(): b for b in messages.findChildren(QPushButton)}
        buttons["Wait"].click()
        await until(lambda: lifecycle.waited and not messages.texts)
        commands.trigger("shutdown", [WORK])
        await until(lambda: messages.texts)
        services.store.put([replace(WORK, state=DomainState.HALTED)])
        await until(lambda: not messages.texts)
        services.store.put([WORK])
        assert lifecycle.waited == [WORK.key]
        commands.trigger("shutdown", [WORK])
        await until(lambda: messages.texts)
        {b.text(): b for b in messages.findChildren(QPushButton)}["Kill…"].click()
        press(await shown_box(), "Kill")
        await until(lambda: lifecycle.killed)
        assert lifecycle.killed == [WORK.key]
        # A failure is a line with libvirt's own words under Details.
        halted = replace(WORK, state=DomainState.HALTED)
        commands.trigger("start", [halted])
        await until(lambda: messages.texts)
        assert messages.texts == ["Cannot start “work”: no"]
        assert {"Details", "Copy"} <= {b.text() for b in messages.findChildren(QPushButton) if b.isEnabled()}

    run(loop, work())


def test_an_update_of_guest_tools_that_takes_long_says_so_and_asks_even_who_is_not_asked(
    loop: qasync.QEventLoop, qtbot: QtBot, services: Services, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    bar = MessageBar()
    qtbot.addWidget(bar)
    updated: list[DomainKey] = []

    async def update(key: DomainKey, _progress: Progress) -> None:
        updated.append(key)

    monkeypatch.setattr(services.guest_tools, "update", update)

    def template(name: str, suite: str) -> Domain:
        features = (("os-distribution", "debian"), ("suite", suite), (GUI_FEATURE, "1"))
        config = DomainConfig(klass=DomainClass.TEMPLATE, features=features)
        return domain(name, key=DomainKey("test:///", name), state=DomainState.HALTED, config=config)

    async def work() -> None:
        old, new = template("old", "bookworm"), template("new", "trixie")
        services.store.put([old, new])
        confirmation = Confirmation(bar, {"update-tools"})
        commands = DomainCommands(bar, services, Tasks(bar.show_error), bar, confirmation, Jobs(bar), lambda: None)
        commands.trigger("update-tools", [old])
        await until(lambda: updated == [old.key])
        commands.trigger("update-tools", [new, old])
        box = await shown_box()
        assert box.informativeText().startswith(XPRA_FOR_TRIXIE.describe("trixie"))
        press(box, "Cancel")
        await until(lambda: not box.isVisible())
        commands.trigger("update-tools", [new])
        press(await shown_box(), "Update the guest tools")
        await until(lambda: len(updated) > 1)
        assert updated == [old.key, new.key]

    run(loop, work())


def test_every_action_of_domains_has_its_operation_and_its_work(qtbot: QtBot, services: Services) -> None:
    bar = MessageBar()
    qtbot.addWidget(bar)
    tasks, confirmation = Tasks(bar.show_error), Confirmation(bar, set())
    commands = DomainCommands(bar, services, tasks, bar, confirmation, Jobs(bar), lambda: None)
    assert set(commands.work) == {spec.id for spec in DOMAIN_ACTIONS if not spec.alone}
    assert set(OPERATIONS) == {spec.id for spec in DOMAIN_ACTIONS}
    # The label has a sub-menu; nothing else goes without its work.
    assert {spec.id for spec in DOMAIN_ACTIONS if spec.alone} == {"label"}


def test_settings_are_saved_but_for_what_somebody_else_has_changed_meanwhile(
    loop: qasync.QEventLoop, qtbot: QtBot, services: Services, tmp_path: Path
) -> None:
    messages = MessageBar()
    qtbot.addWidget(messages)

    async def work() -> None:
        uri = write_host(tmp_path, [NewDomain("debian 12", DomainConfig(), vcpus=2)])
        await services.hosts.load(uri)
        foreign = services.store.named(uri, "debian 12")
        assert foreign
        confirmation = Confirmation(messages, set())
        commands = DomainCommands(
            messages, services, Tasks(messages.show_error), messages, confirmation, Jobs(messages), lambda: None
        )
        commands.trigger("settings", [foreign])

        def shown() -> list[SettingsDialog]:
            return [w for w in QApplication.topLevelWidgets() if isinstance(w, SettingsDialog) and w.isVisible()]

        await until(shown)
        [dialog] = shown()
        dialog.policy.click()
        await until(lambda: dialog.findChildren(PolicyDialog))
        dialog.findChildren(PolicyDialog)[0].reject()
        dialog.label.setCurrentIndex(dialog.label.findData("blue"))
        dialog.vcpus.setValue(3)
        await services.properties.set_label(foreign.key, "red")
        await services.properties.change_tags(foreign.key, ["theirs"])
        dialog.ok.click()
        await until(lambda: services.store.require(foreign.key).config.vcpus == 3)
        assert messages.texts == [
            "Label of “debian 12” was none when you looked and is red now: somebody else has changed it, and it stays "
            "so; look again"
        ]
        now = (await services.properties.stored(foreign.key)).config
        assert (now.label, set(now.tags)) == (LABELS["red"], {"theirs"})
        await services.hosts.close()

    run(loop, work())


def test_a_firewall_is_saved_unless_somebody_else_has_changed_it_meanwhile(
    loop: qasync.QEventLoop, qtbot: QtBot, services: Services, tmp_path: Path
) -> None:
    messages = MessageBar()
    qtbot.addWidget(messages)

    async def work() -> None:
        uri = write_host(tmp_path, [NewDomain("debian 12", DomainConfig())])
        await services.hosts.load(uri)
        domain = services.store.named(uri, "debian 12")
        assert domain
        key = domain.key
        confirmation, tasks = Confirmation(messages, set()), Tasks(messages.show_error)
        commands = DomainCommands(messages, services, tasks, messages, confirmation, Jobs(messages), lambda: None)

        async def shown() -> FirewallDialog:
            commands.trigger("firewall", [services.store.require(key)])
            await until(_shown_firewalls)
            return _shown_firewalls()[0]

        dialog = await shown()
        dialog.kind.setCurrentIndex(dialog.kind.findData(Kind.EVERYTHING))
        dialog.ok.click()
        await until(lambda: services.store.require(key).config.home_network == "on")
        await until(lambda: messages.texts)
        # This domain's network is none of ours, and it is said that nothing holds.
        assert messages.texts == ["No rules hold for “debian 12”: it has no network"]
        dialog = await shown()
        await services.firewalls.change(key, lambda before: replace(before, home=False))
        dialog.kind.setCurrentIndex(dialog.kind.findData(Kind.ONLY_THESE))
        dialog.ok.click()
        await until(lambda: len(messages.texts) == 2)
        assert messages.texts[1].startswith("The rules of “debian 12” have been changed since you looked")
        assert services.firewalls.of(key) == Firewall()
        await services.hosts.close()

    run(loop, work())


def _shown_firewalls() -> list[FirewallDialog]:
    return [w for w in QApplication.topLevelWidgets() if isinstance(w, FirewallDialog) and w.isVisible()]


def test_a_saved_state_in_the_way_is_offered_to_be_discarded(
    loop: qasync.QEventLoop, qtbot: QtBot, services: Services
) -> None:
    bar = MessageBar()
    qtbot.addWidget(bar)
    tasks, confirmation = Tasks(bar.show_error), Confirmation(bar, set())
    commands = DomainCommands(bar, services, tasks, bar, confirmation, Jobs(bar), lambda: None)
    writing = replace(WORK, state=DomainState.SAVED, config=DomainConfig(trial=2))

    async def work() -> None:
        services.store.put([writing])
        commands.show_error(StateIsSaved("work", WORK.key))
        assert bar.texts[0].startswith("“work” is saved, to go on as it was: start it and shut it down first")
        {b.text(): b for b in bar.findChildren(QPushButton)}["Discard saved state…"].click()
        box = await shown_box()
        assert box.text() == "Discard the saved state of “work”?"
        assert box.informativeText() == (
            "What was changed in work since the start is lost too. "
            "Its programs and unsaved work are lost, as in a power cut."
        )
        press(box, "Cancel")
        await until(lambda: not tasks.running)
        # Whoever starts it, or discards the state, makes the message untrue.
        commands.show_error(StateIsSaved("work", WORK.key))
        services.store.put([replace(writing, autostart=True)])
        services.store.flush()
        assert bar.texts
        services.store.put([WORK])
        services.store.flush()
        assert not bar.texts
        # Of a domain that is gone there is nothing to offer.
        services.store.remove([WORK.key])
        commands.show_error(StateIsSaved("work", WORK.key))
        assert not {b.text() for b in bar.findChildren(QPushButton) if b.isVisible()} & {"Discard saved state…"}

    run(loop, work())


def test_a_disposable_with_windows_is_ended_only_after_a_question(
    loop: qasync.QEventLoop, qtbot: QtBot, services: Services
) -> None:
    messages = MessageBar()
    qtbot.addWidget(messages)
    ended: list[DomainKey] = []

    async def end(key: DomainKey) -> None:
        ended.append(key)

    async def work() -> None:
        uuid = "11111111-1111-4111-8111-111111111111"
        config = DomainConfig(klass=DomainClass.DISPOSABLE)
        disposable = domain("disp1", key=DomainKey("test:///x", uuid), persistent=False, config=config)
        services.store.put([disposable])
        services.disposables.end = end  # type: ignore[method-assign]
        confirmation = Confirmation(messages, {"shutdown"})
        commands = DomainCommands(
            messages, services, Tasks(messages.show_error), messages, confirmation, Jobs(messages), lambda: None
        )
        link = services.links.link("test:///x")
        link._apply_status(uuid, GuiStatus(uuid, GuiPhase.SHOWN, windows=2))
        commands.trigger("shutdown", [disposable])
        box = await shown_box()
        assert "All that is in “disp1” is gone then, and there are 2 windows open." in box.informativeText()
        press(box, "Cancel")
        link._apply_status(uuid, GuiStatus(uuid, GuiPhase.SHOWN))
        await until(lambda: not box.isVisible())
        assert ended == []
        # Nobody wanted to be asked about others.
        commands.trigger("shutdown", [disposable])
        await until(lambda: ended)

    run(loop, work())


def test_mute_is_switched_for_all_chosen_and_the_sound_server_hears_of_it_at_once(
    loop: qasync.QEventLoop, qtbot: QtBot, services: Services
) -> None:
    messages = MessageBar()
    qtbot.addWidget(messages)
    flags: list[tuple[str, bool]] = []

    async def work() -> None:
        with sound_server() as server:
            config = DomainConfig(klass=DomainClass.APP, sound=SoundDevice(PLAYING, server.address))
            work, play = (domain(name, config=config) for name in ("work", "play"))
            services.store.put([work, replace(play, config=replace(config, muted=True))])

            async def set_flag(key: DomainKey, name: str, value: bool) -> None:
                flags.append((f"{name} {key.uuid}", value))

            services.properties.set_flag = set_flag  # type: ignore[method-assign]
            confirmation, jobs = Confirmation(messages, set()), Jobs(messages)
            tasks = Tasks(messages.show_error)
            commands = DomainCommands(messages, services, tasks, messages, confirmation, jobs, lambda: None)
            commands.trigger("mute", [services.store.require(d.key) for d in (work, play)])
            await until(lambda: flags and not tasks.running)
            assert sorted(flags) == [("muted play", True), ("muted work", True)]
            async with PulseAsync("test", server=server.address) as pulse:
                entries = await pulse.stream_restore_list()
            names = {f"sink-input-by-application-name:{stream_name(d.name)}" for d in (work, play)}
            assert names <= {entry.name for entry in entries if entry.mute}
            # Without an answer it holds for later, which is said.
            server.stop()
            commands.trigger("mute", [services.store.require(work.key)])
            await until(lambda: messages.texts)
            [text] = messages.texts
            assert text.startswith("“work” is muted from its next start on, but not now: the sound server of this")

    run(loop, work())
