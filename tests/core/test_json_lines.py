"""Lines of JSON between programs: what is in them is checked before it is believed."""

import json

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from qubes_manager.core.json_lines import MAX_LINE, BadMessage, Fields, LineBuffer, shown

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
)


@pytest.mark.parametrize(
    ("line", "part"),
    [
        (b"", "no JSON"),
        (b"hello", "no JSON: b'hello'"),
        (b"\xff\xfe\xff", "no JSON"),
        (b"[" * MAX_LINE, "no JSON"),
        (b'{"a":' * 3000, "no JSON"),
        (b'{"type": NaN}', "no JSON"),
        (b'{"type": "x", "n": -Infinity}', "no JSON"),
        (b'{"type": "x", "n": ' + b"9" * 5000 + b"}", "no JSON"),
        (b"[1, 2]", "no JSON object: a list"),
        (b'"text"', "no JSON object: 'text'"),
        (b"null", "no JSON object: None"),
        (b"{}", "type is missing"),
        (b'{"type": 5}', "type is no text: 5"),
        (b'{"type": {"type": "x"}}', "type is no text: a dict"),
        (b'{"type": "' + b"x" * 41 + b'"}', "type has 41 characters"),
        (b'{"type": "a\\u001bb"}', r"characters that do not print: 'a\\x1bb'"),
        (b'{"type": "\\ud800"}', "characters that do not print"),
        (b'{"type": "' + b"x" * MAX_LINE + b'"}', f"at most {MAX_LINE} are allowed"),
    ],
)
def test_what_is_no_message_is_named(line: bytes, part: str) -> None:
    with pytest.raises(BadMessage, match=part):
        Fields(line)


@pytest.mark.parametrize("value", [True, -1, 11, 1.0, 1e300, "5", None, [5], 10**200])
def test_a_number_is_whole_and_within_its_bounds(value: object) -> None:
    fields = Fields(json.dumps({"type": "x", "n": value, "good": 10}).encode())
    assert fields.number("good", 10) == 10
    with pytest.raises(BadMessage, match="n is no whole number from 0 to 10"):
        fields.number("n", 10)


@pytest.mark.parametrize("value", [0, 1, "true", None, [], {}])
def test_a_truth_is_nothing_but_a_truth(value: object) -> None:
    fields = Fields(json.dumps({"type": "x", "yes": True, "odd": value}).encode())
    assert fields.truth("yes") is True
    with pytest.raises(BadMessage, match="odd is neither true nor false"):
        fields.truth("odd")


@pytest.mark.parametrize(
    "value", ["", "x", 7, "00000000-0000-0000-0000-00000000000", "0000000A-0000-0000-0000-000000000000", "٠" * 36]
)
def test_a_uuid_is_one_that_libvirt_writes(value: object) -> None:
    good = "1f2e3d4c-0000-4000-8000-aabbccddeeff"
    fields = Fields(json.dumps({"type": "x", "good": good, "odd": value}).encode())
    assert fields.uuid("good") == good
    with pytest.raises(BadMessage, match="odd is"):
        fields.uuid("odd")


def test_what_people_read_is_made_safe_and_short() -> None:
    fields = Fields(json.dumps({"type": "x", "words": "a\n\x1b[31mred\u202e \ud800" + "b" * 100}).encode())
    assert fields.sentence("words", 10) == "a red bbb…"


@given(JSON)
def test_whatever_is_found_is_said_in_a_short_line(value: object) -> None:
    assert len(shown(value)) <= 80
    assert shown(value).isprintable()


def test_what_is_nested_deeply_is_not_written_out() -> None:
    nested: list[object] = []
    for _ in range(100_000):
        nested = [nested]
    assert shown(nested) == "a list"


@given(st.lists(st.binary(max_size=30).map(lambda data: data.replace(b"\n", b""))), st.integers(1, 7))
def test_lines_come_whole_however_they_are_cut(lines: list[bytes], step: int) -> None:
    buffer, sent = LineBuffer(), b"".join(line + b"\n" for line in lines)
    assert [line for i in range(0, len(sent), step) for line in buffer.lines(sent[i : i + step])] == lines


@given(st.integers(MAX_LINE + 1, MAX_LINE * 3), st.integers(1000, 40_000))
@example(MAX_LINE + 1, MAX_LINE + 1)
def test_a_line_that_is_too_long_is_left_out_and_not_kept(length: int, step: int) -> None:
    buffer, sent = LineBuffer(), b"first\n" + b"x" * length + b"\nlast\n"
    assert [line for i in range(0, len(sent), step) for line in buffer.lines(sent[i : i + step])] == [b"first", b"last"]
