"""Looking at image files."""

import hashlib
from pathlib import Path

import pytest

from qubes_manager.backend.storage.images import file_digest
from qubes_manager.core.errors import Cancelled
from tests.heard_progress import HeardProgress

MIB = 1 << 20


def test_a_digest_tells_how_far_it_is_and_stops_when_asked(tmp_path: Path) -> None:
    image = tmp_path / "system.img"
    image.write_bytes(b"x" * (2 * MIB + 5))
    progress = HeardProgress()
    progress.step("Checking", 2 * MIB + 5)
    assert file_digest(image, "sha256", progress) == hashlib.sha256(image.read_bytes()).hexdigest()
    assert [done for done, _total in progress.amounts["Checking"]] == [0, MIB, 2 * MIB, 2 * MIB + 5]
    stopped = HeardProgress(stop_at="Checking")
    stopped.step("Checking")
    with pytest.raises(Cancelled):
        file_digest(image, "sha256", stopped)
    assert stopped.amounts["Checking"] == [(0, 0)]
