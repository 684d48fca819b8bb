"""Why domains stand still, in words."""

import pytest

from qubes_manager.core.pauses import DiskError, Pause, pause_words


@pytest.mark.parametrize(
    ("pause", "errors", "words"),
    [
        (Pause.USER, (), "by the user"),
        (Pause.IO_ERROR, (), "I/O error"),
        (Pause.IO_ERROR, (DiskError("vdb", True),), "no space for vdb"),
        (Pause.IO_ERROR, (DiskError("vdb", True), DiskError("vda", False)), "no space for vdb, I/O error on vda"),
        (Pause.IO_ERROR, [DiskError(f"vd{c}", True) for c in "abcde"], "no space for vda, vdb, vdc and 2 more"),
        # What was the matter before somebody paused it is not why it stands still.
        (Pause.USER, (DiskError("vdb", True),), "by the user"),
    ],
    ids=str,
)
def test_a_pause_names_the_disks_that_stop_it(pause: Pause, errors: list[DiskError], words: str) -> None:
    assert pause_words(pause, errors) == words


def test_only_what_nobody_wanted_is_trouble() -> None:
    assert {pause for pause in Pause if pause.is_trouble} == {
        Pause.IO_ERROR,
        Pause.WATCHDOG,
        Pause.PANIC,
        Pause.POSTCOPY_FAILED,
        Pause.API_ERROR,
    }
