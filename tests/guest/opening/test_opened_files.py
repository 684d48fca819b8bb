"""What has changed of files that are open for another domain."""

import os
from pathlib import Path

import pytest

from qubes_manager.core.errors import Refused
from qubes_manager.guest.opening import opened_files
from qubes_manager.guest.opening.opened_files import OpenedFiles, make_read_only


def test_change_is_known_by_content(tmp_path: Path) -> None:
    (tmp_path / "sub").mkdir()
    for name in ("same", "sub/other", "emptied", "gone", "linked", "touched"):
        (tmp_path / name).write_text("before")
    files = OpenedFiles(tmp_path, ["same", "sub", "emptied", "gone", "linked", "touched"])
    status = (tmp_path / "sub/other").stat()
    (tmp_path / "sub/other").write_text("behind")
    # Whoever looks at size and time alone would not see it.
    os.utime(tmp_path / "sub/other", ns=(status.st_atime_ns, status.st_mtime_ns))
    os.utime(tmp_path / "touched", (1, 1))
    (tmp_path / "emptied").write_text("")
    (tmp_path / "gone").unlink()
    (tmp_path / "linked").unlink()
    (tmp_path / "linked").symlink_to("/etc/passwd")
    (tmp_path / "new").write_text("new")
    changed, missing = files.look()
    assert sorted(changed) == ["emptied", "sub/other"]
    assert sorted(missing) == ["gone", "linked"]


def test_files_that_can_come_back_are_bounded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(opened_files, "MAX_EDITED", 1)
    (tmp_path / "a").write_text("")
    (tmp_path / "b").write_text("")
    with pytest.raises(Refused, match="at most 1 files"):
        OpenedFiles(tmp_path, ["a", "b"])


def test_what_is_only_looked_at_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "sub").mkdir()
    (tmp_path / "sub/a").write_text("x")
    make_read_only(tmp_path, ["sub"])
    assert (tmp_path / "sub").stat().st_mode & 0o222 == 0
    assert (tmp_path / "sub/a").stat().st_mode & 0o222 == 0
