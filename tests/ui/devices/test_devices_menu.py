"""Devices in the tray, in menus and in the row of a domain."""

from dataclasses import replace

import qasync

from qubes_manager.services.devices.kind import Holder, Offered
from qubes_manager.ui.devices.devices_menu import DevicesMenu, DomainDevicesMenu
from tests.device_samples import (
    BANK,
    CAMERA,
    CARD,
    HELD,
    KEYBOARD,
    PART,
    STICK,
    SYSTEM,
    URI,
    USB_STICK,
    VAULT,
    WORK,
)
from tests.ui.conftest import run
from tests.ui.devices.conftest import Scene, below, opened
from tests.waiting import until


def test_the_tray_groups_them_by_kind_and_marks_what_is_new_or_given(loop: qasync.QEventLoop, scene: Scene) -> None:
    async def work() -> None:
        await scene.has()
        menu = DevicesMenu(scene.parent, scene.model, scene.menus, scene.page_action)
        assert list(opened(menu)) == ["[Nothing is plugged in]", "All devices"]
        scene.plug(STICK, PART, USB_STICK, Offered(CAMERA, (HELD,)), CARD, new=(STICK,))
        actions = opened(menu)
        assert list(actions) == [
            "[Drives]",
            "NEW “SanDisk Ultra” (28.7 GiB, USB drive)",
            "[USB devices]",
            "“Chicony Camera” (camera, 04f2:b5a7) — untrusted",
            "All devices",
        ]
        bold = [text for text, action in actions.items() if action.font().bold()]
        assert bold == ["“Chicony Camera” (camera, 04f2:b5a7) — untrusted"]
        stick = below(actions, "NEW “SanDisk Ultra” (28.7 GiB, USB drive)")
        assert list(stick)[-2:] == [
            "Partition 1 “HOLIDAY” (28.7 GiB, vfat)",
            "The whole USB device (USB drive, 0781:5581)",
        ]
        whole = below(stick, "The whole USB device (USB drive, 0781:5581)")
        below(whole, "Attach to")["work"].trigger()
        await until(lambda: scene.devices.done == [("attach", "work", "2-1", {})])
        scene.plug()
        assert list(below(actions, "NEW “SanDisk Ultra” (28.7 GiB, USB drive)")) == ["[It is not there any more]"]

    run(loop, work())


def test_menus_that_are_cut_say_how_many_more_there_are(loop: qasync.QEventLoop, scene: Scene) -> None:
    cameras = [replace(CAMERA, port=f"1-{n}", product=f"Camera {n}") for n in range(40)]

    async def work() -> None:
        await scene.has()
        scene.plug(*cameras)
        listed = DevicesMenu(scene.parent, scene.model, scene.menus, scene.page_action)
        giving = DomainDevicesMenu(scene.parent, scene.model, scene.commands, lambda: [WORK], scene.page_action)
        for menu in (listed, giving):
            assert list(opened(menu))[-2] == "[10 more on the Devices page]"

    run(loop, work())


def test_the_row_of_a_domain_offers_what_is_free_and_what_it_has(loop: qasync.QEventLoop, scene: Scene) -> None:
    chosen = [WORK]

    async def work() -> None:
        await scene.has()
        menu = DomainDevicesMenu(scene.parent, scene.model, scene.commands, lambda: chosen, scene.page_action)
        scene.plug(SYSTEM, Offered(STICK, (HELD,)), Offered(CAMERA, (Holder(WORK, "ua"),)), KEYBOARD, CARD)
        assert list(opened(menu)) == [
            "Detach “Chicony Camera” (camera, 04f2:b5a7)",
            "“Logitech USB Keyboard” (keyboard, 046d:c31c)",
            "All devices",
        ]
        opened(menu)["“Logitech USB Keyboard” (keyboard, 046d:c31c)"].trigger()
        opened(menu)["Detach “Chicony Camera” (camera, 04f2:b5a7)"].trigger()
        await until(lambda: len(scene.devices.done) == 2)
        assert scene.devices.done == [("attach", "work", "1-4", {}), ("detach", "work", "ua", False)]
        chosen[:] = [BANK]
        denied = "“Logitech USB Keyboard” (keyboard, 046d:c31c): never gets such devices (devices_denied has u03****)"
        assert list(opened(menu)) == [f"[{denied}]", "All devices"]
        chosen[:] = [VAULT]
        assert list(opened(menu)) == ["[It does not run; start it first]", "All devices"]
        chosen[:] = [WORK, BANK]
        assert list(opened(menu)) == ["[Choose one domain]", "All devices"]
        assert URI in scene.watches.uris_of("")

    run(loop, work())
