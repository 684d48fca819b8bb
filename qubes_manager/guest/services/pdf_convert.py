"""qubes.PdfConvert and qubes.GetImageRGBA: make plain pixels of a PDF or a picture that nobody vouches for.

It is meant for a disposable, which the file may well take over: whoever asked checks what comes of it.
"""

import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import IO

from qubes_manager.core.crossing.file_messages import Failure, Offer, Page, Pages
from qubes_manager.core.errors import NotFound, QubesManagerError, Refused
from qubes_manager.guest.archive.unpacking import refuse_without_room
from qubes_manager.guest.exchange import (
    Incoming,
    StandardStreams,
    Stream,
    clear_up_when_ended,
    line,
    plain_reason,
)

# Pixels for an inch of a PDF's page.
RESOLUTION = 200
_CHUNK = 256 << 10
_FOLDER = "/var/tmp"  # noqa: S108 - mkdtemp makes a folder of our own there
_PDF = b"%PDF-"


def main(arguments: Sequence[str] = ()) -> int:
    """Entry point."""
    return serve(arguments, StandardStreams())


def serve(_arguments: Sequence[str], stream: Stream) -> int:
    """Convert what comes through *stream*; returns the exit code."""
    clear_up_when_ended()
    try:
        with tempfile.TemporaryDirectory(prefix="convert-", dir=os.environ.get("TMPDIR", _FOLDER)) as folder:
            _convert(_take(Path(folder), stream), stream)
    except (QubesManagerError, OSError) as error:
        # Whom it is to be told to may have gone.
        with suppress(QubesManagerError, OSError):
            stream.write(line(Failure(plain_reason(error))))
        return 1
    return 0


def _take(folder: Path, stream: Stream) -> Path:
    incoming = Incoming(stream.read)
    offer = incoming.expect(Offer)
    refuse_without_room(folder, offer)
    path, left = folder / "file", offer.size
    with path.open("xb") as file:
        while left:
            if not (data := incoming.read(min(left, _CHUNK))):
                raise Refused("what came ends in the middle")
            file.write(data)
            left -= len(data)
    return path


def _convert(path: Path, stream: Stream) -> None:
    with path.open("rb") as file:
        is_pdf = _PDF in file.read(1024)
    if is_pdf:
        _convert_pdf(path, stream)
    else:
        _convert_picture(path, stream)


def _convert_pdf(path: Path, stream: Stream) -> None:
    count = _page_count(path)
    stream.write(line(Pages(count)))
    for number in map(str, range(1, count + 1)):
        words = ["pdftoppm", "-r", str(RESOLUTION), "-f", number, "-l", number, "-singlefile", str(path)]
        with subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as drawing:
            assert drawing.stdout
            page = _read_head(drawing.stdout)
            stream.write(line(page))
            for data in _pixels(drawing.stdout, page.size):
                stream.write(data)


def _page_count(path: Path) -> int:
    try:
        told = subprocess.run(["pdfinfo", path], capture_output=True, check=True)  # noqa: S607 - the system's own
    except FileNotFoundError:
        raise NotFound("poppler-utils is not installed there, which draws PDF files") from None
    except subprocess.CalledProcessError:
        raise Refused("it is no PDF file that can be read") from None
    for text in told.stdout.decode("utf-8", "replace").splitlines():
        key, _, value = text.partition(":")
        if key == "Pages" and value.strip().isdecimal():
            return int(value)
    raise Refused("it is a PDF file without pages")


def _read_head(drawn: IO[bytes]) -> Page:
    """The head of a PPM picture, as pdftoppm writes it: its kind, width and height, and the highest value."""
    kind, size, highest = (drawn.readline(100).split() for _ in range(3))
    if kind != [b"P6"] or len(size) != 2 or highest != [b"255"]:
        raise Refused("a page cannot be drawn")
    return Page(*map(int, size))


def _pixels(drawn: IO[bytes], size: int) -> Iterator[bytes]:
    while size:
        if not (data := drawn.read(min(size, _CHUNK))):
            raise Refused("a page was not drawn to its end")
        size -= len(data)
        yield data


def _convert_picture(path: Path, stream: Stream) -> None:
    try:
        # Debian's python3-pil.
        from PIL import Image
    except ImportError:
        raise NotFound("python3-pil is not installed there, which reads pictures") from None
    try:
        with Image.open(path) as picture:
            # What shines through is white.
            seen = Image.alpha_composite(Image.new("RGBA", picture.size, "white"), picture.convert("RGBA"))
            pixels = seen.convert("RGB").tobytes()
    except (ValueError, SyntaxError, OSError, Image.DecompressionBombError) as error:
        raise Refused("it is neither a PDF file nor a picture that can be read") from error
    stream.write(line(Pages(1)) + line(Page(*seen.size)))
    stream.write(pixels)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
