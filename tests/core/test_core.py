"""The rules of the core."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from qubes_manager.core.devices import (
    BlockDevice,
    DiskRequest,
    free_target,
    holders,
    refuse_if_held,
    refuse_if_host_uses,
)
from qubes_manager.core.domain import Activity, Disk, Domain, DomainConfig, DomainKey, DomainState
from qubes_manager.core.errors import BadInput, Refused
from qubes_manager.core.names import check_name
from qubes_manager.core.operations import OPERATIONS, Risk
from qubes_manager.core.settings import Settings, parse_settings
from qubes_manager.core.sizes import format_size, parse_size
from qubes_manager.core.text import make_visible, one_line, strip_escapes


def domain(name: str = "work", **changes: object) -> Domain:
    return replace(Domain(DomainKey("test:///x", name), name, DomainState.RUNNING, config=DomainConfig()), **changes)


@pytest.mark.parametrize("name", ["a", "Work", "my-vm_2.test", "x" * 31])
def test_good_names_pass(name: str) -> None:
    assert check_name(name) == name


@pytest.mark.parametrize("name", ["", "1a", "-a", "a b", "ä", "x" * 32, "dom0", "DOM0", "none", "a/b", "a\n", "../x"])
def test_bad_names_are_refused_with_what_is_allowed(name: str) -> None:
    with pytest.raises(BadInput, match=r"name: .* cannot be used; "):
        check_name(name)


@pytest.mark.parametrize(
    ("text", "count"), [("10", 10), ("2K", 2048), ("1.5G", None), ("3 MiB", 3 << 20), ("1t", 1 << 40)]
)
def test_sizes_are_read(text: str, count: int | None) -> None:
    if count is None:
        with pytest.raises(BadInput, match="give bytes, or a number with K, M, G or T"):
            parse_size(text)
    else:
        assert parse_size(text) == count


@given(st.integers(0, 1 << 60))
def test_sizes_in_words_are_near_the_truth(count: int) -> None:
    number, unit = format_size(count).split()
    factor = {"B": 1, "KiB": 1 << 10, "MiB": 1 << 20, "GiB": 1 << 30, "TiB": 1 << 40}[unit]
    assert abs(float(number) * factor - count) <= max(0.051 * factor, 0.006 * count)


@given(st.text())
def test_stripped_text_has_nothing_that_does_not_print(text: str) -> None:
    assert all(c.isprintable() or c in "\n\t" for c in strip_escapes(text))
    assert "\x1b" not in strip_escapes(text)
    assert "\n" not in one_line(text)
    assert len(one_line(text)) <= 200


def test_escape_sequences_go_whole() -> None:
    assert strip_escapes("a\x1b[31mred\x1b[0m\x1b]0;title\x07b\x1b]8;;http://x\x1b\\c") == "aredbc"
    assert strip_escapes("evil\u202egnp.exe") == "evilgnp.exe"


@given(st.binary(max_size=300))
def test_visible_logs_lose_nothing_and_print_everything(data: bytes) -> None:
    text = make_visible(data)
    assert all(c.isprintable() or c in "\n\t" for c in text)
    if data.isascii() and all(32 <= b < 127 for b in data):
        assert text == data.decode()


def test_hostile_bytes_are_written_out() -> None:
    assert make_visible(b"a\x1b[31m\xff\x00\r\nb") == "a\\x1b[31m\\xff\\x00\nb"


def test_every_operation_that_loses_data_says_what_is_lost() -> None:
    assert OPERATIONS["kill"].sentence([domain()]) == "Kill “work”? Its unsaved work is lost."
    three = [domain(name) for name in ("a", "b", "c")]
    assert OPERATIONS["kill"].sentence(three) == "Kill 3 domains (“a”, “b”, “c”)? Their unsaved work is lost."
    assert all(op.consequence for op in OPERATIONS.values() if op.risk is Risk.DATA)


@pytest.mark.parametrize(
    ("state", "allowed"),
    [
        (DomainState.RUNNING, {"pause", "shutdown", "restart", "kill", "run"}),
        (DomainState.PAUSED, {"start", "kill"}),
        (DomainState.HALTED, {"start", "delete", "rename"}),
        (DomainState.CRASHED, {"start", "delete", "rename"}),
        (DomainState.HALTING, {"kill"}),
    ],
)
def test_operations_apply_only_where_they_can(state: DomainState, allowed: set[str]) -> None:
    power = {"start", "pause", "shutdown", "restart", "kill", "run", "delete", "rename"}
    found = {name for name in power if OPERATIONS[name].applies(domain(state=state))}
    assert found == allowed


def test_nothing_but_logs_can_be_done_to_the_host_and_nothing_to_a_stale_row() -> None:
    host = Domain(DomainKey("x", "00000000-0000-0000-0000-000000000000"), "dom0", DomainState.RUNNING)
    assert not [op.id for op in OPERATIONS.values() if op.applies(host)]
    assert [op.id for op in OPERATIONS.values() if op.applies(domain(stale=True))] == ["logs"]


def test_a_domain_that_is_shutting_down_can_still_be_killed() -> None:
    busy = domain(activity=Activity.HALTING)
    assert OPERATIONS["kill"].applies(busy)
    assert not OPERATIONS["pause"].applies(busy)


def test_a_device_in_use_is_refused_by_the_name_of_who_has_it() -> None:
    disk = Disk("sda", source="/dev/sdb")
    other = domain("personal", config=DomainConfig(disks=(disk,)))
    held = holders([domain(), other], ["/dev/sdb"])
    with pytest.raises(Refused, match="“personal” uses /dev/sdb"):
        refuse_if_held(held, domain(), "/dev/sdb", read_only=False)
    with pytest.raises(Refused, match="“personal” has /dev/sdb already, as sda"):
        refuse_if_held(held, other, "/dev/sdb", read_only=False)
    with pytest.raises(Refused, match="dom0 uses /dev/sda: mounted at /home"):
        refuse_if_host_uses(BlockDevice("/dev/sda", in_use="mounted at /home"))


def test_targets_are_found_and_checked() -> None:
    assert free_target({"sda", "vda"}, "usb") == "sdb"
    assert free_target({"sda", "vda"}, "virtio") == "vdb"
    with pytest.raises(BadInput, match="bus: 'ide' cannot be used; use one of virtio, usb, scsi"):
        DiskRequest("/x", False, bus="ide").check()
    with pytest.raises(BadInput, match="frontend device"):
        DiskRequest("/x", False, bus="usb", target="vdb").check()


def test_a_device_cannot_spoil_its_description() -> None:
    device = BlockDevice("/dev/sdb", vendor="\x1b[31mEvil", model="USB\nStick", size=1 << 30, removable=True)
    assert device.description == "Evil USB Stick (1.0 GiB, removable)"


@pytest.mark.parametrize(
    ("data", "part"),
    [
        ([], "the file must hold a mapping"),
        ({"colour": 1}, "'colour' cannot be used; use only appearance"),
        ({"appearance": "loud"}, "use one of system, light, dark"),
        ({"window_width": True}, "window_width"),
        ({"window_width": 5}, "give 100 to 20000 pixels"),
        ({"connections": "x"}, "give a list"),
        ({"columns": [{"id": "name"}]}, "each entry has id, width and visible"),
    ],
)
def test_bad_settings_name_the_key_and_what_is_allowed(data: object, part: str) -> None:
    with pytest.raises(BadInput, match=part):
        parse_settings(data)


def test_no_settings_are_the_defaults() -> None:
    assert parse_settings(None) == Settings()
