"""The numbers of disposables, in a file."""

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from qubes_manager.core.disposables import NUMBERS
from qubes_manager.core.errors import Refused
from qubes_manager.services.disposables.numbers import DisposableNumbers


def test_programs_that_ask_at_once_get_different_numbers(tmp_path: Path) -> None:
    path = tmp_path / "state" / "disposables.json"
    with ThreadPoolExecutor(4) as threads:
        found = list(threads.map(lambda _turn: DisposableNumbers(path).take(()), range(40)))
    assert len(set(found)) == 40


@pytest.mark.parametrize("text", ["", "[]", "{", '{"a": 1}', '{"1": "x"}'])
def test_a_file_that_makes_no_sense_counts_as_empty(tmp_path: Path, text: str) -> None:
    path = tmp_path / "disposables.json"
    path.write_text(text)
    number = DisposableNumbers(path).take(())
    assert DisposableNumbers(path).take(set(range(NUMBERS)) - {number}) == number, "it is the last one that is free"


def test_there_are_no_more_disposables_than_numbers(tmp_path: Path) -> None:
    with pytest.raises(Refused, match="10000 disposables already"):
        DisposableNumbers(tmp_path / "disposables.json").take(range(NUMBERS))


def test_a_folder_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(Refused, match="file"):
        DisposableNumbers(tmp_path / "file" / "disposables.json").take(())
