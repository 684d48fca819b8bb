"""The program that ``clean_file`` runs: pages of plain pixels on standard input, a clean file on standard output."""

import sys

from qubes_manager.core.crossing.file_messages import MAX_PAGES
from qubes_manager.core.errors import QubesManagerError
from qubes_manager.guest.commands.drawing import PdfFile, PngFile, draw_pages
from qubes_manager.guest.exchange import Incoming


def main() -> None:
    """Entry point."""
    kind, most_pages = (PdfFile, MAX_PAGES) if sys.argv[1] == "pdf" else (PngFile, 1)
    try:
        with open(0, "rb", buffering=0) as pixels, open(1, "wb") as clean:
            draw_pages(Incoming(pixels.read), kind, clean, most_pages, lambda _count: None)
    except (QubesManagerError, OSError) as error:
        sys.exit(str(error))


if __name__ == "__main__":
    main()
