"""Clean files, drawn in the sandbox of what a stranger sends."""

import io
import subprocess
from collections.abc import AsyncIterator

import pytest
from PIL import Image

from qubes_manager.backend.host.clean_file import PDF, PNG, clean_file
from qubes_manager.backend.host.host_facts import SYSTEM_PYTHON
from qubes_manager.core.crossing.file_messages import Failure, Page, Pages
from qubes_manager.core.errors import GuestError, Refused
from qubes_manager.core.json_lines import Message


@pytest.fixture(autouse=True)
def cairo() -> None:
    if subprocess.run([SYSTEM_PYTHON, "-c", "import cairo"], check=False, capture_output=True).returncode:
        pytest.skip("the system has no python3-cairo")


def line(message: Message) -> bytes:
    return message.to_json().encode() + b"\n"


def pages(*colours: bytes, width: int = 40, height: int = 20) -> bytes:
    drawn = (line(Page(width, height)) + colour * width * height for colour in colours)
    return line(Pages(len(colours))) + b"".join(drawn)


async def in_pieces(data: bytes) -> AsyncIterator[bytes]:
    for start in range(0, len(data), 1000):
        yield data[start : start + 1000]


async def drawn(data: bytes, kind: str) -> bytes:
    async with clean_file(in_pieces(data), kind) as pieces:
        return b"".join([piece async for piece in pieces])


async def test_a_picture_has_the_pixels_that_came() -> None:
    with Image.open(io.BytesIO(await drawn(pages(b"\xc8\x1e\x0a"), PNG))) as picture:
        assert (picture.size, picture.convert("RGB").getpixel((39, 19))) == ((40, 20), (200, 30, 10))


async def test_a_pdf_has_the_pages_that_came() -> None:
    made = await drawn(pages(b"\xff\x00\x00", b"\x00\x00\xff"), PDF)
    told = subprocess.run(["pdfinfo", "-"], input=made, check=True, capture_output=True).stdout.decode()
    assert "Pages:           2" in told


@pytest.mark.parametrize(
    ("data", "kind", "reason"),
    [
        (b"%PDF-1.7 all that is in it\n", PDF, "makes no sense"),
        (pages(b"\x00\x00\x00")[:-1], PNG, "ends in the middle"),
        (pages(b"\x00\x00\x00", b"\x00\x00\x00"), PNG, "at most 1"),
        (line(Failure("it is no picture")), PNG, "it is no picture"),
        (line(Pages(1)) + b'{"type": "page", "width": 20000, "height": 20000}\n', PNG, "400000000|20000 by 20000"),
        (b"", PDF, "."),
    ],
    ids=["no pixels", "too few", "too many pages", "a reason", "too large", "nothing"],
)
async def test_nothing_else_becomes_a_file(data: bytes, kind: str, reason: str) -> None:
    with pytest.raises(Refused, match=reason):
        await drawn(data, kind)


async def test_what_breaks_on_its_way_says_why() -> None:
    async def broken() -> AsyncIterator[bytes]:
        yield pages(b"\x00\x00\x00")[:50]
        raise GuestError("the disposable is gone")

    with pytest.raises(GuestError, match="is gone"):
        async with clean_file(broken(), PNG) as pieces:
            async for _piece in pieces:
                pass
