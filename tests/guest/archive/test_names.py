"""Which names may cross."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from qubes_manager.core.errors import Refused
from qubes_manager.guest.archive.names import MAX_DEPTH, MAX_PART, check_link, is_unusual, shown_name, split_name


@pytest.mark.parametrize(
    "name",
    [
        "",
        "/",
        "/etc/passwd",
        ".",
        "..",
        "a/..",
        "../a",
        "a/./b",
        "a//b",
        "a/",
        "a\0b",
        "x" * (MAX_PART + 1),
        ".incoming-0123456789abcdef/a",
    ],
    ids=range(13),
)
def test_what_is_no_plain_name_is_refused(name: str) -> None:
    with pytest.raises(Refused):
        split_name(name)


def test_names_have_bounds() -> None:
    for parts in (["x"] * (MAX_DEPTH + 1), ["x" * 200] * 30):
        with pytest.raises(Refused):
            split_name("/".join(parts))


@given(st.text(max_size=40))
def test_a_name_that_is_taken_stays_inside(name: str) -> None:
    try:
        parts = split_name(name)
    except Refused:
        return
    assert "/".join(parts) == name
    assert not {"", ".", ".."} & set(parts)


@pytest.mark.parametrize(
    "name",
    [
        "report.pdf",
        "Grüße 2026.txt",
        "отчёт",
        "αβγ",
        "書類",
        "ドキュメント",
        "한글",
        "a\u3000b",
        "100 %€ ⠓",
        "e\u0301",
        ".x",
    ],
)
def test_names_of_usual_scripts_are_usual(name: str) -> None:
    assert not is_unusual(name)


@pytest.mark.parametrize(
    "name",
    ["a\nb", "a\x1b[31m", "\u202egpj.exe", "a\u200bb", "سند", "מסמך", "\udcff", "a\u00a0b", "\ue000", "นี้", "ü\n"],
    ids=range(11),
)
def test_names_that_could_deceive_are_unusual(name: str) -> None:
    assert is_unusual(name)


@given(st.text())
def test_what_is_shown_of_a_name_prints_and_is_short(name: str) -> None:
    shown = shown_name(name)
    assert len(shown) <= 121
    assert shown.isprintable()


@pytest.mark.parametrize(
    ("name", "target"),
    [("a/b", "c"), ("a/b/c", "../d"), ("a/b/c/d", "../../e/f"), ("a/b", "c/d/"), ("a/b", "./c"), ("a/b/c", "..")],
)
def test_a_link_inside_what_is_copied_is_taken(name: str, target: str) -> None:
    check_link(name, target)


@pytest.mark.parametrize(
    ("name", "target"),
    [
        ("a", "b"),
        ("a/b", "/etc/passwd"),
        ("a/b", "../c"),
        ("a/b", ".."),
        ("a/b/c", "../../d"),
        ("a/b", "c/../../d"),
        ("a/b/c", "./../../d"),
        ("a/b", ""),
        ("a/b", "c//d"),
        ("a/b", "c\0d"),
        ("../a/b", "c"),
    ],
    ids=range(11),
)
def test_a_link_out_of_what_is_copied_is_refused(name: str, target: str) -> None:
    with pytest.raises(Refused):
        check_link(name, target)
