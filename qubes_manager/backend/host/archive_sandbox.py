"""Takes apart an archive that a stranger wrote: its parser runs in the sandbox, and here it is plain words.

What it says is a line of JSON for each member, and the member's bytes behind it.
"""

import asyncio
import contextlib
import functools
from collections.abc import AsyncIterator
from pathlib import Path

from qubes_manager.backend.host import retelling
from qubes_manager.backend.host.sandboxed_program import MAX_LINE, PIECE, SandboxedProgram, packed, running
from qubes_manager.backend.host.tool_sandbox import Limits
from qubes_manager.core.crossing.copying import Member
from qubes_manager.core.errors import Refused
from qubes_manager.core.json_lines import BadMessage, Fields

# Bytes of address space, of which Python itself reserves most, and seconds of the processor: 10 GiB take about 60.
_LIMITS = Limits(memory=1 << 30, cpu=24 * 3600)
_MAX_NAME = 4095
_TROUBLE = "what came could not be taken apart"


@contextlib.asynccontextmanager
async def members_of(archive: AsyncIterator[bytes], *, all_names: bool = False) -> AsyncIterator[AsyncIterator[Member]]:
    """The members of an archive as they come; of each its bytes must be read before the next is asked for.

    It has been whole, and its digest right, when there are no more. *all_names* lets names through that could deceive
    who reads them. Raises Refused, and whatever *archive* raises.
    """
    code, arguments = await asyncio.to_thread(_program), ["--all-names"] if all_names else []
    async with running(code, ("-I", "-S", "-B"), arguments, _LIMITS, archive, _TROUBLE) as program:
        yield _members(program)


async def _members(program: SandboxedProgram) -> AsyncIterator[Member]:
    """What it tells of; raises Refused when it ends otherwise than well."""
    while line := await program.line():
        try:
            fields = Fields(line, MAX_LINE)
            name, is_folder, size = fields.raw("name", _MAX_NAME), fields.truth("is_folder"), fields.number("size")
            pieces = _pieces(program, 0 if is_folder else size)
            mode, changed, is_link = fields.number("mode", 0o777), fields.number("changed"), fields.truth("is_link")
            yield Member(name, is_folder, size, mode, changed, pieces, is_link)
        except BadMessage as error:
            raise Refused(f"{_TROUBLE}: {error}") from error
        async for _rest in pieces:
            pass
    await program.end()


async def _pieces(program: SandboxedProgram, left: int) -> AsyncIterator[bytes]:
    while left:
        piece = await program.piece(min(left, PIECE))
        if not piece:
            await program.end()
            raise Refused("what came ends in the middle")
        left -= len(piece)
        yield piece


@functools.cache
def _program() -> bytes:
    """Our own modules that take an archive apart."""
    return packed(Path(retelling.__file__).read_bytes(), ("core", "guest.archive"))
