"""What the menus offer for a device, and what a click asks for."""

import asyncio
from dataclasses import replace

import qasync
from PySide6.QtCore import QEvent, QPoint, Qt
from PySide6.QtGui import QKeyEvent
from PySide6.QtWidgets import QApplication, QMenu

from qubes_manager.core.devices.assignment import Assignment, Mode
from qubes_manager.core.devices.identity import ANY, DeviceClass
from qubes_manager.core.domain import DomainClass, DomainState
from qubes_manager.core.hardware import Disk
from qubes_manager.models.device_tree import Entry, inserted_discs
from qubes_manager.services.devices.kind import Holder, Offered
from tests.device_samples import (
    BANK,
    CAMERA,
    CARD,
    HELD,
    ISO,
    KEYBOARD,
    MICROPHONE,
    PART,
    STICK,
    SYSTEM,
    UNTRUSTED,
    VAULT,
    WORK,
    guest,
)
from tests.ui.conftest import run
from tests.ui.devices.conftest import Scene, below, opened
from tests.waiting import until

BASE = guest("dvm", "red", DomainState.HALTED, template_for_dispvms=True, klass=DomainClass.APP)


def menu_of(scene: Scene, entry: Entry) -> QMenu:
    menu = QMenu(scene.parent)
    scene.menus.fill(menu, entry)
    return menu


def test_a_free_stick_can_be_given_to_who_runs_and_to_new_disposables(loop: qasync.QEventLoop, scene: Scene) -> None:
    async def work() -> None:
        await scene.has(WORK, BANK, VAULT, BASE)
        [stick] = scene.plug(STICK, PART)
        actions = opened(menu_of(scene, stick))
        assert list(actions) == ["Attach to", "New disposable of", "Attach with options…", "Always attach to"]
        assert list(below(actions, "Attach to")) == ["bank", "work"]
        assert list(below(actions, "New disposable of")) == ["dvm"]
        below(actions, "Attach to")["work"].trigger()
        await until(lambda: scene.devices.done == [("attach", "work", "sdb", {})])

    run(loop, work())


def test_who_never_gets_keyboards_stands_there_with_the_reason(loop: qasync.QEventLoop, scene: Scene) -> None:
    async def work() -> None:
        await scene.has()
        [keyboard] = scene.plug(KEYBOARD)
        actions = opened(menu_of(scene, keyboard))
        denied = "[bank: never gets such devices (devices_denied has u03****)]"
        for title in ("Attach to", "Always attach to"):
            assert denied in below(actions, title), title
            assert below(actions, title)[denied].icon().cacheKey(), "with its colour"
        assert "Attach with options…" not in actions, "only drives have them"

    run(loop, work())


def test_what_a_domain_has_can_be_taken_and_moved(loop: qasync.QEventLoop, scene: Scene) -> None:
    async def work() -> None:
        await scene.has()
        [stick] = scene.plug(Offered(STICK, (HELD,)))
        actions = opened(menu_of(scene, stick))
        assert list(actions) == ["Detach from “untrusted”", "Detach from “untrusted” and attach to", "Always attach to"]
        others = below(actions, "Detach from “untrusted” and attach to")
        assert list(others) == ["bank", "work", "New disposable of"]
        actions["Detach from “untrusted”"].trigger()
        others["work"].trigger()
        await until(lambda: len(scene.devices.done) == 2)
        assert scene.devices.done == [("detach", "untrusted", "sda", False), ("move", "untrusted", "work")]

    run(loop, work())


def test_what_the_host_uses_is_offered_to_nobody(loop: qasync.QEventLoop, scene: Scene) -> None:
    async def work() -> None:
        await scene.has()
        [system] = scene.plug(SYSTEM)
        assert list(opened(menu_of(scene, system))) == ["[dom0 uses it: mounted at /]", "Always attach to"]

    run(loop, work())


def test_a_card_comes_with_a_start_and_a_microphone_to_several(loop: qasync.QEventLoop, scene: Scene) -> None:
    async def work() -> None:
        await scene.has()
        card, microphone = scene.plug(CARD, Offered(MICROPHONE, (Holder(UNTRUSTED, "mic"),)))
        actions = opened(menu_of(scene, card))
        assert list(below(actions, "Give, from its next start on, to")) == ["vault"]
        assert "New disposable of" not in actions
        actions = opened(menu_of(scene, microphone))
        assert list(below(actions, "Attach to")) == ["bank", "work"]
        assert "Detach from “untrusted”" in actions
        # It is started without a way to hear.
        assert "New disposable of" not in actions
        assert list(below(actions, "Detach from “untrusted” and attach to")) == ["bank", "work"]

    run(loop, work())


