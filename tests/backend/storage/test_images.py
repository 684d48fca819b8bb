"""Image files on their way in: the amounts that they tell, and where they stop."""

import gzip
import hashlib
from pathlib import Path

import pytest

from qubes_manager.backend.storage.image_files import unpack
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


def test_unpacking_tells_how_much_of_the_packed_file_is_read_and_stops_when_asked(tmp_path: Path) -> None:
    packed, plain = tmp_path / "system.img.gz", tmp_path / "system.img"
    packed.write_bytes(gzip.compress(b"x" * (3 * MIB)))
    size = packed.stat().st_size
    progress = HeardProgress()
    progress.step("Unpacking")
    unpack(packed, plain, progress)
    assert plain.stat().st_size == 3 * MIB
    assert progress.amounts["Unpacking"][-1] == (size, size)
    stopped = HeardProgress(stop_at="Unpacking")
    stopped.step("Unpacking")
    with pytest.raises(Cancelled):
        unpack(packed, tmp_path / "other.img", stopped)
