"""Devices that a domain is to have: which they mean, which of several holds, and what cannot be."""

import re
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from qubes_manager.core.devices.assignment import (
    Assignment,
    Mode,
    assignment_for,
    missing,
    parse_options,
    with_assignment,
    without_assignments,
)
from qubes_manager.core.devices.identity import ANY, DeviceClass
from qubes_manager.core.errors import BadInput, NotFound, Refused
from tests.device_samples import CAMERA, CARD, KEYBOARD, MICROPHONE, PART, STICK

BLOCK, USB, PCI, MIC = DeviceClass.BLOCK, DeviceClass.USB, DeviceClass.PCI, DeviceClass.MIC
EXACT = Assignment(BLOCK, "usb-2-1", STICK.ident)
BY_PORT = Assignment(BLOCK, "usb-2-1", ANY)
BY_IDENT = Assignment(BLOCK, ANY, STICK.ident)


def test_a_device_is_known_by_its_place_by_what_it_is_or_by_both() -> None:
    moved, other = replace(STICK, place="usb-9-9"), replace(STICK, serial="another")
    fitting = [[one.fits(device) for one in (EXACT, BY_PORT, BY_IDENT)] for device in (STICK, moved, other, PART)]
    assert fitting == [[True] * 3, [False, False, True], [False, True, False], [False] * 3]


def test_the_place_that_stays_counts_and_not_the_kernels_name() -> None:
    assert not Assignment(BLOCK, "sdb", ANY).fits(STICK)
    assert BY_PORT.fits(replace(STICK, path="/dev/sdx"))


def test_another_class_never_fits() -> None:
    for klass in (USB, PCI, MIC):
        assert not any(replace(one, klass=klass).fits(STICK) for one in (EXACT, BY_PORT, BY_IDENT))


def test_what_says_nothing_of_itself_is_known_by_its_port_alone() -> None:
    silent = replace(STICK, vendor="", model="", serial="")
    assert silent.ident == ""
    assert BY_PORT.fits(silent)
    assert not EXACT.fits(silent)
    # Nor is one that says nothing whatever is meant by no ident at all.
    assert not Assignment(BLOCK, ANY, "").fits(silent)
    assert not Assignment(BLOCK, "usb-2-1", "").fits(silent)


@given(st.permutations((EXACT, BY_PORT, BY_IDENT)), st.integers(1, 3))
def test_of_several_the_one_that_says_most_holds_then_that_of_the_port(order: list[Assignment], count: int) -> None:
    some = order[:count]
    first = next(one for one in (EXACT, BY_PORT, BY_IDENT) if one in some)
    assert assignment_for(some, STICK) == first


def test_one_that_does_not_fit_does_not_hold() -> None:
    other = replace(EXACT, ident="other", mode=Mode.REQUIRED)
    assert assignment_for([other, BY_IDENT], STICK) == BY_IDENT
    assert assignment_for([other], STICK) is None
    assert assignment_for([], STICK) is None


@pytest.mark.parametrize("klass", [USB, MIC])
def test_what_people_plug_in_keeps_no_domain_from_its_start(klass: DeviceClass) -> None:
    with pytest.raises(Refused, match=f"no domain can require a {klass} device: block and pci devices only"):
        Assignment(klass, "x", ANY, Mode.REQUIRED).check()
    for mode in (Mode.AUTO, Mode.ASK):
        Assignment(klass, "x", ANY, mode).check()


@pytest.mark.parametrize("mode", [Mode.AUTO, Mode.ASK])
def test_a_pci_device_comes_with_the_start(mode: Mode) -> None:
    with pytest.raises(Refused, match="comes with the start of its domain or not at all: assign it as required"):
        Assignment(PCI, "x", ANY, mode).check()
    Assignment(PCI, "x", ANY, Mode.REQUIRED).check()


@pytest.mark.parametrize("klass", DeviceClass)
@pytest.mark.parametrize("mode", Mode)
def test_all_devices_are_assigned_to_nobody(klass: DeviceClass, mode: Mode) -> None:
    with pytest.raises(BadInput, match=re.escape("device: 'dom0:*:*' cannot be used; the port or the ident may be *")):
        Assignment(klass, ANY, ANY, mode).check()


