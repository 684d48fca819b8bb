"""Logs, read by pieces."""

import os
from pathlib import Path

import pytest

from qubes_manager.backend.host.log_files import read_growth, read_piece
from qubes_manager.core.errors import NotFound, Refused


def test_a_log_is_read_from_its_end_by_whole_lines(tmp_path: Path) -> None:
    log = tmp_path / "x.log"
    lines = [f"line {i}\n" for i in range(1000)]
    log.write_text("".join(lines))
    last = read_piece(log, size=100)
    assert last.data.startswith(b"line ")
    assert last.data.endswith(b"line 999\n")
    assert len(last.data) <= 100
    text = last.data
    while last.start:
        last = read_piece(log, end=last.start, size=100)
        text = last.data + text
    assert text == log.read_bytes()


def test_growth_is_read_and_a_replaced_log_from_its_start(tmp_path: Path) -> None:
    log = tmp_path / "x.log"
    log.write_text("one\n")
    piece = read_piece(log)
    with log.open("a") as file:
        file.write("two\n")
    piece = read_growth(log, piece)
    assert piece.data == b"two\n"
    log.unlink()
    log.write_text("new\n")
    assert read_growth(log, piece).data == b"new\n"
    with pytest.raises(NotFound):
        read_piece(tmp_path / "none.log")


@pytest.mark.parametrize("again", ["", "x\n", "another beginning\nthat is longer than what was there\n"])
def test_a_log_that_is_begun_anew_in_its_place_is_noticed(tmp_path: Path, again: str) -> None:
    log = tmp_path / "x.log"
    log.write_text("one\ntwo\n")
    piece = read_piece(log)
    # The inode stays, and there may be more in it than before by now.
    log.write_text(again)
    grown = read_growth(log, piece)
    assert (grown.data.decode(), grown.start) == (again, 0)
    with log.open("a") as file:
        file.write("more\n")
    assert read_growth(log, grown).data == b"more\n"


def test_what_is_no_file_keeps_nobody_waiting(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "x.log")
    with pytest.raises(Refused, match="it is no file"):
        read_piece(tmp_path / "x.log")
