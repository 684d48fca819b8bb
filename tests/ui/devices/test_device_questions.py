"""What is asked and found out before a device goes somewhere: before anything is taken from anybody."""

from dataclasses import replace

import qasync
from PySide6.QtWidgets import QMessageBox

from qubes_manager.core.devices.assignment import Mode
from qubes_manager.core.domain import DomainKey, DomainState
from qubes_manager.core.errors import HostCallFailed
from qubes_manager.services.devices.kind import Holder, Offered
from tests.device_samples import (
    BANK,
    CARD,
    HELD,
    KEYBOARD,
    MICROPHONE,
    STICK,
    UNTRUSTED,
    URI,
    VAULT,
    WORK,
    guest,
)
from tests.ui.conftest import press, run, shown_box
from tests.ui.devices.conftest import Scene
from tests.waiting import until


async def done_within(scene: Scene, count: int) -> None:
    await until(lambda: len(scene.devices.done) >= count)


async def gone(box: QMessageBox) -> None:
    await until(lambda: not box.isVisible())


def test_what_is_dropped_on_a_domain_comes_from_who_has_it(loop: qasync.QEventLoop, scene: Scene) -> None:
    async def work() -> None:
        await scene.has()
        microphone, stick = scene.plug(Offered(STICK, (HELD,)), Offered(MICROPHONE, (Holder(UNTRUSTED, "mic"),)))[::-1]
        for answer in ("Cancel", "Move"):
            scene.commands.drop(stick, WORK.key)
            box = await shown_box()
            assert box.text() == "Take “SanDisk Ultra” from “untrusted” and give it to “work”?"
            assert box.defaultButton().text().replace("&", "") == "Cancel"
            assert scene.devices.done == []
            press(box, answer)
            await gone(box)
        await done_within(scene, 1)
        scene.commands.drop(microphone, WORK.key)
        await done_within(scene, 2)
        assert scene.devices.done == [("move", "untrusted", "work"), ("attach", "work", "mic", {})]

    run(loop, work())


def test_what_cannot_have_it_is_said_before_anything_is_taken(loop: qasync.QEventLoop, scene: Scene) -> None:
    far = replace(guest("far"), key=DomainKey("qemu+ssh://far.example/system", "far"))
    system = replace(guest("here"), key=DomainKey("qemu:///system", "here"))

    def said(why: str) -> int:
        return scene.noticed.count(("That did not work", why))

    async def work() -> None:
        await scene.has(WORK, UNTRUSTED, VAULT, far, system)
        [stick] = scene.plug(Offered(STICK, (HELD,)))
        for domain, why in (
            (VAULT, "“vault” does not run; nothing was changed"),
            (far, "“far” is on another machine; nothing was changed"),
        ):
            scene.commands.drop(stick, domain.key)
            await until(lambda why=why: said(why) == 1)  # type: ignore[misc]
            scene.commands.move(stick, HELD, domain.key)
            await until(lambda why=why: said(why) == 2)  # type: ignore[misc]
        scene.commands.drop(stick, UNTRUSTED.key)
        await until(lambda: said("“untrusted” has it; nothing was changed") == 1)
        [stick] = scene.plug(STICK)
        scene.commands.drop(stick, VAULT.key)
        await until(lambda: said("“vault” does not run; nothing was changed") == 3)
        assert scene.devices.done == []
        # All connections of a machine have its devices.
        scene.commands.drop(stick, system.key)
        await until(lambda: scene.devices.done == [("attach", "here", "sdb", {})])

    run(loop, work())


def test_a_device_that_could_not_be_taken_while_the_question_stood_stays(loop: qasync.QEventLoop, scene: Scene) -> None:
    async def work() -> None:
        await scene.has()
        [stick] = scene.plug(Offered(STICK, (HELD,)))
        scene.commands.drop(stick, WORK.key)
        box = await shown_box()
        scene.services.store.put([replace(WORK, state=DomainState.HALTED)])
        press(box, "Move")
        await until(lambda: "“work” does not run; nothing was changed" in scene.texts)
        assert scene.devices.done == []

    run(loop, work())


def test_all_is_looked_at_anew_after_whatever_was_done(loop: qasync.QEventLoop, scene: Scene) -> None:
    looks: list[bool] = []

    async def work() -> None:
        await scene.has()
        scene.watches._watches[URI].look = lambda: looks.append(True)  # type: ignore[method-assign]
        stick, microphone = scene.plug(Offered(STICK, (HELD,)), MICROPHONE)
        commands = scene.commands
        commands.attach(microphone, WORK.key)
        await until(lambda: len(looks) == 1)
        commands.detach(stick, HELD)
        await until(lambda: len(looks) == 2)
        commands.move(stick, HELD, WORK.key)
        await until(lambda: len(looks) == 3)
        commands.assign(STICK, WORK.key, Mode.AUTO, port=True, ident=False)
        await until(lambda: len(looks) == 4)
        scene.devices.refusal = HostCallFailed("no port is free")
        commands.attach(microphone, WORK.key)
        await until(lambda: len(looks) == 5)

    run(loop, work())


def test_who_always_gets_something_is_confirmed_like_giving(loop: qasync.QEventLoop, scene: Scene) -> None:
    scene.devices.told = ["dom0 loses its network"]

    async def work() -> None:
        await scene.has()
        scene.commands.assign(CARD, VAULT.key, Mode.REQUIRED, port=True, ident=True)
        box = await shown_box()
        assert box.text() == "Always give network controller “Realtek RTL8111” to “vault”?"
        assert box.informativeText() == "Dom0 loses its network."
        press(box, "Cancel")
        await gone(box)
        assert scene.devices.done == []
        for mode, more in ((Mode.ASK, False), (Mode.AUTO, True)):
            scene.commands.assign(MICROPHONE, WORK.key, mode, port=True, ident=False)
            box = await shown_box()
            assert ("“work” then hears from its start on" in box.informativeText()) is more
            press(box, "Assign")
            await gone(box)
        await done_within(scene, 2)
        assert [what[-1] for what in scene.devices.done] == ["ask-to-attach", "auto-attach"]
        scene.commands.assign(KEYBOARD, BANK.key, Mode.AUTO, port=True, ident=True)
        await until(lambda: any("is never to get" in text for text in scene.texts))

    run(loop, work())
