"""What is said around an archive."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from qubes_manager.core.crossing.file_messages import (
    Changed,
    Failure,
    FileMessage,
    Go,
    Offer,
    Page,
    Pages,
    Stored,
    parse_file_message,
)
from qubes_manager.core.json_lines import BadMessage


@pytest.mark.parametrize(
    "message",
    [
        Offer(1 << 40, 12),
        Go(),
        Stored("ab" * 32, 1, 2),
        Failure("the disk is full"),
        Changed("a/\udcff\n"),
        Pages(3),
        Page(2, 1),
    ],
    ids=lambda message: type(message).__name__,
)
def test_each_message_says_what_it_is(message: FileMessage) -> None:
    assert parse_file_message(message.to_json().encode()) == message


def test_a_reason_is_one_safe_line() -> None:
    said = parse_file_message(Failure("\x1b[31mgone\nfor good" + "x" * 1000).to_json().encode())
    assert isinstance(said, Failure)
    assert said.reason.startswith("gone for good")
    assert len(said.reason) <= 400


@given(st.binary(max_size=300))
def test_anything_else_is_no_message(line: bytes) -> None:
    with pytest.raises(BadMessage):
        parse_file_message(line)


@pytest.mark.parametrize(
    "line",
    [b'{"type": "offer", "size": -1, "count": 0}', b'{"type": "offer", "size": 1}', b'{"type": "call"}', b"{}"]
    + [b'{"type": "page", "width": %d, "height": %d}' % size for size in ((0, 1), (20_001, 1), (10_000, 4001))],
    ids=range(7),
)
def test_what_has_other_fields_is_no_message(line: bytes) -> None:
    with pytest.raises(BadMessage):
        parse_file_message(line)
