"""What is said on the desktop of devices: once for each thing, and nothing of what people did themselves."""

import asyncio
from collections.abc import Sequence
from dataclasses import replace

import pytest

from qubes_manager.core.background import Background
from qubes_manager.core.devices.device import Device
from qubes_manager.core.hardware import Disk
from qubes_manager.services.devices import notices
from qubes_manager.services.devices.kind import Holder, Offered
from qubes_manager.services.devices.notices import DeviceNotices, came_words, words_for
from qubes_manager.services.devices.watch import DeviceNews
from tests.device_samples import (
    CAMERA,
    HELD,
    ISO,
    KEYBOARD,
    PART,
    STICK,
    SYSTEM,
    UNTRUSTED,
    URI,
    USB_STICK,
    WORK,
    guest,
)

OTHER = "qemu:///system"


class Desktop:
    """Hears of devices, and notes what is shown; *now* is its clock."""

    def __init__(self) -> None:
        self.now = 1000.0
        self.shown: list[tuple[str, str, str]] = []
        self.background = Background()
        self.notices = DeviceNotices(self.background.spawn, self.show, lambda: self.now)
        self._before: dict[str, list[Offered]] = {}

    def show(self, title: str, text: str, *, replaces: str = "") -> str:
        self.shown.append((title, text, replaces))
        return f"notice-{len(self.shown)}"

    async def has(self, *devices: Device | Offered, uri: str = URI, again: Sequence[Device] = ()) -> None:
        """Let a host have these now, as a watch tells it."""
        offered = [one if isinstance(one, Offered) else Offered(one) for one in devices]
        before, now = [one.device for one in self._before.get(uri, ())], [one.device for one in offered]
        came = tuple(one for one in now if one not in before and one not in again and uri in self._before)
        went = tuple(one for one in before if one not in now)
        self._before[uri] = offered
        self.notices.hear(uri, DeviceNews(tuple(offered), came, tuple(again), went))
        while self.background.running:
            await asyncio.sleep(0.001)

    @property
    def texts(self) -> list[str]:
        return [text for _title, text, _replaces in self.shown]


@pytest.fixture
def desktop(monkeypatch: pytest.MonkeyPatch) -> Desktop:
    monkeypatch.setattr(notices, "SETTLING", 0.01)
    return Desktop()


async def test_a_stick_is_told_of_once_though_it_is_three_devices(desktop: Desktop) -> None:
    await desktop.has(SYSTEM)
    assert desktop.shown == [], "what was there already is no news"
    await desktop.has(SYSTEM, STICK, PART, USB_STICK)
    assert desktop.shown == [
        (
            "A device was plugged in",
            "“SanDisk Ultra” (28.7 GiB USB drive) is here. Nothing has opened it; give it to a domain from Devices.",
            "",
        )
    ]


async def test_a_drive_that_is_found_later_is_told_in_the_same_notice(desktop: Desktop) -> None:
    await desktop.has(SYSTEM)
    await desktop.has(SYSTEM, USB_STICK)
    await desktop.has(SYSTEM, USB_STICK, STICK)
    assert [text.partition(" is here")[0] for text in desktop.texts] == [
        "“SanDisk Ultra” (USB drive)",
        "“SanDisk Ultra” (28.7 GiB USB drive)",
    ]
    assert [replaces for *_rest, replaces in desktop.shown] == ["", "notice-1"]


async def test_a_stick_that_is_found_within_a_moment_is_told_of_with_its_size(desktop: Desktop) -> None:
    await desktop.has(SYSTEM)
    first = asyncio.ensure_future(desktop.has(SYSTEM, USB_STICK))
    await asyncio.sleep(0)
    await desktop.has(SYSTEM, USB_STICK, STICK, PART)
    await first
    assert [text.partition(" is here")[0] for text in desktop.texts] == ["“SanDisk Ultra” (28.7 GiB USB drive)"]


