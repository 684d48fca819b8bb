"""Who can have a device, and why others cannot."""

from dataclasses import replace

import pytest

from qubes_manager.core.devices.assignment import Assignment, Mode
from qubes_manager.core.devices.device import Device
from qubes_manager.core.devices.identity import ANY, DeviceClass
from qubes_manager.core.domain import HOST_UUID, INTERNAL, DomainKey
from qubes_manager.models.device_tree import Entry, Listing, make_sections
from qubes_manager.services.devices.kind import Holder, Offered
from qubes_manager.ui.devices.giving import default_options, drive_of, is_disc, modes_for, refusal, targets, why_not
from tests.device_samples import (
    BANK,
    CAMERA,
    CARD,
    DISC,
    HELD,
    ISO,
    KEYBOARD,
    MICROPHONE,
    PART,
    STICK,
    SYSTEM,
    UNTRUSTED,
    URI,
    USB_STICK,
    VAULT,
    WORK,
    guest,
)

DOMAINS = [WORK, UNTRUSTED, BANK, VAULT]


def rows(*devices: Device | Offered) -> list[Entry]:
    offered = tuple(one if isinstance(one, Offered) else Offered(one) for one in devices)
    return [entry for section in make_sections([Listing(URI, offered)]) for entry in section.entries]


def reasons(entry: Entry, moving: Holder | None = None) -> dict[str, str]:
    return {target.domain.name: target.reason for target in targets(entry, DOMAINS, moving=moving)}


def test_a_free_drive_can_go_to_whoever_runs() -> None:
    [stick] = rows(STICK)
    assert reasons(stick) == {"bank": "", "untrusted": "", "work": ""}
    assert why_not(stick, VAULT) == "does not run"


def test_what_is_on_another_machine_gets_nothing_of_this_one() -> None:
    far = replace(guest("far"), key=DomainKey("qemu+ssh://far.example/system", "far"))
    here = replace(guest("here"), key=DomainKey("qemu:///system", "here"))
    [stick] = rows(STICK)
    assert (why_not(stick, far), why_not(stick, here)) == ("is on another machine", "")
    assert refusal(stick, far) == "“far” is on another machine"
    [system] = rows(SYSTEM)
    assert refusal(system, WORK) == "“Samsung SSD”: dom0 uses it: mounted at /"


def test_who_never_gets_such_devices_is_there_with_the_reason() -> None:
    [keyboard] = rows(KEYBOARD)
    assert reasons(keyboard) == {
        "bank": "never gets such devices (devices_denied has u03****)",
        "untrusted": "",
        "work": "",
    }


def test_neither_the_host_nor_what_is_nobody_s_gets_anything() -> None:
    host = replace(guest("dom0"), key=DomainKey(URI, HOST_UUID))
    ready = guest("disp1", features=((INTERNAL, "1"),))
    assert targets(rows(STICK)[0], [host, ready, replace(WORK, stale=True)]) == []


def test_those_it_is_assigned_to_come_first() -> None:
    assigned = Assignment(DeviceClass.BLOCK, ANY, STICK.ident)
    wanted = guest("zoo", assignments=(assigned,))
    found = targets(rows(STICK)[0], [*DOMAINS, wanted])
    assert [target.domain.name for target in found] == ["zoo", "bank", "untrusted", "work"]


@pytest.mark.parametrize(
    ("devices", "reason"),
    [
        ((SYSTEM,), "dom0 uses it: mounted at /"),
        ((replace(DISC, media=False),), "there is nothing in it"),
        ((Offered(STICK, (HELD,)),), "“untrusted” has it"),
        ((STICK, Offered(PART, (HELD,))), "“untrusted” has a part of it"),
    ],
)
def test_what_somebody_uses_can_go_to_nobody(devices: tuple[Device | Offered, ...], reason: str) -> None:
    [entry] = rows(*devices)
    assert why_not(entry, WORK) == reason


def test_what_belongs_to_something_that_is_given_goes_with_it() -> None:
    [stick] = rows(Offered(STICK, (HELD,)), PART, USB_STICK)
    assert [why_not(part, WORK) for part in stick.parts] == ["“untrusted” has what it belongs to"] * 2
    assert why_not(stick, UNTRUSTED) == "has it"


def test_a_device_that_is_moved_can_go_to_all_others() -> None:
    [stick] = rows(Offered(STICK, (HELD,)))
    assert reasons(stick, moving=HELD) == {"bank": "", "work": ""}


def test_a_microphone_can_be_several_domains_and_a_card_waits_for_a_start() -> None:
    microphone, card = rows(Offered(MICROPHONE, (Holder(UNTRUSTED, "mic"),)), CARD)[::-1]
    assert reasons(microphone) == {"bank": "", "work": ""}
    assert reasons(card) == {"vault": ""}
    assert why_not(card, WORK) == "runs: it gets PCI devices at its start"


def test_what_can_be_assigned_how() -> None:
    assert modes_for(CARD) == (Mode.REQUIRED,)
    assert modes_for(STICK) == tuple(Mode)
    assert Mode.REQUIRED not in modes_for(CAMERA)


def test_discs_and_images_go_into_drives_and_an_image_has_the_format_of_its_name() -> None:
    assert [is_disc(one) for one in (DISC, ISO, STICK, replace(DISC, media=False), CAMERA)] == [
        True,
        True,
        False,
        False,
        False,
    ]
    assert default_options(ISO) == {"format": "raw"}
    assert default_options(replace(ISO, path="/x/Disk.QCOW2")) == {"format": "qcow2"}
    assert default_options(STICK) == {}
    assert drive_of(HELD) is None
