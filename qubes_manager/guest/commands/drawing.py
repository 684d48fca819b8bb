"""Makes clean files of plain pixels, with cairo, which every session has."""

from collections.abc import Callable
from pathlib import Path
from typing import Any, BinaryIO

from qubes_manager.core.crossing.file_messages import Page, Pages
from qubes_manager.core.errors import NotFound, Refused
from qubes_manager.guest.exchange import Incoming
from qubes_manager.guest.services.pdf_convert import RESOLUTION

# A PDF's own unit is a seventy-second of an inch.
_POINTS = 72 / RESOLUTION
_CHUNK = 256 << 10


# Where a clean file goes: a path, or a stream that is open.
Place = Path | BinaryIO


class PdfFile:
    """A PDF file that is written page by page; raises NotFound without cairo, OSError."""

    def __init__(self, place: Place) -> None:
        self._cairo = _cairo()
        self._surface = self._cairo.PDFSurface(_target(place), 1, 1)

    def add(self, page: Page, pixels: bytes) -> None:
        """Draw a page that is nothing but these pixels."""
        self._surface.set_size(page.width * _POINTS, page.height * _POINTS)
        context = self._cairo.Context(self._surface)
        context.scale(_POINTS, _POINTS)
        context.set_source_surface(_picture(self._cairo, page, pixels))
        context.paint()
        context.show_page()

    def close(self) -> None:
        """Write what is left."""
        self._surface.finish()


class PngFile:
    """A PNG file of one picture."""

    def __init__(self, place: Place) -> None:
        self._cairo = _cairo()
        self._place = place

    def add(self, page: Page, pixels: bytes) -> None:
        """Write the picture."""
        _picture(self._cairo, page, pixels).write_to_png(_target(self._place))

    def close(self) -> None:
        """Nothing is left to be written."""


CleanFile = Callable[[Place], PdfFile | PngFile]


def draw_pages(
    incoming: Incoming, clean_file: CleanFile, place: Place, most_pages: int, add: Callable[[int], object]
) -> None:
    """Make a clean file of what comes back; raises Refused for anything but pixels. *add* hears of bytes."""
    count = incoming.expect(Pages).count
    if not 0 < count <= most_pages:
        raise Refused(f"{count} pages come back; at least 1 and at most {most_pages} are taken")
    clean = clean_file(place)
    for _ in range(count):
        page = incoming.expect(Page)
        clean.add(page, _read_exactly(incoming, page.size, add))
    clean.close()


def _read_exactly(incoming: Incoming, size: int, add: Callable[[int], object]) -> bytes:
    pixels = bytearray()
    while len(pixels) < size:
        if not (data := incoming.read(min(size - len(pixels), _CHUNK))):
            raise Refused("what comes back ends in the middle")
        pixels += data
        add(len(data))
    return bytes(pixels)


def _target(place: Place) -> str | BinaryIO:
    return str(place) if isinstance(place, Path) else place


def _picture(cairo: Any, page: Page, pixels: bytes) -> Any:
    # In memory each pixel is a number of 32 bits, in the machine's order: here the lowest byte comes first.
    data = bytearray(4 * page.width * page.height)
    data[0::4], data[1::4], data[2::4] = pixels[2::3], pixels[1::3], pixels[0::3]
    return cairo.ImageSurface.create_for_data(data, cairo.FORMAT_RGB24, page.width, page.height)


def _cairo() -> Any:
    try:
        import cairo
    except ImportError:
        raise NotFound("python3-cairo is not installed here, which writes the clean file") from None
    return cairo
