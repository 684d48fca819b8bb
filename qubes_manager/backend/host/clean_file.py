"""Makes a clean file of plain pixels that a disposable has drawn: what it sent is looked at in the sandbox alone."""

import asyncio
import contextlib
import functools
from collections.abc import AsyncIterator
from pathlib import Path

from qubes_manager.backend.host import redrawing
from qubes_manager.backend.host.sandboxed_program import packed, running
from qubes_manager.backend.host.tool_sandbox import Limits

# A page has 160 MB of pixels at most, which are there twice; Python itself reserves some.
_LIMITS = Limits(memory=2 << 30, cpu=24 * 3600)
_TROUBLE = "no clean file could be made of what came"
# What makes a PDF, or a picture, of pixels.
PDF, PNG = "pdf", "png"


@contextlib.asynccontextmanager
async def clean_file(pixels: AsyncIterator[bytes], kind: str) -> AsyncIterator[AsyncIterator[bytes]]:
    """The bytes of a clean file, PDF or PNG, of the pages in *pixels*; it is whole when there are no more.

    Raises Refused, and whatever *pixels* raises.
    """
    # cairo is a package of the system's own.
    async with running(await asyncio.to_thread(_program), ("-I", "-B"), (kind,), _LIMITS, pixels, _TROUBLE) as program:

        async def pieces() -> AsyncIterator[bytes]:
            while piece := await program.piece():
                yield piece
            await program.end()

        yield pieces()


@functools.cache
def _program() -> bytes:
    """Our own modules that draw."""
    return packed(Path(redrawing.__file__).read_bytes(), ("core", "guest"))
