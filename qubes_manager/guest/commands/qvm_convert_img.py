"""qvm-convert-img: makes clean pictures (PNG) of untrusted ones, by plain pixels that a disposable draws."""

from collections.abc import Sequence

from qubes_manager.core.crossing.services import GET_IMAGE
from qubes_manager.guest.commands.calling import Caller
from qubes_manager.guest.commands.converting import Converter, convert_command
from qubes_manager.guest.commands.drawing import PngFile
from qubes_manager.guest.crossing.client import call


def main(arguments: Sequence[str] | None = None, caller: Caller = call) -> int:
    """Entry point."""
    converter = Converter(GET_IMAGE, ".png", "QubesUntrustedImages", 1, PngFile)
    return convert_command("qvm-convert-img", "pictures", converter, arguments, caller)
