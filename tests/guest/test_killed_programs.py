"""Guests' programs that are killed at any step of a copy, a move or an edit: what is seen is old or new, and whole."""

import hashlib
import os
import shutil
from collections.abc import Callable, Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

import pytest

from qubes_manager.core.crossing.file_messages import Changed, Go, Offer, Stored
from qubes_manager.guest.commands.copying import copy_command
from qubes_manager.guest.commands.opening import open_command
from qubes_manager.guest.crossing.client import Result
from qubes_manager.guest.exchange import line
from qubes_manager.guest.services import open_in_vm
from qubes_manager.guest.services.filecopy import serve
from tests.guest.archive.archives import file, hostile, packed
from tests.killed import at_each_step


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The home of the domain whose program is killed."""
    folder = tmp_path / "home"
    (folder / ".config/gtk-3.0").mkdir(parents=True)
    monkeypatch.setenv("HOME", str(folder))
    monkeypatch.setenv("QREXEC_REMOTE_DOMAIN", "personal")
    monkeypatch.chdir(folder)
    return folder


class Answering:
    """A call whose service says *answer* when it has all that is sent to it, and takes note of that in *stored*."""

    target = "work"

    def __init__(self, stored: Path, answer: bytes = b"") -> None:
        self._stored = stored
        self._answer = answer
        self._sent = bytearray()
        self._is_over = self._has_gone = False

    def __call__(self, *_words: object, **_facts: object) -> Self:
        return self

    def write(self, data: bytes) -> None:
        self._sent += data

    def read(self, _size: int = 0) -> bytes:
        if not self._has_gone:
            self._has_gone = True
            return line(Go())
        if self._is_over:
            return b""
        self._is_over = True
        digest = self._sent[-32:]
        assert hashlib.sha256(self._sent[self._sent.index(b"\n") + 1 : -32]).digest() == digest
        self._stored.touch()
        return line(Stored(digest.hex())) + self._answer

    def join(self, source: int, target: int, *, clean: Callable[[bytes], bytes] = bytes, drops: bool = False) -> Result:
        raise NotImplementedError

    def finish(self) -> None:
        return

    def result(self) -> Result:
        return Result(0)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        return


class Sending:
    """The bytes of a call as a service sees them: all of *data*, and what it says goes to *said*."""

    def __init__(self, data: bytes, said: Path) -> None:
        self._data = data
        self._said = said

    def read(self, size: int, /) -> bytes:
        data, self._data = self._data[:size], self._data[size:]
        return data

    def write(self, data: bytes, /) -> None:
        with self._said.open("ab") as file:
            file.write(data)


def seen(folder: Path) -> dict[str, bytes]:
    """All files that a user sees there."""
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file() and not any(part.startswith(".") for part in path.relative_to(folder).parts)
    }


def hidden(folder: Path) -> list[str]:
    """What programs of ours have left there, which nobody sees."""
    return [path.name for path in folder.rglob(".*") if path.name != ".config"]


def test_a_receiver_shows_each_thing_whole_or_not_and_says_stored_of_all_alone(home: Path, tmp_path: Path) -> None:
    (tmp_path / "papers").mkdir()
    for name in ("papers/one", "papers/two", "three"):
        (tmp_path / name).write_bytes(name.encode() * 1000)
    archive, _packed, _problems = packed(tmp_path / "papers", tmp_path / "three")
    sent = {name: name.encode() * 1000 for name in ("papers/one", "papers/two", "three")}
    incoming, said = home / "QubesIncoming/personal", tmp_path / "said"
    seen_states = set[int]()
    for is_through in at_each_step(lambda: serve([], Sending(line(Offer(23_000, 4)) + archive, said))):
        shown = seen(incoming)
        assert shown in ({}, sent, {name: data for name, data in sent.items() if name != "three"})
        is_stored = b"stored" in said.read_bytes() if said.exists() else False
        assert not is_stored or shown == sent
        assert is_stored >= is_through
        seen_states.add(len(shown))
        for name in ("papers", "three"):
            _forget(incoming / name)
        said.unlink(missing_ok=True)
    assert seen_states == {0, 2, 3}
    assert hidden(home / "QubesIncoming") == []


def test_a_mover_deletes_when_all_is_stored_and_leaves_what_is_left_whole(home: Path, tmp_path: Path) -> None:
    stored, sent = tmp_path / "stored", {"papers/one": b"1" * 1000, "papers/two": b"22", "three": b""}
    seen_states = set[int]()
    _lay_out(home, sent)

    def move() -> None:
        assert copy_command("qvm-move", ["papers", "three"], moves=True, caller=Answering(stored)) == 0

    for is_through in at_each_step(move):
        left = seen(home)
        assert left.items() <= sent.items()
        assert left == sent or stored.exists()
        assert not (is_through and left)
        seen_states.add(len(left))
        stored.unlink(missing_ok=True)
        _lay_out(home, sent)
    assert seen_states == {0, 1, 2, 3}


def test_of_an_edited_file_there_is_an_old_one_whole_and_the_new_one_once_it_has_come(
    home: Path, tmp_path: Path
) -> None:
    came, before = tmp_path / "came", {"a": b"before", "papers/b": b"old"}
    after = {"a": b"edited" * 1000, "papers/b": b""}
    back = hostile([file(str(number), data) for number, data in enumerate(after.values())])
    answer = b"".join(line(Changed(name)) for name in ("a", "b")) + line(Offer(6000, 2)) + back
    _lay_out(home, before)
    seen_states = set[tuple[bool, ...]]()

    def edit() -> None:
        assert open_command("qvm-open-in-dvm", ["a", "papers/b"], caller=Answering(came, answer)) == 0

    for is_through in at_each_step(edit):
        shown = seen(home)
        news = tuple(shown[name] == after[name] for name in before)
        for name, is_new in zip(before, news, strict=True):
            assert shown[name] in (before[name], after[name])
            assert not is_new or shown[f"{name}~"] == before[name]
        # What came is seen from the moment when nobody else has it, and until each is in its place.
        rest = {name: data for name, data in shown.items() if name.startswith("QubesIncoming/work/edited/")}
        assert all(data in after.values() for data in rest.values())
        assert not any(news) or all(news) or len(rest) == 2
        assert shown.keys() <= {*before, "a~", "papers/b~", *rest}
        assert not is_through or (all(news) and not rest)
        seen_states.add(news)
        came.unlink(missing_ok=True)
        for name in ("a", "a~", "papers/b", "papers/b~", "QubesIncoming/work/edited"):
            _forget(home / name)
        _lay_out(home, before)
    assert seen_states == {(False, False), (True, False), (True, True)}
    assert hidden(home) == []


def test_what_a_service_saves_for_a_domain_that_has_gone_is_whole_or_not_there(home: Path, tmp_path: Path) -> None:
    work = tmp_path / "opened"
    _lay_out(work, {"a": b"1" * 100_000, "papers/b": b"2"})
    keep: Callable[[Path, Sequence[str]], None] = open_in_vm._keep
    landing = home / "QubesIncoming/personal"
    for is_through in at_each_step(lambda: keep(work, ["a", "papers/b"])):
        shown = seen(landing)
        assert shown.items() <= {"a": b"1" * 100_000, "b": b"2"}.items()
        assert len(shown) == 2 or not is_through
        for name in ("a", "b"):
            _forget(landing / name)
    assert hidden(home / "QubesIncoming") == []


def _lay_out(folder: Path, files: dict[str, bytes]) -> None:
    for name, data in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(data)


def _forget(path: Path) -> None:
    if path.is_dir():
        shutil.rmtree(path)
    elif path.exists():
        os.unlink(path)  # noqa: PTH108