def test_a_menu_that_is_cut_says_so_and_has_those_that_count(loop: qasync.QEventLoop, scene: Scene) -> None:
    present = Assignment(DeviceClass.BLOCK, ANY, STICK.ident, Mode.ASK)
    bases = [replace(guest(f"dvm{n}", template_for_dispvms=True), state=DomainState.HALTED) for n in range(35)]
    drives = (Disk("sdc", "sata", kind="cdrom"),)

    async def work() -> None:
        discs = [guest(f"vm{n:02}", disks=drives) for n in range(33)]
        await scene.has(*bases, *discs, guest("zoo", assignments=(present,)))
        stick, disc = scene.plug(STICK, ISO)
        actions = opened(menu_of(scene, stick))
        assert list(below(actions, "New disposable of"))[-1] == "[5 more…]"
        always = list(below(actions, "Always attach to"))
        assert (always[0], always[-1], len(always)) == ("✓ zoo", "[39 more…]", 31)
        assert list(below(opened(menu_of(scene, disc)), "Insert into the CD drive of"))[-1] == "[3 more…]"

    run(loop, work())


def test_a_key_that_is_held_walks_through_no_menu(loop: qasync.QEventLoop, scene: Scene) -> None:
    async def work() -> None:
        await scene.has()
        [stick] = scene.plug(STICK)
        sub = opened(menu_of(scene, stick))["Attach to"].menu()
        assert isinstance(sub, QMenu)
        opened(sub)
        sub.popup(QPoint(0, 0))
        sub.setActiveAction(sub.actions()[0])
        for _ in range(3):
            QApplication.sendEvent(sub, held_return())
        assert sub.isVisible()
        await asyncio.sleep(0.05)
        assert scene.devices.done == []
        sub.close()

    run(loop, work())


def held_return() -> QKeyEvent:
    return QKeyEvent(QEvent.Type.KeyPress, Qt.Key.Key_Return, Qt.KeyboardModifier.NoModifier, "\r", True)


def test_assigning_says_how_and_by_what_and_shows_what_is_so(loop: qasync.QEventLoop, scene: Scene) -> None:
    present = Assignment(DeviceClass.USB, CAMERA.location, ANY, Mode.ASK)

    async def work() -> None:
        await scene.has(guest("work", assignments=(present,)), VAULT)
        [camera] = scene.plug(CAMERA)
        domains = below(opened(menu_of(scene, camera)), "Always attach to")
        assert list(domains) == ["✓ work", "vault"]
        menu = domains["✓ work"].menu()
        assert isinstance(menu, QMenu)
        opened(menu)
        lines = [action for action in menu.actions() if not action.isSeparator()]
        ways = ["This device, at any port", "Whatever is at this port", "This device, at this port only"]
        assert [line.text().strip() for line in lines] == [
            "By itself, when it comes",
            *ways,
            "When it comes, after a question",
            *ways,
            "Not any more",
        ]
        assert [line.isChecked() for line in lines].index(True) == 6
        lines[1].trigger()
        await until(lambda: len(scene.devices.done) == 2)
        # What was so in another way goes.
        assert scene.devices.done == [("assign", "work", "*", CAMERA.ident, "auto-attach"), ("unassign", "work")]
        lines[-1].trigger()
        await until(lambda: len(scene.devices.done) == 3)

    run(loop, work())


def test_what_says_nothing_of_itself_is_known_by_its_port_alone(loop: qasync.QEventLoop, scene: Scene) -> None:
    async def work() -> None:
        await scene.has(WORK)
        [drive] = scene.plug(type(STICK)("/dev/sdx", size=1 << 30))
        ways = below(below(opened(menu_of(scene, drive)), "Always attach to"), "work")
        assert "This device, at any port" not in ways and "Whatever is at this port" in ways

    run(loop, work())


def test_an_image_goes_into_drives_and_a_disc_is_ejected(loop: qasync.QEventLoop, scene: Scene) -> None:
    full = guest("full", disks=(Disk("sdb", "sata", kind="cdrom", source=ISO.path),))
    empty = guest("empty", disks=(Disk("sdc", "sata", kind="cdrom"),))
    asked: list[object] = []

    class Drives:
        async def insert(self, *what: object) -> None:
            asked.append(("insert", *what))

        async def eject(self, *what: object) -> None:
            asked.append(("eject", *what))

    async def work() -> None:
        scene.services.__dict__["block_devices"] = Drives()
        await scene.has(full, empty)
        [image] = scene.plug(*inserted_discs([full, empty]))
        actions = opened(menu_of(scene, image))
        drives = below(actions, "Insert into the CD drive of")
        assert list(drives) == ["empty (sdc)", "[full (sdb): has it]"]
        assert "Always attach to" not in actions, "an image has no port that it comes to"
        drives["empty (sdc)"].trigger()
        actions["Eject from “full”"].trigger()
        await until(lambda: len(asked) == 2)
        assert asked == [("insert", empty.key, "sdc", ISO.path), ("eject", full.key, "sdb")]

    run(loop, work())
