"""Text from elsewhere, made harmless."""

from hypothesis import given
from hypothesis import strategies as st

from qubes_manager.core.text import make_visible, one_line, plain_tip, strip_escapes


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


def test_a_tool_tip_has_no_markup_of_anybody_s_but_ours() -> None:
    assert plain_tip("vm-1, running") == "vm-1, running"
    assert plain_tip("<img src='x'> & y").endswith(">&lt;img src='x'> &amp; y</p>")
