"""The folder where the programs of one user meet, and the locks in it."""

import os
from pathlib import Path

import pytest

from qubes_manager.backend.user.byte_lock import ByteLock
from qubes_manager.backend.user.user_folder import user_folder
from qubes_manager.core.errors import Refused


@pytest.fixture
def state(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    return tmp_path / "state"


def test_it_is_the_users_alone_and_the_same_whatever_else_there_is(
    state: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = user_folder()
    assert folder == state / "qubes-manager/run"
    assert folder.stat().st_mode & 0o777 == 0o700
    monkeypatch.delenv("XDG_RUNTIME_DIR", raising=False)
    folder.chmod(0o755)
    assert user_folder() == folder
    assert folder.stat().st_mode & 0o777 == 0o700


def test_without_a_name_for_it_it_is_in_the_users_home(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    for named in ("", "relative"):
        monkeypatch.setenv("XDG_STATE_HOME", named)
        assert user_folder() == tmp_path / ".local/state/qubes-manager/run"


@pytest.mark.parametrize("open_to_all", [".", "qubes-manager"])
def test_it_is_not_where_everybody_may_write(state: Path, open_to_all: str) -> None:
    user_folder()
    (state / open_to_all).chmod(0o1777)
    with pytest.raises(Refused, match="everybody may write to"):
        user_folder()


def test_it_is_no_link_to_somewhere_else(state: Path, tmp_path: Path) -> None:
    (state / "qubes-manager").mkdir(parents=True)
    (tmp_path / "elsewhere").mkdir()
    (state / "qubes-manager/run").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(Refused, match=r"the folder .* cannot be used: Not a directory"):
        user_folder()


@pytest.mark.parametrize("kind", ["link", "open to others", "folder"])
def test_locks_are_a_file_of_the_users_alone(state: Path, tmp_path: Path, kind: str) -> None:
    place = user_folder() / "locks"
    match kind:
        case "link":
            (tmp_path / "victim").touch(mode=0o600)
            place.symlink_to(tmp_path / "victim")
        case "folder":
            place.mkdir()
        case _:
            place.touch()
            place.chmod(0o666)
    with pytest.raises(Refused, match=f"the locks cannot be used: {place}"):
        ByteLock("x")


def test_a_lock_for_each_of_two_hundred_domains_is_one_empty_file(state: Path) -> None:
    locks = [ByteLock(f"domain {number}") for number in range(200)]
    assert all(lock.try_hold() for lock in locks)
    other = ByteLock("domain 7")
    assert not other.try_hold() and not other.try_hold(shared=True)
    locks[7].close()
    assert other.try_hold(shared=True)
    for lock in (*locks[:7], *locks[8:], other):
        lock.close()
    assert os.listdir(user_folder()) == ["locks"]  # noqa: PTH208
    assert (user_folder() / "locks").stat().st_size == 0
