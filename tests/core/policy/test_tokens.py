"""Which words may stand where."""

import pytest

from qubes_manager.core.policy.tokens import BadToken, Kind, Place, Token, parse_token

UUID = "11111111-1111-4111-8111-111111111111"
# As in the table of Qubes' documents: where each may stand, of source, target, redirect and call.
TABLE = {
    "work": "STRC",
    f"uuid:{UUID}": "STRC",
    "*": "ST",
    "@anyvm": "ST",
    "@adminvm": "STRC",
    "dom0": "STRC",
    "@default": "TC",
    "@dispvm": "TRC",
    "@dispvm:dvm": "STRC",
    f"@dispvm:uuid:{UUID}": "STRC",
    "@dispvm:@tag:t": "ST",
    "@tag:t": "ST",
    "@type:AppVM": "ST",
}
LETTERS = {"S": Place.SOURCE, "T": Place.TARGET, "R": Place.REDIRECT, "C": Place.CALL}


@pytest.mark.parametrize("text", TABLE)
def test_a_token_stands_where_it_may_and_nowhere_else(text: str) -> None:
    for letter, place in LETTERS.items():
        if letter in TABLE[text]:
            token = parse_token(text, place)
            assert str(token) == ("@adminvm" if text == "dom0" else text)
        else:
            with pytest.raises(BadToken, match="cannot be the"):
                parse_token(text, place)


def test_the_host_is_one_token_however_it_is_written() -> None:
    for text in ("dom0", "@adminvm", "uuid:00000000-0000-0000-0000-000000000000"):
        assert parse_token(text, Place.TARGET) == Token(Kind.HOST)


@pytest.mark.parametrize(
    "text", ["@", "@nobody", "@tag:", "@type:", "@dispvm:", "@dispvm:@anyvm", "@dispvm:@tag:", "uuid:", f"uuid:{UUID}0"]
)
def test_what_is_no_token_is_refused(text: str) -> None:
    for place in Place:
        with pytest.raises(BadToken):
            parse_token(text, place)
