"""QEMU's user networking on its command line."""

import json

import pytest

from qubes_manager.network.netdevs import domain_uuid, user_netdevs, with_taps

CARD = '{"type":"user","id":"hostnet0"}'
WORDS = ["-uuid", "abc", "-netdev", CARD, "-device", "virtio-net-pci,netdev=hostnet0", "-netdev", "user,id=hostnet1"]


def test_each_card_is_found_in_either_form_and_gets_its_tap() -> None:
    assert user_netdevs(WORDS) == {3: "hostnet0", 7: "hostnet1"}
    changed = with_taps(WORDS, [(3, "hostnet0", 5), (7, "hostnet1", 6)])
    assert json.loads(changed[3]) == {"type": "tap", "id": "hostnet0", "fd": "5", "vhost": False}
    assert json.loads(changed[7])["fd"] == "6"
    assert [word for place, word in enumerate(changed) if place not in (3, 7)] == [
        word for place, word in enumerate(WORDS) if place not in (3, 7)
    ]
    assert domain_uuid(changed) == "abc"


@pytest.mark.parametrize(
    "words",
    [
        ["-netdev"],
        ["-netdev", '{"type":"tap","id":"a","fd":"3"}'],
        ["-netdev", "tap,id=user,fd=3"],
        ["-netdev", "{user"],
        ["-name", CARD],
        ["-machine", "none", "-qmp", "unix:/tmp/x"],
    ],
)
def test_what_is_no_user_networking_stays_as_it_is(words: list[str]) -> None:
    assert user_netdevs(words) == {}


def test_without_a_uuid_there_is_none() -> None:
    assert domain_uuid(["-name", "-uuid"]) == ""
