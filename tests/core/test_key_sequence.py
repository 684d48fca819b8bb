"""Sequences of keys, as users of Qubes OS write them."""

import pytest

from qubes_manager.core.errors import BadInput
from qubes_manager.core.key_sequence import parse_key_sequence


@pytest.mark.parametrize(
    ("text", "written", "spoken"),
    [
        ("Ctrl-Shift-c", "Ctrl-Shift-c", "Ctrl+Shift+C"),
        ("shift+CTRL+V", "Ctrl-Shift-v", "Ctrl+Shift+V"),
        ("Ctrl-Mod4-c", "Ctrl-Win-c", "Ctrl+Win+C"),
        ("Win-c", "Win-c", "Win+C"),
        ("Super-v", "Win-v", "Win+V"),
        ("Ctrl-Ins", "Ctrl-Insert", "Ctrl+Insert"),
        ("Shift-Insert", "Shift-Insert", "Shift+Insert"),
        ("alt-f12", "Alt-F12", "Alt+F12"),
    ],
)
def test_a_sequence_is_read_and_written(text: str, written: str, spoken: str) -> None:
    sequence = parse_key_sequence(text)
    assert (str(sequence), sequence.spoken) == (written, spoken)
    assert parse_key_sequence(written) == sequence


@pytest.mark.parametrize("text", ["", "c", "Shift-c", "Ctrl", "Ctrl-", "Ctrl-Return", "Hyper-c", "Ctrl-Shift-cc", "-c"])
def test_what_would_take_the_keys_that_texts_are_typed_with_is_refused(text: str) -> None:
    with pytest.raises(BadInput, match="secure_copy_sequence"):
        parse_key_sequence(text, "secure_copy_sequence")


def test_a_sequence_fits_whatever_locks_hold_and_no_other_modifier() -> None:
    sequence = parse_key_sequence("Ctrl-Shift-c")
    assert sequence.fits(["shift", "control"], "c")
    assert sequence.fits(["shift", "control", "lock", "mod2"], "c")
    assert not sequence.fits(["control"], "c")
    assert not sequence.fits(["shift", "control", "mod1"], "c")
    assert not sequence.fits(["shift", "control"], "v")
