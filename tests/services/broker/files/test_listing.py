"""What folders of domains hold."""

import pytest

from qubes_manager.core.crossing.file_requests import FileList, ListFiles
from qubes_manager.core.errors import GuestError
from tests.services.broker.files.conftest import Copying


async def test_a_guest_tells_what_its_folders_hold(copying: Copying) -> None:
    work = await copying.guest("work")
    (work.home / "two\nlines").write_bytes(b"123")
    answer = await copying.answer(ListFiles(work.guest.uuid))
    assert isinstance(answer, FileList)
    assert (answer.path, [(e.name, e.size) for e in answer.entries]) == (str(work.home), [("two\nlines", 3)])
    with pytest.raises(GuestError, match="No such file"):
        await copying.answer(ListFiles(work.guest.uuid, "/nowhere"))
