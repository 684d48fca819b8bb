"""Messages of the request port: what is written is read again, and nothing else is."""

import json
from dataclasses import fields

import pytest

from qubes_manager.core.crossing.guest_messages import (
    Accepted,
    Call,
    Cancel,
    End,
    Ended,
    ErrorText,
    FromGuest,
    Hello,
    Ready,
    Sent,
    StandsStill,
    Start,
    ToGuest,
    parse_from_guest,
    parse_to_guest,
)
from qubes_manager.core.json_lines import MAX_LINE, BadMessage

CALL = Call(7, "qubes.Filecopy", "allow-all-names", "work", ("a.txt", "b"), 2, 1 << 40)
FROM_GUEST: list[FromGuest] = [
    Hello(1, "abc", begins=False),
    CALL,
    Ready(7),
    Sent(7, 12),
    ErrorText(7, "two\nlines"),
    Ended(7, 3, "gone"),
    Cancel(7, "enough"),
]
TO_GUEST: list[ToGuest] = [
    Hello(),
    Start(1, "qubes.VMShell", "", "work", "@dispvm", 3, "root"),
    Accepted(7, 2, "disp12"),
    End(7, 5),
    StandsStill(7),
    ErrorText(7, "no"),
    Ended(7, 126),
    Cancel(7),
]


@pytest.mark.parametrize("message", FROM_GUEST, ids=lambda message: message.TYPE)
def test_what_a_guest_says_is_read_as_it_was_meant(message: FromGuest) -> None:
    assert parse_from_guest(message.to_json().encode()) == message


@pytest.mark.parametrize("message", TO_GUEST, ids=lambda message: message.TYPE)
def test_what_the_broker_says_is_read_as_it_was_meant(message: ToGuest) -> None:
    assert parse_to_guest(message.to_json().encode()) == message


def changed(**values: object) -> bytes:
    return json.dumps({**json.loads(CALL.to_json()), **values}).encode()


@pytest.mark.parametrize(
    ("line", "fault"),
    [
        (b"", "no JSON"),
        (changed(type="start"), "unknown message"),
        (changed(call=-1), "call"),
        (changed(call=True), "call"),
        (changed(service="x" * 65), "service"),
        (changed(service="a\nb"), "service"),
        (changed(target="wo\u202erk"), "target"),
        (changed(names="a"), "names"),
        (changed(names=["a"] * 21), "names"),
        (changed(names=[1]), "names"),
        (changed(size=1.5), "size"),
        (changed(argument="x" * MAX_LINE), "line of"),
    ],
    ids=range(12),
)
def test_what_a_guest_must_not_say_is_refused_by_field(line: bytes, fault: str) -> None:
    with pytest.raises(BadMessage, match=fault):
        parse_from_guest(line)


@pytest.mark.parametrize("name", [field.name for field in fields(Call)])
def test_no_field_of_a_call_may_be_missing(name: str) -> None:
    values = json.loads(CALL.to_json())
    del values[name]
    with pytest.raises(BadMessage, match=f"{name} is missing"):
        parse_from_guest(json.dumps(values).encode())


def test_names_of_files_are_made_safe_to_show() -> None:
    parsed = parse_from_guest(changed(names=["a\u202eb\x1b[31mc\n", "x" * 1000]))
    assert isinstance(parsed, Call)
    assert parsed.names[0] == "abc"
    assert len(parsed.names[1]) == 200


def test_the_broker_is_not_taken_for_a_guest() -> None:
    with pytest.raises(BadMessage, match="unknown message"):
        parse_from_guest(Accepted(7, 2, "disp12").to_json().encode())
    with pytest.raises(BadMessage, match="unknown message"):
        parse_to_guest(CALL.to_json().encode())
