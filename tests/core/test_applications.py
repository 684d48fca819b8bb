"""Lists of applications, as guests tell them."""

import contextlib
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from qubes_manager.core.applications import (
    Application,
    ApplicationList,
    check_id,
    dump_applications,
    parse_applications,
)
from qubes_manager.core.errors import BadInput, GuestError


def listed(*entries: object) -> bytes:
    return json.dumps({"apps": entries}).encode()


def test_a_list_is_read_by_name_and_comes_back_as_it_was() -> None:
    apps = (
        Application("org.gnome.Calc", "Calculator", "adds", ("Utility",), ("text/plain",), True, b"\1" * 9216),
        Application("firefox-esr", "Firefox"),
    )
    for left_out in (0, 7):
        kept = parse_applications(dump_applications(ApplicationList(apps[::-1], left_out)))
        assert kept == ApplicationList(apps, left_out)


def test_what_is_malformed_in_a_list_is_left_out() -> None:
    entries = [
        {"id": "good", "name": "Good\x1b[1m\n‮", "icon": "not base64", "mime": ["a/b", "../c", 5], "categories": "x"},
        {"id": "../../etc/passwd", "name": "x"},
        {"id": "-rf", "name": "x"},
        {"id": "a b", "name": "x"},
        {"id": "nameless", "name": 7, "terminal": "yes", "icon": "AAAA"},
        {"name": "no id"},
        "text",
        None,
        {"id": "good", "name": "Good"},
    ]
    found = parse_applications(listed(*entries))
    good, nameless = found.applications
    assert found.left_out == 6
    assert (good.id, good.name) == ("good", "Good")
    assert nameless == Application("nameless", "nameless")
    first = parse_applications(listed(entries[0])).applications[0]
    assert (first.name, first.icon, first.mime_types, first.categories) == ("Good", b"", ("a/b",), ())


def test_what_is_left_out_is_counted_and_said() -> None:
    many = parse_applications(listed(*({"id": f"a{n}"} for n in range(10_000))))
    assert (len(many.applications), many.left_out) == (1000, 9000)
    assert many.notice.startswith("9,000 more are left out: only 1,000 are shown")
    # What the guest left out itself is added; whatever else it says there is not believed.
    for said, counted in ((5, 5), (-5, 0), ("many", 0), (10**30, 1_000_000), (None, 0), ([], 0)):
        data = json.dumps({"apps": [{"id": "x"}], "left_out": said}).encode()
        assert parse_applications(data).left_out == counted
    assert parse_applications(listed({"id": "x"}, {"id": "x"})).notice == ""


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"[]",
        b'{"apps": 5}',
        b"\xff",
        b"[" * 100_000,
        b'{"apps": []}' + b" " * (17 << 20),
        # Within the bytes of a list, and 200 MiB of objects.
        b'{"apps": [' + b"{}," * (2 << 20) + b"{}]}",
    ],
    ids=["nothing", "no object", "no list", "no JSON", "deep", "long", "many values"],
)
def test_a_list_that_makes_no_sense_is_refused(data: bytes) -> None:
    with pytest.raises(GuestError, match="makes no sense"):
        parse_applications(data)


@given(
    st.recursive(
        st.none() | st.text() | st.integers() | st.booleans(), lambda i: st.lists(i) | st.dictionaries(st.text(), i)
    )
)
def test_no_list_breaks_the_parser(value: object) -> None:
    with contextlib.suppress(GuestError):
        parse_applications(listed(value, {"id": "x", "name": value, "icon": value, "mime": value}))


@pytest.mark.parametrize("text", ["", "-x", ".x", "a/b", "a b", "a\n", "x" * 201, "ü", "a;b", "$(x)"])
def test_ids_are_checked(text: str) -> None:
    with pytest.raises(BadInput):
        check_id(text)
