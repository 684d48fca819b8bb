"""What the gui service and its clients say to each other."""

import json
from typing import get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from qubes_manager.core.gui_messages import (
    AnnounceLaunch,
    Answer,
    ApplicationsRead,
    ConsoleKind,
    News,
    OpenConsole,
    Reload,
    Request,
    StatusGone,
    parse_reply,
    parse_request,
)
from qubes_manager.core.gui_status import GuiPhase, GuiStatus
from qubes_manager.core.json_lines import MAX_COUNT, MAX_STARTUP_ID, BadMessage
from qubes_manager.core.service_messages import MAX_SENTENCE, Done, Failed, Follow, Notice
from tests.core.test_viewer_messages import PLAIN

UUID = "1f2e3d4c-0000-4000-8000-aabbccddeeff"
UUIDS = st.uuids().map(str)
SENTENCES = PLAIN.map(lambda text: text[:400])
COUNTS = st.integers(0, MAX_COUNT)
REQUESTS = (
    st.builds(Follow)
    | st.builds(Reload)
    | st.builds(OpenConsole, UUIDS, st.sampled_from(ConsoleKind))
    | st.builds(AnnounceLaunch, UUIDS, PLAIN.map(lambda text: text[:MAX_STARTUP_ID]))
)
REPLIES = (
    st.builds(Done)
    | st.builds(Failed, SENTENCES)
    | st.builds(Notice, SENTENCES)
    | st.builds(ApplicationsRead, UUIDS)
    | st.builds(StatusGone, UUIDS)
    | st.builds(GuiStatus, UUIDS, st.sampled_from(GuiPhase), COUNTS, COUNTS, st.just("") | SENTENCES)
)


@given(REQUESTS)
def test_requests_come_as_they_were_sent(request: Request) -> None:
    assert parse_request(request.to_json().encode()) == request
    assert "\n" not in request.to_json()


@given(REPLIES)
def test_replies_come_as_they_were_sent(reply: Answer | News) -> None:
    assert parse_reply(reply.to_json().encode()) == reply
    assert "\n" not in reply.to_json()


def test_no_two_messages_of_a_wire_are_of_the_same_type() -> None:
    for kinds in (get_args(Request), get_args(Answer | News)):
        assert len({kind.TYPE for kind in kinds}) == len(kinds)


@given(st.binary(max_size=300))
def test_no_bytes_break_the_parser(line: bytes) -> None:
    for parse in (parse_request, parse_reply):
        with pytest.raises(BadMessage):
            parse(line)


@pytest.mark.parametrize(
    ("values", "part"),
    [
        ({"do": "reload"}, "type is missing"),
        ({"type": "dance"}, "unknown request 'dance'"),
        ({"type": "done"}, "unknown request 'done'"),
        ({"type": "console", "uuid": UUID}, "kind is missing"),
        ({"type": "console", "uuid": UUID, "kind": "nonsense"}, "kind is none of screen, serial: 'nonsense'"),
        ({"type": "console", "uuid": "../x", "kind": "screen"}, "uuid is none of a domain: '../x'"),
        ({"type": "console", "uuid": 5, "kind": "screen"}, "uuid is no text: 5"),
        ({"type": "launching", "uuid": UUID, "startup_id": "x" * 201}, "startup_id has 201 characters"),
        ({"type": "launching", "uuid": UUID, "startup_id": "a\nb"}, "startup_id has characters that do not print"),
    ],
)
def test_requests_that_make_no_sense_are_named(values: dict[str, object], part: str) -> None:
    with pytest.raises(BadMessage, match=part):
        parse_request(json.dumps(values).encode())


@pytest.mark.parametrize(
    ("values", "part"),
    [
        ({"type": "weather"}, "unknown message 'weather'"),
        ({"type": "follow"}, "unknown message 'follow'"),
        ({"type": "gone", "uuid": "x"}, "uuid is none of a domain"),
        ({"type": "status", "uuid": UUID, "phase": "asleep"}, "phase is none of"),
        ({"type": "status", "uuid": UUID, "phase": "shown", "windows": -1}, "windows is no whole number"),
        ({"type": "status", "uuid": UUID, "phase": "shown", "windows": 1, "mapped": 1e3}, "mapped is no whole number"),
    ],
)
def test_replies_that_make_no_sense_are_named(values: dict[str, object], part: str) -> None:
    with pytest.raises(BadMessage, match=part):
        parse_reply(json.dumps(values).encode())


def test_what_went_wrong_is_cut_and_made_safe() -> None:
    [failed] = {parse_reply(Failed("a\n\x1b[31mb " + "c" * 5000).to_json().encode())}
    assert isinstance(failed, Failed)
    assert failed.reason.startswith("a b ccc")
    assert len(failed.reason) == MAX_SENTENCE
