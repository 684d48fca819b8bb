"""The commands that make clean files of untrusted ones: a disposable draws plain pixels, of which new ones are made."""

import argparse
import os
from collections.abc import Sequence
from functools import partial
from pathlib import Path

from qubes_manager.core.crossing.file_messages import Clash, Offer
from qubes_manager.core.errors import NotFound, Refused
from qubes_manager.guest.archive.names import shown_name
from qubes_manager.guest.archive.placing import place
from qubes_manager.guest.commands.calling import Caller, Command, Conversation
from qubes_manager.guest.commands.drawing import CleanFile, draw_pages
from qubes_manager.guest.crossing.client import call
from qubes_manager.guest.exchange import Incoming, line

_CHUNK = 256 << 10


class Converter:
    """What differs between PDF files and pictures: the service, the clean file, and where the untrusted one goes."""

    def __init__(self, service: str, ending: str, aside: str, most_pages: int, clean_file: CleanFile) -> None:
        self.service = service
        self.ending = ending
        self.aside = aside
        self.most_pages = most_pages
        self.clean_file = clean_file


def convert_command(
    name: str, what: str, converter: Converter, arguments: Sequence[str] | None, caller: Caller = call
) -> int:
    """The whole of qvm-convert-pdf and qvm-convert-img; returns the exit code."""
    parser = argparse.ArgumentParser(
        name,
        description=f"Make clean {what} of untrusted ones, each in a disposable of its own: FILE becomes "
        f"FILE.trusted{converter.ending}, and the untrusted one goes to ~/{converter.aside}.",
        allow_abbrev=False,
    )
    parser.add_argument("files", metavar="FILE", nargs="+", type=Path)
    options = parser.parse_args(arguments)
    command = Command(name, caller)
    codes = [command.run(partial(_convert, command, converter, path)) for path in options.files]
    return max(codes)


def _convert(command: Command, converter: Converter, path: Path) -> int:
    if not path.is_file():
        raise NotFound(f"“{shown_name(str(path))}” is no file")
    size = path.stat().st_size
    fresh = path.with_name(f".{path.name[:100]}.{os.urandom(4).hex()}")
    try:
        with command.call(
            converter.service, "", "@dispvm", names=[shown_name(path.name)], count=1, size=size
        ) as conversation:
            _draw(command, conversation, converter, path, size, fresh)
            conversation.finish()
        clean, untrusted = _swap(converter, path, fresh)
    finally:
        fresh.unlink(missing_ok=True)
    command.say(f"“{shown_name(clean)}” is clean; the untrusted one is {shown_name(untrusted)}")
    return 0


def _draw(
    command: Command, conversation: Conversation, converter: Converter, path: Path, size: int, fresh: Path
) -> None:
    """Send the file, and draw what comes back into *fresh*; raises Refused for anything but pixels."""
    conversation.write(line(Offer(size, 1)))
    left = size
    with path.open("rb") as file:
        while left and (data := file.read(min(left, _CHUNK))):
            conversation.write(data)
            left -= len(data)
    if left:
        raise Refused(f"“{shown_name(path.name)}” became smaller while it was sent")
    progress = command.progress(0)
    try:
        draw_pages(Incoming(conversation.read), converter.clean_file, fresh, converter.most_pages, progress.add)
    finally:
        progress.clear()


def _swap(converter: Converter, path: Path, fresh: Path) -> tuple[str, str]:
    """Give the clean file its name, then put the untrusted one aside; returns both, the second with its folder."""
    with fresh.open("rb") as file:
        os.fsync(file.fileno())
    aside = Path.home() / converter.aside
    aside.mkdir(mode=0o700, exist_ok=True)
    here, there = (os.open(folder, os.O_RDONLY | os.O_DIRECTORY) for folder in (path.parent, aside))
    try:
        name = f"{path.name.removesuffix(path.suffix)}.trusted{converter.ending}"
        clean = place(here, fresh.name, here, name, Clash.NUMBER)
        try:
            untrusted = place(here, path.name, there, path.name, Clash.NUMBER)
        except OSError:
            # Another file system: it stays where it is, under a name that says what it is.
            return clean, place(here, path.name, here, f"{path.name}-untrusted", Clash.NUMBER)
    finally:
        os.close(here)
        os.close(there)
    return clean, str(aside / untrusted)
