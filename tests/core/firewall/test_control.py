"""What is said to a domain's keeper, and what it says."""

import json
from dataclasses import replace

import pytest

from qubes_manager.core.errors import BadInput
from qubes_manager.core.firewall.control import (
    ANSWERS,
    QUESTIONS,
    AskNetwork,
    NetworkState,
    SetFirewall,
    SetVia,
    read_rules,
    rules_text,
    state_line,
)
from qubes_manager.core.firewall.firewall import Firewall, parse_firewall
from qubes_manager.core.json_lines import BadMessage

NOW = 1_800_000_000.0


VIA = "0a7b6c5d-0000-4000-8000-0123456789ab"


@pytest.mark.parametrize("via", ["", VIA])
@pytest.mark.parametrize("home", [True, False])
@pytest.mark.parametrize("text", ["", "accept", "accept\ndrop 192.0.2.1 tcp 1-5 comment=a; b, c [d]: e"])
def test_what_starts_a_domain_tells_its_rules_on_one_line(text: str, home: bool, via: str) -> None:
    firewall = parse_firewall(text, NOW, home=home)
    told = rules_text(firewall, via)
    assert "\n" not in told
    bare = replace(firewall, rules=tuple(replace(rule, comment="") for rule in firewall.rules))
    assert read_rules(told, NOW) == (bare, via)


@pytest.mark.parametrize(
    "told", ["", "accept", "home=", "home=yes|accept", "home=on|allow", "home=on via=", f"home=on via={VIA}x|accept"]
)
def test_what_does_not_tell_rules_is_refused(told: str) -> None:
    with pytest.raises(BadInput):
        read_rules(told, NOW)


def test_without_rules_nothing_is_let_through() -> None:
    assert read_rules("home=off", NOW) == (Firewall(()), "")


def test_messages_come_as_they_were_sent() -> None:
    for question in (SetFirewall("accept\ndrop", home=True), SetVia(VIA), SetVia(""), AskNetwork()):
        assert QUESTIONS.parse(question.to_json().encode()) == question
    state = NetworkState("", "accept\ndrop", False, ((1, 2), (3, 4)), (5, 6), ("a.example", "no such name"), VIA)
    assert ANSWERS.parse(state_line(state).encode()) == state


@pytest.mark.parametrize("counts", ["[]", "[1]", "[1, 2, 3]", "[true, 2]", '["1", 2]', "[-1, 2]", "[1.5, 2]"])
def test_counts_that_are_none_are_refused(counts: str) -> None:
    line = state_line(NetworkState("", "accept", False, (), (7, 8))).replace("[7, 8]", counts)
    with pytest.raises(BadMessage):
        ANSWERS.parse(line.encode())


def test_whose_network_it_is_to_be_is_a_uuid() -> None:
    for via in ("..", "x", VIA.upper(), f"{VIA}/"):
        with pytest.raises(BadMessage):
            QUESTIONS.parse(json.dumps({"type": "via", "via": via}).encode())
