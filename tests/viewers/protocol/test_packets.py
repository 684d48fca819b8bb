"""Packets are values, and each has a place in one of the two unions."""

import inspect
from dataclasses import FrozenInstanceError, is_dataclass
from typing import get_args

import pytest

from qubes_manager.viewers.protocol import packets


def test_every_packet_goes_one_way_or_is_a_part_of_one() -> None:
    parts = {
        packets.Box,
        packets.SizeConstraints,
        packets.Metadata,
        packets.KeyboardLayout,
        packets.WindowState,
    }
    from_guest, to_guest = set(get_args(packets.FromGuest)), set(get_args(packets.ToGuest))
    named = {kind for _name, kind in inspect.getmembers(packets, is_dataclass) if isinstance(kind, type)}
    assert not from_guest & to_guest
    assert named == from_guest | to_guest | parts


def test_a_packet_that_was_judged_stays_as_it_was() -> None:
    packet = packets.LostWindow(1)
    with pytest.raises(FrozenInstanceError):
        packet.wid = 2  # type: ignore[misc]


def test_a_pixel_takes_as_many_bytes_as_its_format_has_letters() -> None:
    for pixel_format in packets.PixelFormat:
        assert pixel_format.bytes_per_pixel == len(pixel_format.value)
