"""What a viewer hears of a Wayland compositor, and may ask of it."""

import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from qubes_manager.backend.viewers.registry_filter import RegistryFilter
from qubes_manager.core.errors import Refused

DISPLAY, REGISTRY = 1, 2
SYNC, GET_REGISTRY, BIND = 0, 1, 0
GLOBAL, GLOBAL_REMOVE = 0, 1


def message(sender: int, kind: int, *arguments: int | str) -> bytes:
    body = b""
    for argument in arguments:
        if isinstance(argument, int):
            body += struct.pack("=I", argument)
        else:
            text = argument.encode() + b"\0"
            body += struct.pack("=I", len(text)) + text + b"\0" * (-len(text) % 4)
    return struct.pack("=II", sender, (8 + len(body)) << 16 | kind) + body


COMPOSITOR = message(REGISTRY, GLOBAL, 1, "wl_compositor", 6)
SCREENCOPY = message(REGISTRY, GLOBAL, 2, "zwlr_screencopy_manager_v1", 3)
CLIPBOARD = message(REGISTRY, GLOBAL, 3, "wl_data_device_manager", 3)
SEAT = message(REGISTRY, GLOBAL, 4, "wl_seat", 8)
TOLD = COMPOSITOR + SCREENCOPY + CLIPBOARD + message(9, GLOBAL, 2, "frame") + SEAT + message(REGISTRY, GLOBAL_REMOVE, 3)


def talk() -> RegistryFilter:
    rules = RegistryFilter()
    rules.check(message(DISPLAY, SYNC, 3) + message(DISPLAY, GET_REGISTRY, REGISTRY))
    return rules


@given(cuts=st.lists(st.integers(0, len(TOLD)), max_size=9).map(sorted))
def test_what_is_not_on_the_list_is_not_heard_of_however_it_arrives(cuts: list[int]) -> None:
    rules = talk()
    pieces = [TOLD[a:b] for a, b in zip([0, *cuts], [*cuts, len(TOLD)], strict=True)]
    assert b"".join(map(rules.admit, pieces)) == COMPOSITOR + message(9, GLOBAL, 2, "frame") + SEAT


def test_what_was_offered_is_had() -> None:
    rules = talk()
    rules.admit(TOLD)
    rules.check(message(REGISTRY, BIND, 4, "wl_seat", 8, 5) + message(5, 0, 6))
    # It may be gone by the time that the viewer asks: the compositor knows what to say then.
    assert rules.admit(message(REGISTRY, GLOBAL_REMOVE, 4)) == message(REGISTRY, GLOBAL_REMOVE, 4)
    rules.check(message(REGISTRY, BIND, 4, "wl_seat", 8, 7))


@pytest.mark.parametrize(
    "asked",
    [
        pytest.param(message(REGISTRY, BIND, 2, "zwlr_screencopy_manager_v1", 3, 5), id="by_its_number"),
        pytest.param(message(REGISTRY, BIND, 2, "wl_seat", 8, 5), id="by_another_name"),
        pytest.param(message(REGISTRY, BIND, 77, "wl_seat", 8, 5), id="by_a_guess"),
        pytest.param(message(DISPLAY, GET_REGISTRY, 8) + message(8, BIND, 2, "wl_seat", 8, 5), id="another_registry"),
        pytest.param(struct.pack("=II", REGISTRY, 8 << 16), id="without_a_number"),
        pytest.param(struct.pack("=II", 5, 4 << 16), id="too_short_to_be_a_message"),
        pytest.param(b"".join(message(DISPLAY, GET_REGISTRY, n) for n in range(10, 30)), id="endless_registries"),
    ],
)
@pytest.mark.parametrize("split", [0, 5, 11])
def test_reaching_for_anything_else_is_refused(asked: bytes, split: int) -> None:
    rules = talk()
    rules.admit(TOLD)
    with pytest.raises(Refused):
        for piece in (asked[:split], asked[split:]):
            rules.check(piece)
