"""Which addresses other domains may open here."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from qubes_manager.core.errors import Refused
from qubes_manager.guest.services.open_url import check_address


@pytest.mark.parametrize(
    "address", ["https://example.org", "http://[::1]:80/a?b=%20#c", "ftp://ftp.example.org/~x/", "https://a/(b),'c'"]
)
def test_web_addresses_are_opened(address: str) -> None:
    assert check_address(address) == address


BAD = ["", "example.org", "mailto:a@b", "file:///etc/passwd", "javascript:1", "HTTPS://a", "https://", "-https://a"]
ODD = [" b", "\n", "ä", '"', "`", "\\", "a" * 5000]


@pytest.mark.parametrize("address", [*BAD, *(f"https://a{odd}" for odd in ODD)], ids=range(15))
def test_nothing_else_is(address: str) -> None:
    with pytest.raises(Refused):
        check_address(address)


@given(st.text())
def test_what_is_opened_has_neither_blanks_nor_quotes(text: str) -> None:
    try:
        address = check_address(f"https://{text}")
    except Refused:
        return
    assert address.isascii()
    assert not set(address) & set(' \t\n"\\`<>{}|^')
