"""qvm-convert-pdf: makes clean PDF files of untrusted ones, by plain pixels that a disposable draws."""

from collections.abc import Sequence

from qubes_manager.core.crossing.file_messages import MAX_PAGES
from qubes_manager.core.crossing.services import PDF_CONVERT
from qubes_manager.guest.commands.calling import Caller
from qubes_manager.guest.commands.converting import Converter, convert_command
from qubes_manager.guest.commands.drawing import PdfFile
from qubes_manager.guest.crossing.client import call


def main(arguments: Sequence[str] | None = None, caller: Caller = call) -> int:
    """Entry point."""
    converter = Converter(PDF_CONVERT, ".pdf", "QubesUntrustedPDFs", MAX_PAGES, PdfFile)
    return convert_command("qvm-convert-pdf", "PDF files", converter, arguments, caller)
