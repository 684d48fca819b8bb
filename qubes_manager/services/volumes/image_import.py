"""Getting an image file ready to become a volume: checked, unpacked, converted."""

import asyncio
import sys
from collections.abc import AsyncIterator
from contextlib import ExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from qubes_manager.backend.storage import image_files
from qubes_manager.backend.storage.images import (
    Image,
    inspect_image,
    is_plain,
    open_regular,
    require_system,
    shown_name,
)
from qubes_manager.core.checksums import Checksum
from qubes_manager.core.errors import QubesManagerError, Refused
from qubes_manager.core.progress import SILENT, Progress
from qubes_manager.services.files.scratch import scratch


@dataclass(frozen=True, slots=True)
class ReadyImage:
    """An image that can be copied as it is, and the file, open, that has it.

    *verified* is the checksum that its source was found to have (``sha256:…``). *checksum* is set where the file is
    still that source, in which somebody else may write: the bytes that are copied must have it too. *path* is where
    an optical disc lies that is used in its place; a disc without one must be copied.
    """

    image: Image
    file: BinaryIO
    verified: str = ""
    checksum: str = ""
    path: Path | None = None


@asynccontextmanager
async def ready_image(
    source: Path, checksum: str = "", *, discs: bool = False, limit: int = 0, progress: Progress = SILENT
) -> AsyncIterator[ReadyImage]:
    """Check the file *source* and make it a qcow2 image; what that takes is gone afterwards.

    It is opened once. A packed one (gzip, xz, zstd) is unpacked, to at most *limit* bytes, or without a limit to what
    is free. All but plain qcow2 is converted, and with *discs* ISO images stay what they are. The checksum is that of
    the file as it is. Raises NotFound, Refused, BadInput, Cancelled.
    """
    with ExitStack() as files:
        file = files.enter_context(await asyncio.to_thread(open_regular, source))
        async with scratch("import") as work:
            job = _Preparation(source, file, work, files, discs, limit, progress)
            try:
                ready = await asyncio.to_thread(job.run, checksum)
            except OSError as error:
                raise QubesManagerError(f"cannot prepare “{job.name}” in {work.parent}: {error.strerror}") from error
            yield ready


@dataclass(frozen=True, slots=True)
class _Preparation:
    """Works in the folder *work*; the files that it opens are closed by *files*. Blocks."""

    path: Path
    source: BinaryIO
    work: Path
    files: ExitStack
    discs: bool
    limit: int
    progress: Progress

    @property
    def name(self) -> str:
        return shown_name(self.path)

    def run(self, text: str) -> ReadyImage:
        checksum = Checksum(text)
        file = self._plain(checksum)
        verified = checksum.require(self.name)
        image = inspect_image(file, self.name)
        require_system(image)
        if image.is_iso and self.discs:
            # What lies at a path can be another disc by the time that a domain starts from it.
            in_place = file is self.source and not verified
            return ReadyImage(image, file, verified, path=self.path.expanduser().absolute() if in_place else None)
        if image.plain:
            return ReadyImage(image, file, verified, text if file is self.source else "")
        if verified and file is self.source:
            raise Refused(f"“{self.name}” was written to while it was read; nothing was created")
        self.progress.step("Converting the image", image.capacity)
        made = self._new("converted.qcow2")
        image_files.convert(file, image, made, image_files.spare_room(self.work), self.progress)
        return ReadyImage(Image(self.name, "qcow2", image.capacity, plain=True), made, verified)

    def _plain(self, checksum: Checksum) -> BinaryIO:
        """The image without what it is packed in; a file of our own where what was checked could change otherwise."""
        if image_files.unpacker(self.source):
            self.progress.step("Unpacking the image")
            plain = self._new("plain")
            image_files.unpack(self.source, self._sparse(plain, self.limit), checksum, self.progress)
            return plain
        if not checksum:
            return self.source
        self.progress.step("Checking the image’s checksum")
        if is_plain(self.source):
            # The bytes are compared again as they are uploaded.
            image_files.read_through(self.source, checksum, self.progress)
            return self.source
        plain = self._new("plain")
        image_files.copy(self.source, self._sparse(plain, sys.maxsize), checksum, self.progress)
        return plain

    def _sparse(self, file: BinaryIO, limit: int) -> image_files.SparseFile:
        room = image_files.spare_room(self.work)
        return image_files.SparseFile(file, self.name, room, limit or room)

    def _new(self, name: str) -> BinaryIO:
        return self.files.enter_context((self.work / name).open("x+b"))
