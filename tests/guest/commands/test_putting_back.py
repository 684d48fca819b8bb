"""How an edited file takes its original's place, and what happens where it cannot."""

import os
from pathlib import Path

import pytest

from qubes_manager.guest.archive.walking import identity
from qubes_manager.guest.commands.putting_back import put_back


class Place:
    """An original, what came back, and where things are saved."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder / "papers"
        self.rescue = folder / "rescue"
        self.folder.mkdir()
        self.rescue.mkdir()
        self.original = self.folder / "a.txt"
        self.original.write_text("before")
        self.edited = folder / "0"
        self.edited.write_text("edited")
        self.sent = identity(self.original.lstat())

    def put_back(self) -> str:
        done = put_back(self.edited, self.original, self.sent, self.rescue)
        assert done.is_in_place is (done.sentence.find("is changed;") > 0)
        return done.sentence

    def content(self) -> dict[str, str]:
        return {path.name: path.read_text() for path in self.folder.iterdir()}


@pytest.fixture
def place(tmp_path: Path) -> Place:
    return Place(tmp_path)


def test_the_old_one_stays_beside_it(place: Place) -> None:
    place.original.chmod(0o640)
    place.sent = identity(place.original.lstat())
    assert place.put_back() == "“a.txt” is changed; the old one is “a.txt~”"
    assert place.content() == {"a.txt": "edited", "a.txt~": "before"}
    assert place.original.stat().st_mode & 0o777 == 0o640


def test_no_older_one_is_lost(place: Place) -> None:
    (place.folder / "a.txt~").write_text("oldest")
    place.put_back()
    assert place.content() == {"a.txt": "edited", "a.txt~": "oldest", "a.txt~2~": "before"}


def test_what_was_changed_here_meanwhile_stays(place: Place) -> None:
    place.original.write_text("other")
    assert "changed here meanwhile" in place.put_back()
    assert place.content() == {"a.txt": "other", "a (2).txt": "edited"}


def test_an_original_that_is_gone_is_not_made_again(place: Place) -> None:
    place.original.unlink()
    place.put_back()
    assert place.content() == {"a (2).txt": "edited"}


def test_a_link_in_its_place_is_not_followed(place: Place, tmp_path: Path) -> None:
    (tmp_path / "elsewhere").write_text("elsewhere")
    place.original.unlink()
    place.original.symlink_to(tmp_path / "elsewhere")
    place.put_back()
    assert (tmp_path / "elsewhere").read_text() == "elsewhere"
    assert place.original.is_symlink()


@pytest.mark.parametrize("step", ["open", "fsync", "replace"])
def test_what_cannot_be_put_there_is_saved_elsewhere(step: str, place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_arguments: object) -> None:
        raise OSError(30, "Read-only file system")

    if step == "open":
        place.folder.rename(place.folder.with_name("gone"))
    else:
        owner: object = os if step == "fsync" else Path
        monkeypatch.setattr(owner, step, fail)
    assert str(place.rescue / "a.txt") in place.put_back()
    assert (place.rescue / "a.txt").read_text() == "edited"
    if step != "open":
        assert place.content()["a.txt"] == "before"


def test_without_hard_links_the_old_one_is_copied(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    def cannot(*_arguments: object) -> None:
        raise OSError(1, "Operation not permitted")

    monkeypatch.setattr(Path, "hardlink_to", cannot)
    place.put_back()
    assert place.content() == {"a.txt": "edited", "a.txt~": "before"}
