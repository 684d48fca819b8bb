"""Images with their checksums."""

from pathlib import Path

import qasync
from pytestqt.qtbot import QtBot

from qubes_manager.ui.dialogs.image_field import ChecksumField, ImageField
from tests.ui.conftest import run
from tests.waiting import until


def test_a_checksum_is_taken_from_a_list(qtbot: QtBot, loop: qasync.QEventLoop, tmp_path: Path) -> None:
    sums = tmp_path / "SHA256SUMS"
    sums.write_text(f"{'1' * 64}  other.iso\n{'a' * 64} *debian.qcow2\nSHA256 (bsd.img) = {'b' * 64}\n")
    image = ImageField()
    field = ChecksumField(image)
    for widget in (image, field):
        qtbot.addWidget(widget)

    def said() -> str:
        return field.value or field.text.placeholderText()

    async def take(name: str) -> str:
        image.path.setText(f"/images/{name}")
        before = said()
        field.take_from(str(sums))
        await until(lambda: said() != before)
        return said()

    assert run(loop, take("debian.qcow2")) == "a" * 64
    assert run(loop, take("bsd.img")) == "b" * 64
    assert "has no checksum for “missing.img”" in run(loop, take("missing.img"))
