"""Getting an image file ready to become a volume: checked, unpacked, converted."""

import asyncio
import hmac
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from qubes_manager.backend.storage import image_files
from qubes_manager.backend.storage.images import Image, check_readable, file_digest, inspect_image, require_system
from qubes_manager.core.creation_request import parse_checksum
from qubes_manager.core.errors import QubesManagerError, Refused
from qubes_manager.core.progress import SILENT, Progress
from qubes_manager.services.files.scratch import scratch

_KEPT_FORMATS = ("raw", "qcow2")


@dataclass(frozen=True, slots=True)
class ReadyImage:
    """An image to copy from, and the checksum that its source was found to have (``sha256:…``)."""

    image: Image
    verified: str = ""


@asynccontextmanager
async def ready_image(
    source: Path, checksum: str, *, as_qcow2: bool, progress: Progress = SILENT
) -> AsyncIterator[ReadyImage]:
    """Check the file *source* and make it an image that can be copied as it is; what that takes is gone afterwards.

    A compressed one (gzip, xz, zstd) is unpacked, and formats other than raw and qcow2 (with *as_qcow2*, than qcow2)
    are converted. The checksum is that of the file as it is. Raises NotFound, Refused, BadInput, Cancelled.
    """
    path = await asyncio.to_thread(check_readable, source)
    verified = await _verify(path, checksum, progress) if checksum else ""
    async with scratch("import") as work:
        try:
            image = await asyncio.to_thread(_make_ready, path, work, as_qcow2, progress)
        except OSError as error:
            raise QubesManagerError(f"cannot prepare “{path.name}” in {work.parent}: {error.strerror}") from error
        yield ReadyImage(image, verified)


async def _verify(path: Path, checksum: str, progress: Progress) -> str:
    algorithm, wanted = parse_checksum(checksum)
    progress.step("Checking the image’s checksum", (await asyncio.to_thread(path.stat)).st_size)
    found = await asyncio.to_thread(file_digest, path, algorithm, progress)
    if not hmac.compare_digest(found, wanted):
        raise Refused(
            f"“{path.name}” is not the image that the checksum belongs to: "
            f"expected {wanted}, found {found}; nothing was created"
        )
    return f"{algorithm}:{found}"


def _make_ready(path: Path, work: Path, as_qcow2: bool, progress: Progress) -> Image:
    if image_files.is_compressed(path):
        plain = work / "plain"
        progress.step("Unpacking the image")
        image_files.unpack(path, plain, progress)
        image = inspect_image(plain, path.name)
    else:
        image = inspect_image(path)
    require_system(image)
    if image.is_iso or image.format == "qcow2" or (image.format in _KEPT_FORMATS and not as_qcow2):
        return image
    progress.step("Converting the image")
    converted = work / "converted.qcow2"
    image_files.convert(image.path, image.format, converted, progress)
    return inspect_image(converted, path.name)
