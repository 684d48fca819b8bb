"""What the gui service and its viewers say to each other; a viewer may be in a hostile guest's hands."""

import json
from typing import get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from qubes_manager.core.gui_rules import GuiRules
from qubes_manager.core.json_lines import MAX_STARTUP_ID, BadMessage
from qubes_manager.core.viewer_messages import (
    Connected,
    Crossing,
    Denied,
    Go,
    Launch,
    Mapped,
    Order,
    Pressed,
    Unusable,
    ViewerEvent,
    Windows,
    Wish,
    Wished,
    parse_event,
    parse_order,
)
from tests.core.test_json_lines import JSON

PLAIN = st.text(st.characters(min_codepoint=33, max_codepoint=126), min_size=1)
RULES = st.builds(
    GuiRules,
    domain=PLAIN.map(lambda text: text[:1000]),
    colour=st.from_regex(r"#[0-9a-f]{6}", fullmatch=True),
    border_width=st.integers(0, 1000),
    allow_fullscreen=st.booleans(),
    override_redirect_protection=st.booleans(),
    allow_utf8_titles=st.booleans(),
    windows_count_limit=st.integers(0, 100_000),
    copy_keys=st.sampled_from(["Ctrl-Shift-c", "Ctrl-Win-c", "Win-c", "Ctrl-Insert"]),
    fullscreen_keys=st.sampled_from(["Win-F11", "Ctrl-Alt-F11"]),
)
ORDERS = RULES | st.builds(Go) | st.builds(Launch, PLAIN.map(lambda text: text[:MAX_STARTUP_ID]))
EVENTS = (
    st.builds(Connected)
    | st.builds(Windows, st.integers(0, 10_000))
    | st.builds(Mapped)
    | st.builds(Denied, PLAIN.map(lambda text: text[:80]))
    | st.builds(Unusable, PLAIN.map(lambda text: text[:200]))
    | st.builds(Pressed, st.sampled_from(Crossing), st.integers(0, 1 << 53), st.integers(0, 1 << 53))
    | st.builds(Wished, st.sampled_from(Wish))
)


@given(ORDERS)
def test_orders_come_as_they_were_sent(order: Order) -> None:
    assert parse_order(order.to_json().encode()) == order
    assert "\n" not in order.to_json()


@given(EVENTS)
def test_events_come_as_they_were_sent(event: ViewerEvent) -> None:
    assert parse_event(event.to_json().encode()) == event
    assert "\n" not in event.to_json()


@given(st.sampled_from([kind.TYPE for kind in get_args(ViewerEvent)]), st.dictionaries(st.text(max_size=8), JSON))
def test_no_event_has_a_field_of_another_type_or_size(kind: str, values: dict[str, object]) -> None:
    for name in ("count", "what", "reason", "when", "focused"):
        line = json.dumps({**dict.fromkeys((name, *values), next(iter(values.values()), None)), "type": kind})
        try:
            event = parse_event(line.encode())
        except BadMessage:
            continue
        match event:
            case Windows(count):
                assert type(count) is int and 0 <= count <= 10_000
            case Denied(text) | Unusable(text):
                assert len(text) <= 200 and (text.isprintable() or not text)
            case Pressed(what, when, focused):
                assert isinstance(what, Crossing) and type(when) is type(focused) is int


@given(st.binary(max_size=300))
def test_no_bytes_break_the_parser(line: bytes) -> None:
    for parse in (parse_event, parse_order):
        with pytest.raises(BadMessage):
            parse(line)


@pytest.mark.parametrize(
    ("values", "part"),
    [
        ({"type": "selfie"}, "unknown event 'selfie'"),
        ({"type": "go"}, "unknown event 'go'"),
        ({"type": "windows"}, "count is missing"),
        ({"type": "windows", "count": "5"}, "count is no whole number"),
        ({"type": "windows", "count": 10**30}, "count is no whole number"),
        ({"type": "windows", "count": True}, "count is no whole number"),
        ({"type": "denied", "what": ["x"]}, "what is no text"),
        ({"type": "unusable", "reason": None}, "reason is no text"),
    ],
)
def test_events_that_make_no_sense_are_named(values: dict[str, object], part: str) -> None:
    with pytest.raises(BadMessage, match=part):
        parse_event(json.dumps(values).encode())


@pytest.mark.parametrize(
    ("values", "part"),
    [
        ({"type": "stop"}, "unknown order 'stop'"),
        ({"type": "connected"}, "unknown order 'connected'"),
        ({"type": "launch", "startup_id": "x" * 201}, "startup_id has 201 characters"),
        ({"type": "rules", "domain": "work", "colour": "red"}, "colour is no #rrggbb: 'red'"),
        ({"type": "rules", "domain": "work", "colour": "#3465a4"}, "border_width is missing"),
        (
            {**json.loads(GuiRules("work", "#3465a4").to_json()), "copy_keys": "c"},
            "copy_keys: 'c' cannot be used; give Ctrl",
        ),
        (
            {**json.loads(GuiRules("work", "#3465a4").to_json()), "fullscreen_keys": "F11"},
            "fullscreen_keys: 'F11' cannot be used; give Ctrl",
        ),
    ],
)
def test_orders_that_make_no_sense_are_named(values: dict[str, object], part: str) -> None:
    with pytest.raises(BadMessage, match=part):
        parse_order(json.dumps(values).encode())


def test_what_a_viewer_complains_of_is_cut_and_made_safe() -> None:
    assert parse_event(Denied("\x1b[31mfull\nscreen").to_json().encode()) == Denied("full screen")
    assert parse_event(Denied("x" * 500).to_json().encode()) == Denied("x" * 79 + "…")
