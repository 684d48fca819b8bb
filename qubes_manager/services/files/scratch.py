"""A folder for large files that are only there for a while."""

import asyncio
import shutil
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from qubes_manager.backend.guests.build_folder import scratch_folder


@asynccontextmanager
async def scratch(purpose: str) -> AsyncIterator[Path]:
    """Give an empty folder; it is gone with all that is in it when the block ends.

    Removing gigabytes takes its time, so a thread does it.
    """
    folder = Path(await asyncio.to_thread(tempfile.mkdtemp, prefix=f"qubes-manager-{purpose}-", dir=scratch_folder()))
    try:
        yield folder
    finally:
        await asyncio.shield(asyncio.to_thread(shutil.rmtree, folder, True))
