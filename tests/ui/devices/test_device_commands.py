"""What is done with devices, what is asked before, and what is said of it."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace

import pytest
import qasync
from PySide6.QtWidgets import QApplication, QFileDialog, QPushButton

from qubes_manager.core.devices.assignment import Mode
from qubes_manager.core.devices.block import DiskRequest, identity_of
from qubes_manager.core.domain import DomainKey
from qubes_manager.core.errors import HostCallFailed, Refused, TimedOut
from qubes_manager.core.progress import Progress
from qubes_manager.services.devices.kind import Holder, Offered
from qubes_manager.ui.devices.attach_dialog import AttachDialog
from tests.device_samples import (
    BANK,
    CAMERA,
    CARD,
    HELD,
    ISO,
    KEYBOARD,
    STICK,
    UNTRUSTED,
    VAULT,
    WORK,
    guest,
)
from tests.ui.conftest import press, run, shown_box
from tests.ui.devices.conftest import Scene
from tests.waiting import until


async def said_within(scene: Scene, text: str) -> None:
    await until(lambda: text in scene.texts)


async def done_within(scene: Scene, count: int) -> None:
    await until(lambda: len(scene.devices.done) >= count)


def test_what_was_given_is_said_with_the_name_there(loop: qasync.QEventLoop, scene: Scene) -> None:
    async def work() -> None:
        await scene.has()
        for device, key, said in (
            (STICK, WORK.key, "“work” has “SanDisk Ultra” as sdc."),
            (CAMERA, WORK.key, "“work” has “Chicony Camera”."),
            (CARD, VAULT.key, "“vault” has, from its next start on, network controller “Realtek RTL8111”."),
        ):
            [entry] = scene.plug(device)
            scene.commands.attach(entry, key)
            await said_within(scene, said)
        # Nobody looks at the window, which was never shown.
        assert scene.noticed[0] == ("Devices", "“work” has “SanDisk Ultra” as sdc.")

    run(loop, work())


def test_an_image_is_given_in_the_format_of_its_name(loop: qasync.QEventLoop, scene: Scene) -> None:
    async def work() -> None:
        await scene.has()
        [image] = scene.plug(replace(ISO, path="/x/a.qcow2"))
        scene.commands.attach(image, WORK.key)
        await until(lambda: scene.devices.done == [("attach", "work", "/x/a.qcow2", {"format": "qcow2"})])
        await until(lambda: scene.texts == ["“work” has “a.qcow2” as sdc."])

    run(loop, work())


def test_what_it_brings_is_confirmed_before(loop: qasync.QEventLoop, scene: Scene) -> None:
    scene.devices.told = ["“Logitech USB Keyboard” is a keyboard: you may be unable to type", "it is the only one"]

    async def work() -> None:
        await scene.has()
        [keyboard] = scene.plug(KEYBOARD)
        scene.commands.attach(keyboard, WORK.key)
        box = await shown_box()
        assert box.text() == "Give “Logitech USB Keyboard” to “work”?"
        assert box.informativeText() == (
            "“Logitech USB Keyboard” is a keyboard: you may be unable to type. It is the only one."
        )
        assert box.defaultButton().text().replace("&", "") == "Cancel"
        press(box, "Cancel")
        await until(lambda: not box.isVisible())
        assert scene.devices.done == []
        scene.commands.move(keyboard, HELD, WORK.key)
        press(await shown_box(), "Attach")
        await until(lambda: scene.devices.done == [("move", "untrusted", "work")])

    run(loop, work())


def test_nobody_is_asked_about_what_is_refused_anyway(loop: qasync.QEventLoop, scene: Scene) -> None:
    scene.devices.told = ["a keyboard"]

    async def work() -> None:
        await scene.has()
        [keyboard] = scene.plug(KEYBOARD)
        scene.commands.attach(keyboard, BANK.key)
        await until(lambda: scene.texts)
        assert scene.texts[0].startswith("“bank” is never to get “Logitech USB Keyboard”")
        assert scene.devices.done == []

    run(loop, work())


def test_it_is_safe_to_pull_out_is_said_when_it_is(loop: qasync.QEventLoop, scene: Scene) -> None:
    async def work() -> None:
        await scene.has()
        [stick] = scene.plug(Offered(STICK, (HELD,)))
        scene.commands.detach(stick, HELD)
        await until(lambda: scene.devices.said in scene.texts)
        assert scene.devices.done == [("detach", "untrusted", "sda", False)]

    run(loop, work())


@pytest.mark.parametrize("error", [Refused("“untrusted” still uses sda, at /mnt"), TimedOut("it keeps sda")])
def test_who_still_uses_it_can_be_made_to_let_go(
    loop: qasync.QEventLoop, scene: Scene, error: Refused | TimedOut
) -> None:
    async def work() -> None:
        await scene.has()
        [stick] = scene.plug(Offered(STICK, (HELD,)))
        scene.devices.refusal = error
        scene.commands.detach(stick, HELD)
        await until(lambda: f"{str(error)[:1].upper()}{str(error)[1:]}." in scene.texts)
        buttons = {button.text(): button for button in scene.messages.findChildren(QPushButton)}
        assert {"Try again", "Detach by force…"} <= set(buttons)
        scene.devices.refusal = None
        buttons["Detach by force…"].click()
        box = await shown_box()
        assert "is lost" in box.informativeText()
        press(box, "Detach")
        await until(lambda: scene.devices.done[-1] == ("detach", "untrusted", "sda", True))

    run(loop, work())


def test_force_is_offered_where_it_helps_alone(loop: qasync.QEventLoop, scene: Scene) -> None:
    async def work() -> None:
        await scene.has()
        [camera] = scene.plug(Offered(CAMERA, (Holder(UNTRUSTED, "ua"),)))
        scene.devices.refusal = Refused("not now")
        scene.commands.detach(camera, camera.holders[0])
        await until(lambda: "Not now" in scene.texts)
        assert not any("force" in button.text() for button in scene.messages.findChildren(QPushButton))

    run(loop, work())


def test_a_long_detachment_shows_how_far_it_is_and_can_be_cancelled(loop: qasync.QEventLoop, scene: Scene) -> None:
    cancelled: list[bool] = []

    async def slow(held: object, *, force: bool = False, progress: Progress) -> str:
        progress.step("writes what it has in memory")
        await until(lambda: progress.is_cancelled)
        cancelled.append(True)
        progress.raise_if_cancelled()
        return ""

    async def work() -> None:
        await scene.has()
        [stick] = scene.plug(Offered(STICK, (HELD,)))
        scene.devices.detach = slow  # type: ignore[method-assign,assignment]
        scene.commands.detach(stick, HELD)
        line = "Detaching “SanDisk Ultra” from “untrusted”: writes what it has in memory…"
        await until(lambda: line in scene.texts)
        next(button for button in scene.messages.findChildren(QPushButton) if button.text() == "Cancel").click()
        await until(lambda: "Stopped; nothing was changed" in scene.texts)
        assert cancelled

    run(loop, work())


class Disposables:
    """Makes one, and ends it where its block fails."""

    def __init__(self, scene: Scene) -> None:
        self.scene = scene
        self.said: list[str] = []
        self.key = DomainKey(WORK.key.connection, "disp7")

    @asynccontextmanager
    async def new(self, template: DomainKey, *, progress: Progress) -> AsyncIterator[DomainKey]:
        self.said.append(f"made of {template.uuid}")
        self.scene.services.store.put([replace(guest("disp7"), key=self.key)])
        try:
            yield self.key
        except BaseException:
            self.said.append("ended")
            raise

    async def keep(self, key: DomainKey) -> None:
        self.said.append(f"kept {key.uuid}")


def test_a_new_disposable_gets_it_when_it_runs_and_is_gone_where_that_fails(
    loop: qasync.QEventLoop, scene: Scene
) -> None:
    async def work() -> None:
        await scene.has()
        made = scene.services.__dict__["disposables"] = Disposables(scene)
        [stick] = scene.plug(Offered(STICK, (HELD,)))
        scene.commands.attach_new(stick, VAULT.key, HELD)
        await until(
            lambda: "The disposable “disp7” has “SanDisk Ultra”, and runs until you shut it down." in scene.texts
        )
        assert scene.devices.done == [("detach", "untrusted", "sda", False), ("attach", "disp7", "sdb", {})]
        assert made.said == ["made of vault", "kept disp7"]
        scene.devices.refusal = HostCallFailed("no port is free")
        scene.commands.attach_new(stick, VAULT.key)
        await until(lambda: "No port is free" in scene.texts)
        assert made.said[-1] == "ended"
        [keyboard] = scene.plug(KEYBOARD)
        scene.commands.attach_new(keyboard, BANK.key)
        await until(lambda: any("is never to get" in text for text in scene.texts))
        assert len(made.said) == 4, "none is started for what it would not get"

    run(loop, work())


def test_what_is_assigned_and_taken_back_is_said(loop: qasync.QEventLoop, scene: Scene) -> None:
    async def work() -> None:
        await scene.has()
        scene.commands.assign(STICK, WORK.key, Mode.ASK, port=True, ident=True)
        await until(lambda: scene.texts)
        assert scene.devices.done == [("assign", "work", "usb-2-1", STICK.ident, "ask-to-attach")]
        assert scene.texts == ["“work” is to get it whenever the device comes and you agree: “SanDisk Ultra”."]

    run(loop, work())


def test_an_image_file_is_asked_for_and_offered(loop: qasync.QEventLoop, scene: Scene) -> None:
    chosen: list[str] = []

    async def work() -> None:
        await scene.has()
        scene.commands.add_image(chosen.append)
        [dialog] = [w for w in QApplication.topLevelWidgets() if isinstance(w, QFileDialog) and w.isVisible()]
        dialog.fileSelected.emit("/home/u/disk.img")
        dialog.close()
        assert [one.device.port for listing in scene.watches.listings for one in listing.offered] == [
            "/home/u/disk.img"
        ]
        assert chosen == ["/home/u/disk.img"]

    run(loop, work())


def test_who_wants_it_otherwise_says_how(loop: qasync.QEventLoop, scene: Scene) -> None:
    asked: list[tuple[DomainKey, DiskRequest]] = []

    class Drives:
        async def attach(self, key: DomainKey, request: DiskRequest) -> str:
            asked.append((key, request))
            return "vdb"

    async def work() -> None:
        scene.services.__dict__["block_devices"] = Drives()
        await scene.has()
        [stick] = scene.plug(STICK)
        scene.commands.attach_with_options(stick)

        def shown() -> list[AttachDialog]:
            return [w for w in QApplication.topLevelWidgets() if isinstance(w, AttachDialog) and w.isVisible()]

        await until(shown)
        [dialog] = shown()
        assert not dialog.form.isRowVisible(dialog.format), "what a device has is its bytes"
        dialog.domain.choose(replace(WORK.key))
        dialog.bus.setCurrentIndex(dialog.bus.findData("virtio"))
        dialog.read_only.setChecked(True)
        dialog.accept()
        await until(lambda: scene.texts == ["“work” has “SanDisk Ultra” as vdb."])
        wanted = DiskRequest("/dev/sdb", True, bus="virtio", read_only=True, chosen=identity_of(STICK))
        assert asked == [(WORK.key, wanted)]

    run(loop, work())
