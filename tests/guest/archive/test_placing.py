"""How what came gets its name."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from qubes_manager.core.crossing.file_messages import Clash
from qubes_manager.core.errors import Refused
from qubes_manager.guest.archive import placing
from qubes_manager.guest.archive.placing import numbered_name, place


@pytest.mark.parametrize(
    ("name", "numbered"),
    [
        ("a.pdf", "a (2).pdf"),
        ("a", "a (2)"),
        (".profile", ".profile (2)"),
        ("a.tar.gz", "a.tar (2).gz"),
        ("a.", "a (2)."),
    ],
)
def test_a_number_stands_before_the_ending(name: str, numbered: str) -> None:
    assert numbered_name(name, 2) == numbered


@given(st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=300), st.integers(2, 9999))
def test_a_numbered_name_is_never_too_long(name: str, number: int) -> None:
    assert len(os.fsencode(numbered_name(name, number))) <= 255


class Folders:
    """A folder with what came, and one where it is to go."""

    def __init__(self, place: Path) -> None:
        self.source, self.target = place / "source", place / "target"
        self.source.mkdir()
        self.target.mkdir()
        self.made, self.kept = os.open(self.source, os.O_RDONLY), os.open(self.target, os.O_RDONLY)

    def place(self, name: str, clash: Clash = Clash.NUMBER) -> str:
        return place(self.made, "0", self.kept, name, clash)


@pytest.fixture(params=["kernel", "by hand"])
def folders(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Folders]:
    if request.param == "by hand":

        def cannot(*_arguments: object) -> None:
            raise OSError(22, "cannot")

        monkeypatch.setattr(placing, "_rename", cannot)
    there = Folders(tmp_path)
    yield there
    os.close(there.made)
    os.close(there.kept)


def test_a_name_that_exists_is_numbered(folders: Folders) -> None:
    for name in ("a.txt", "a (2).txt"):
        (folders.target / name).write_text("old")
    (folders.source / "0").write_text("new")
    assert folders.place("a.txt") == "a (3).txt"
    assert (folders.target / "a.txt").read_text() == "old"
    assert (folders.target / "a (3).txt").read_text() == "new"


def test_an_empty_folder_that_exists_is_not_taken_for_nothing(folders: Folders) -> None:
    (folders.target / "a").mkdir()
    (folders.source / "0").mkdir()
    assert folders.place("a") == "a (2)"


def test_a_link_that_leads_nowhere_has_its_name_too(folders: Folders) -> None:
    (folders.target / "a").symlink_to("/nowhere")
    (folders.source / "0").write_text("new")
    assert folders.place("a") == "a (2)"


def test_what_is_replaced_is_aside(folders: Folders) -> None:
    (folders.target / "a").mkdir()
    (folders.target / "a/old").write_text("old")
    (folders.source / "0").write_text("new")
    assert folders.place("a", Clash.REPLACE) == "a"
    assert (folders.target / "a").read_text() == "new"
    assert [path.read_text() for path in folders.source.rglob("old")] == ["old"]


def test_what_is_to_be_skipped_stays_where_it_is(folders: Folders) -> None:
    (folders.target / "a").write_text("old")
    (folders.source / "0").write_text("new")
    assert folders.place("a", Clash.SKIP) == ""
    assert (folders.target / "a").read_text() == "old"


def test_when_all_numbers_are_taken_it_says_so(folders: Folders, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(placing, "_MOST_NUMBERS", 3)
    for name in ("a", "a (2)"):
        (folders.target / name).write_text("old")
    (folders.source / "0").write_text("new")
    with pytest.raises(Refused, match="tidy"):
        folders.place("a")
