"""The silent progress that all share, and how receivers stop a job."""

import pytest

from qubes_manager.core.errors import Cancelled
from qubes_manager.core.progress import SILENT, Progress


class _Stopped(Progress):
    @property
    def is_cancelled(self) -> bool:
        return True


def test_the_silent_one_stops_nobody_and_keeps_nothing() -> None:
    SILENT.step("Copying", 10)
    SILENT.at(3)
    SILENT.at(4, 20)
    SILENT.raise_if_cancelled()
    assert not SILENT.is_cancelled
    # What has no state of its own may be the default argument of everything.
    with pytest.raises(AttributeError):
        SILENT.total = 10  # type: ignore[attr-defined]


def test_a_job_stops_where_it_asks_its_receiver() -> None:
    with pytest.raises(Cancelled, match="nothing was changed"):
        _Stopped().raise_if_cancelled()