async def test_connections_of_one_machine_tell_of_a_thing_once(desktop: Desktop) -> None:
    for uri in (URI, OTHER):
        await desktop.has(uri=uri)
    for uri in (URI, OTHER):
        await desktop.has(CAMERA, uri=uri)
    assert len(desktop.shown) == 1
    held = Holder(WORK, "ua")
    for uri in (URI, OTHER):
        await desktop.has(Offered(CAMERA, (held,)), uri=uri)
    for uri in (URI, OTHER):
        await desktop.has(uri=uri)
    assert desktop.texts[1:] == ["“Chicony Camera” (camera) was taken out while “work” had it."]


async def test_who_plugs_in_what_types_is_named_as_such(desktop: Desktop) -> None:
    await desktop.has()
    await desktop.has(KEYBOARD)
    assert desktop.shown == [
        ("A keyboard was plugged in", "“Logitech USB Keyboard”; if you did not do that, pull it out.", "")
    ]
    tablet = replace(KEYBOARD, product="Pad", interfaces=("u030000",), port="1-9")
    assert came_words([Offered(tablet)])[0] == "An input device was plugged in"
    # A headset with buttons, and a “camera” that types.
    typing = replace(CAMERA, interfaces=(*CAMERA.interfaces, "u030000"))
    assert came_words([Offered(typing)])[1].endswith("if you did not expect that, pull it out.")


async def test_what_was_done_with_it_meanwhile_is_said(desktop: Desktop) -> None:
    mounted = replace(STICK, in_use="mounted at /media/u/HOLIDAY")
    assert "Nothing has opened it" not in came_words([Offered(mounted)])[1]
    assert came_words([Offered(mounted)])[1].endswith("dom0 uses it: mounted at /media/u/HOLIDAY.")
    assert came_words([Offered(STICK), Offered(USB_STICK, (HELD,))])[1].endswith("“untrusted” has it.")


async def test_what_comes_back_from_a_domain_was_here_all_the_time(desktop: Desktop) -> None:
    await desktop.has(Offered(USB_STICK, (HELD,)))
    desktop.now += 3600
    await desktop.has(USB_STICK, STICK)
    await desktop.has(USB_STICK)
    assert desktop.shown == []


async def test_only_what_a_running_domain_loses_is_told_of_when_it_goes(desktop: Desktop) -> None:
    halted = Holder(replace(UNTRUSTED, state=guest("x").state.HALTED), "sda")
    for holders in ((), (halted,)):
        await desktop.has(Offered(STICK, holders), USB_STICK)
        await desktop.has()
    # Given away as a whole: the drive is gone from this machine, and the stick is not.
    await desktop.has(Offered(STICK, (HELD,)), USB_STICK)
    await desktop.has(USB_STICK)
    shown = [text for text in desktop.texts if "taken out" in text]
    assert shown == []
    desktop.now += 3600
    await desktop.has(Offered(STICK, (HELD,)), PART, USB_STICK)
    await desktop.has()
    shown = [text for text in desktop.texts if "taken out" in text]
    assert shown == ["“SanDisk Ultra” (28.7 GiB USB drive) was taken out while “untrusted” had it."]


async def test_who_serves_a_drive_tells_himself_that_it_went(desktop: Desktop) -> None:
    served = guest("served", disks=(Disk("sda", "usb", source="/dev/sdb", socket="/run/x/devices/y/socket"),))
    await desktop.has(Offered(STICK, (Holder(served, "sda"),)))
    await desktop.has()
    assert desktop.shown == []


async def test_an_image_file_and_what_flaps_is_no_news(desktop: Desktop) -> None:
    await desktop.has()
    await desktop.has(ISO)
    await desktop.has(ISO, CAMERA, again=[CAMERA])
    assert desktop.shown == []


async def test_who_calls_himself_something_else_each_time_fills_no_memory(desktop: Desktop) -> None:
    await desktop.has()
    for number in range(300):
        await desktop.has(replace(CAMERA, port=f"1-{number}"))
    assert len(desktop.notices._told) <= 200


async def test_names_are_in_quotation_marks_and_bounded() -> None:
    evil = replace(STICK, vendor="x\x1b[31m\n" * 999, model="y" * 999)
    kind, name = words_for([evil])
    assert kind == "USB drive" and name.isprintable() and len(name) < 120
    nameless = replace(STICK, vendor="", model="")
    assert words_for([nameless])[1] == "disk (28.7 GiB USB drive)"
