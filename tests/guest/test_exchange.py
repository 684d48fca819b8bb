"""Lines and bytes of a call in turns, and where files of other domains land."""

import io
import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from qubes_manager.core.crossing.file_messages import Failure, Go, Offer
from qubes_manager.core.errors import Refused, TimedOut
from qubes_manager.guest.exchange import Incoming, incoming_folder, line, plain_reason, standard_input


@given(st.binary(max_size=300), st.integers(1, 50))
def test_bytes_behind_a_line_are_all_there(data: bytes, most: int) -> None:
    stream = io.BytesIO(line(Offer(1, 2)) + data)
    incoming = Incoming(lambda _most: stream.read(most))
    assert incoming.expect(Offer) == Offer(1, 2)
    assert b"".join(iter(lambda: incoming.read(7), b"")) == data


def test_many_small_pieces_are_read_at_once() -> None:
    """Each read of a port is dear."""
    asked: list[int] = []
    stream = io.BytesIO(bytes(100_000))

    def read(most: int) -> bytes:
        asked.append(most)
        return stream.read(most)

    incoming = Incoming(read)
    assert [len(incoming.read(512)) for _ in range(100)] == [512] * 100
    assert len(asked) == 1
    assert len(incoming.read(1 << 18)) == 65536 - 51200, "what is there comes first"
    assert len(incoming.read(1 << 18)) == 100_000 - 65536
    assert asked[-1] == 1 << 18, "much goes straight through"


def test_a_failure_is_said_in_the_other_sides_words() -> None:
    incoming = Incoming(io.BytesIO(line(Failure("the disk is full"))).read)
    with pytest.raises(Refused, match="the disk is full"):
        incoming.expect(Go)


@pytest.mark.parametrize(
    "said", [b"", b"{", line(Offer(1, 1)), b"x" * 100_000], ids=["nothing", "half", "other", "much"]
)
def test_whatever_else_comes_is_refused(said: bytes) -> None:
    with pytest.raises(Refused):
        Incoming(io.BytesIO(said).read).expect(Go)


def test_a_line_that_never_ends_is_not_waited_for() -> None:
    with pytest.raises(Refused, match="too much"):
        Incoming(lambda most: b"x" * most).message()


def test_who_stalls_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    reading, writing = os.pipe()
    with os.fdopen(reading) as stdin:
        monkeypatch.setattr("sys.stdin", stdin)
        read = standard_input(0.05)
        os.write(writing, b"x")
        assert read(10) == b"x"
        with pytest.raises(TimedOut, match="nothing has come"):
            read(10)
        os.close(writing)
        assert read(10) == b""


def test_files_land_in_a_folder_of_their_domain(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    assert incoming_folder("Windows 10") == incoming_folder("Windows 10") == tmp_path / "QubesIncoming/Windows 10"
    incoming_folder("work")
    bookmarks = (tmp_path / ".config/gtk-3.0/bookmarks").read_text()
    assert bookmarks == f"{(tmp_path / 'QubesIncoming').as_uri()}\n"


@pytest.mark.parametrize("name", ["", ".", "..", "a/b", "a\nb", "\u202e", "x" * 300], ids=range(7))
def test_what_is_no_name_of_a_domain_gets_no_folder(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    with pytest.raises(Refused):
        incoming_folder(name)
    assert list(tmp_path.iterdir()) == []


def test_reasons_are_words() -> None:
    assert plain_reason(BrokenPipeError(32, "Broken pipe")) == "the other side has gone"
    assert plain_reason(PermissionError(13, "Permission denied", "a")) == "a: Permission denied"
    assert plain_reason(Refused("no")) == "no"
