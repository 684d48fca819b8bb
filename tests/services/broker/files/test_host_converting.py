"""Clean copies of this machine's files: drawn by the real service in a guest, made in the real sandbox."""

import os
import subprocess
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from PIL import Image

from qubes_manager.backend.host.host_facts import SYSTEM_PYTHON
from qubes_manager.core.crossing.broker_messages import TransferPhase
from qubes_manager.core.crossing.file_requests import AwaitCopy, ConvertFiles, CopyBegun, CopyReport
from qubes_manager.core.errors import QubesManagerError
from tests.services.broker.conftest import Crossing
from tests.services.broker.files.conftest import Copying
from tests.services.broker.files.test_host_opening import OneDisposable, serving


@pytest.fixture
async def copying(crossing: Crossing, tmp_path: Path) -> AsyncIterator[Copying]:
    if subprocess.run([SYSTEM_PYTHON, "-c", "import cairo"], check=False, capture_output=True).returncode:
        pytest.skip("the system has no python3-cairo")
    copying = Copying(crossing, tmp_path / "world")
    yield copying
    await copying.close()


async def converted(copying: Copying, *paths: Path) -> CopyReport:
    begun = await copying.answer(ConvertFiles("", tuple(map(str, paths))))
    assert isinstance(begun, CopyBegun)
    report = await copying.answer(AwaitCopy(begun.transfer))
    assert isinstance(report, CopyReport)
    return report


def names(copying: Copying) -> list[str]:
    return sorted(path.name for path in copying.files.iterdir())


async def prepared(copying: Copying) -> tuple[OneDisposable, Path]:
    path = copying.files / "photo.jpeg"
    Image.new("RGB", (40, 20), (200, 30, 10)).save(path, quality=100)
    return await serving(copying), path


async def test_a_clean_copy_lies_beside_the_file_which_stays(copying: Copying) -> None:
    disposable, photo = await prepared(copying)
    before = photo.read_bytes()
    pdf = copying.files / "a.b.pdf"
    Image.new("RGB", (40, 20), "blue").save(pdf)
    report = await converted(copying, photo, pdf)
    assert names(copying) == ["a.b.pdf", "a.b.trusted.pdf", "photo.jpeg", "photo.trusted.png"]
    assert photo.read_bytes() == before
    with Image.open(copying.files / "photo.trusted.png") as picture:
        assert picture.size == (40, 20)
    assert (copying.files / "a.b.trusted.pdf").read_bytes().startswith(b"%PDF-")
    assert report.remarks[0] == "“photo.trusted.png” is clean; “photo.jpeg” is as it was"
    assert (report.count, report.is_partial, copying.told[-1].phase) == (2, False, TransferPhase.DONE)
    # Each file had one of its own.
    assert (len(disposable.made_of), disposable.is_gone) == (2, True)
    # The next copy of the same file does not take the place of the first.
    await converted(copying, photo)
    assert "photo.trusted (2).png" in names(copying)


async def test_a_name_may_be_as_long_as_its_clean_copys_can_be(copying: Copying) -> None:
    _disposable, photo = await prepared(copying)
    stem = "写" * 80
    await converted(copying, photo.rename(photo.with_name(f"{stem}.jpeg")))
    assert names(copying) == [f"{stem}.jpeg", f"{stem}.trusted.png"]


async def test_one_that_cannot_be_drawn_keeps_no_other_from_it_and_leaves_nothing(copying: Copying) -> None:
    _disposable, photo = await prepared(copying)
    nonsense = copying.file("nonsense.png", b"nothing at all")
    os.mkfifo(copying.files / "pipe.pdf")
    report = await converted(copying, nonsense, copying.files / "gone.pdf", copying.files / "pipe.pdf", photo)
    assert report.is_partial
    assert report.remarks == (
        "“nonsense.png”: it is neither a PDF file nor a picture that can be read",
        "“gone.pdf”: No such file or directory",
        "“pipe.pdf”: it is no file",
        "“photo.trusted.png” is clean; “photo.jpeg” is as it was",
    )
    assert names(copying) == ["nonsense.png", "photo.jpeg", "photo.trusted.png", "pipe.pdf"]
    with pytest.raises(QubesManagerError, match=r"“nonsense\.png”: it is neither"):
        await converted(copying, nonsense)
    assert copying.told[-1].phase is TransferPhase.FAILED
