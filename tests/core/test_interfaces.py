"""The word that a network interface is written as."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from qubes_manager.core.errors import BadInput
from qubes_manager.core.interfaces import Interface, parse_netvm

KINDS = ("network", "bridge", "direct", "internal", "vdpa", "user", "ethernet", "null")


@pytest.mark.parametrize(
    ("interface", "word"),
    [
        (Interface("user"), "open"),
        (Interface("network", "default"), "default"),
        (Interface("network", "my net"), "my net"),
        (Interface("network", "a:b"), "a:b"),
        (Interface("network", "user"), "network:user"),
        (Interface("network", "none"), "network:none"),
        (Interface("network", "bridge:br0"), "network:bridge:br0"),
        (Interface("network", "server"), "network:server"),
        (Interface("bridge", "br0"), "bridge:br0"),
        (Interface("direct", "eth0"), "direct:eth0"),
        (Interface("vdpa", "/dev/vhost-vdpa-0"), "vdpa:/dev/vhost-vdpa-0"),
        (Interface("ethernet"), "ethernet"),
        (Interface("null"), "null"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_a_word_is_read_as_the_interface_that_it_was_written_for(interface: Interface, word: str) -> None:
    assert (interface.netvm, parse_netvm(word)) == (word, interface)


@given(st.text(st.characters(exclude_categories=["C", "Z"]), min_size=1, max_size=30))
def test_a_network_of_any_name_can_be_given_back(name: str) -> None:
    assert parse_netvm(Interface("network", name).netvm) == Interface("network", name)


@pytest.mark.parametrize(
    "word", ["", "none", "None", "bridge:", "bridge", "network:", "user:x", "hostdev:0000:01:00.0", "server", "a\nb"]
)
def test_what_names_no_interface_is_refused(word: str) -> None:
    with pytest.raises(
        BadInput,
        match=r"netvm: .* cannot be used; use isolated, open, a domain that provides network, a libvirt network",
    ):
        parse_netvm(word)


def test_user_networking_is_asked_for_by_how_it_is_to_be() -> None:
    for word in ("isolated", "open", "user"):
        assert parse_netvm(word) == Interface("user")


def test_what_needs_more_than_a_word_is_shown_all_the_same() -> None:
    assert Interface("server", "127.0.0.1:5558").netvm == "server:127.0.0.1:5558"
    assert Interface("hostdev").netvm == "hostdev"
