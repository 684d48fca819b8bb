"""How a command's words stand in the argument of a call."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from qubes_manager.core.errors import BadInput
from qubes_manager.guest.command_words import decode_words, encode_words

_WORD = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"))


@pytest.mark.parametrize(
    ("words", "argument"),
    [(["ls", "-la"], "ls+--la"), (["a b", "é/+"], "a-20b+-C3-A9-2F-2B"), (["x", ""], "x+"), (["a_b.c"], "a_b.c")],
)
def test_words_are_written_as_in_qubes(words: list[str], argument: str) -> None:
    assert encode_words(words) == argument
    assert decode_words(argument) == words


@given(st.lists(_WORD, min_size=1).filter(lambda words: words[0] != ""))
def test_any_words_come_back(words: list[str]) -> None:
    assert decode_words(encode_words(words)) == words


@pytest.mark.parametrize("argument", ["", "+x", "a b", "a-2", "a-2f", "a-00", "-", "a/b", "é", "a\n"], ids=range(10))
def test_what_is_encoded_otherwise_is_refused(argument: str) -> None:
    with pytest.raises(BadInput):
        decode_words(argument)