words = st.sampled_from(("a", "b", ANY))
some_assignments = st.builds(
    Assignment, st.sampled_from(DeviceClass), words, words, st.sampled_from(Mode), st.just(()) | st.just((("o", "1"),))
)


@given(st.lists(some_assignments, max_size=8))
def test_there_is_one_for_each_device_and_the_last_one_is_it(added: list[Assignment]) -> None:
    present: tuple[Assignment, ...] = ()
    for one in added:
        present = with_assignment(present, one)
    assert set(present) == set({(one.klass, one.name): one for one in added}.values())
    assert len({(one.klass, one.name) for one in present}) == len(present)
    again: tuple[Assignment, ...] = ()
    for one in sorted(present, key=repr):
        again = with_assignment(again, one)
    # The order is the same, whatever came first.
    assert again == present
    assert with_assignment(present, present[-1]) == present if present else True


@given(st.lists(some_assignments, max_size=6, unique_by=lambda one: (one.klass, one.name)), some_assignments)
def test_what_is_taken_away_was_there(present: list[Assignment], one: Assignment) -> None:
    rest = [other for other in present if other != one]
    if one in present:
        assert without_assignments(present, [one]) == tuple(rest)
        assert without_assignments(present, (other for other in [one])) == tuple(rest)
    else:
        with pytest.raises(NotFound, match="is not assigned"):
            without_assignments(present, [*present, one])
    assert without_assignments(present, present) == ()


def test_what_is_required_and_not_there_is_told() -> None:
    required = [replace(EXACT, mode=Mode.REQUIRED), Assignment(BLOCK, "usb-7", ANY, Mode.REQUIRED)]
    assert missing([*required, BY_PORT, Assignment(BLOCK, "usb-8", ANY, Mode.ASK)], [STICK, PART]) == required[1:]
    assert missing(required, iter([STICK, PART])) == required[1:]
    assert missing(required, []) == required
    assert missing(iter(()), [STICK]) == []


def test_all_kinds_of_devices_can_be_assigned() -> None:
    for device in (STICK, PART, CAMERA, KEYBOARD, CARD, MICROPHONE):
        assert Assignment(device.klass, device.location, ANY).fits(device)
        if device.ident:
            assert Assignment(device.klass, ANY, device.ident).fits(device)
            assert Assignment(device.klass, device.location, device.ident).fits(device)


names = st.from_regex(r"[a-z][a-z-]{0,30}", fullmatch=True)
values = st.from_regex(r"[A-Za-z0-9_.+-]{0,64}", fullmatch=True)


@given(st.dictionaries(names, values))
def test_options_are_read_as_they_are_written(options: dict[str, str]) -> None:
    assert parse_options(f"{name}={value}" for name, value in options.items()) == tuple(sorted(options.items()))


def test_the_last_of_one_name_counts() -> None:
    assert parse_options(["bus=usb", "read-only=no", "bus=scsi"]) == (("bus", "scsi"), ("read-only", "no"))
    assert parse_options([]) == ()


@pytest.mark.parametrize(
    "entry",
    [
        "",
        "bus",
        "=x",
        "Bus=x",
        "-bus=x",
        "bus=a b",
        "bus=a,b",
        "bus=$(reboot)",
        "bus=x\n",
        "bus=\u202ex",
        "bus=\x1b[31m",
        "bus==",
        f"{'b' * 32}=x",
        f"bus={'x' * 65}",
        f"bus={'x' * (1 << 20)}",
        "x" * (1 << 20),
    ],
)
def test_an_option_that_is_none_is_refused_in_one_short_line(entry: str) -> None:
    with pytest.raises(BadInput, match=r"option: .* cannot be used; use NAME=VALUE") as caught:
        parse_options(["read-only=yes", entry])
    assert len(str(caught.value)) < 300
    assert "\x1b" not in str(caught.value)
