"""A program of our own in the sandbox: a stranger's bytes go in, what it makes of them comes out.

In there is the system's Python with modules of ours, which it gets as one open file; it can open no other, and write
none.
"""

import asyncio
import contextlib
import functools
import io
import os
import signal
import zipfile
from asyncio.subprocess import PIPE
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from importlib import resources
from importlib.resources.abc import Traversable
from typing import TypeVar

from qubes_manager.backend.host.tool_sandbox import Limits, in_sandbox, sandboxed
from qubes_manager.core.errors import Refused
from qubes_manager.core.text import one_line

T = TypeVar("T")
PIECE, MAX_LINE = 256 << 10, 64 << 10
# Seconds that it may take for what it has, and to end: a stranger's bytes may have got at it.
PATIENCE = 60.0
_MAX_ERRORS = 4096


@contextlib.asynccontextmanager
async def running(
    program: bytes,
    options: Sequence[str],
    arguments: Sequence[str],
    limits: Limits,
    source: AsyncIterator[bytes],
    trouble: str,
) -> "AsyncIterator[SandboxedProgram]":
    """*program* (``packed``) in its sandbox, with *source* on its way in; it is gone when the block ends.

    *options* are Python's, *arguments* the program's own. *trouble* is said where it does not say itself what is wrong.
    """
    file = os.memfd_create("program")
    try:
        os.write(file, program)
        process = await asyncio.create_subprocess_exec(
            *sandboxed(["python3", *options, in_sandbox(file), *arguments], limits),
            stdin=PIPE, stdout=PIPE, stderr=PIPE, pass_fds=(file,), start_new_session=True, limit=MAX_LINE,
        )  # fmt: skip
    finally:
        os.close(file)
    async with SandboxedProgram(process, source, trouble) as running:
        yield running


class SandboxedProgram:
    """What runs in there. All of it raises Refused when that ends otherwise than well, and what the source raises."""

    def __init__(self, process: asyncio.subprocess.Process, source: AsyncIterator[bytes], trouble: str) -> None:
        self._process = process
        self._trouble = trouble
        # Whether it has got all that there is by now.
        self._is_hungry = True
        self._feeding = asyncio.ensure_future(self._feed(source))
        self._complaint = asyncio.ensure_future(self._read_errors())

    async def __aenter__(self) -> "SandboxedProgram":
        return self

    async def __aexit__(self, *_error: object) -> None:
        self._feeding.cancel()
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)
        assert self._process.stdout
        # asyncio does not let go of a process while something that it said has not been read.
        while await self._process.stdout.read(PIECE):
            pass
        await asyncio.gather(self._feeding, self._complaint, return_exceptions=True)
        await self._process.wait()
        assert self._process.stdin
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):
            await self._process.stdin.wait_closed()

    async def line(self) -> bytes:
        """The next line that it says; empty when it says no more."""
        assert self._process.stdout
        try:
            return await self._soon(self._process.stdout.readline)
        except ValueError:
            raise Refused(f"{self._trouble}: a line is too long") from None

    async def piece(self, most: int = PIECE) -> bytes:
        """The next bytes, at most so many; none when there are no more."""
        assert self._process.stdout
        return await self._soon(functools.partial(self._process.stdout.read, most))

    async def end(self) -> None:
        """It says no more: raise whatever is the reason, if it is a bad one."""
        code = await self._soon(self._process.wait)
        # What was wrong with the bytes on their way is more than what it says of their sudden end.
        if self._feeding.done() and not self._feeding.cancelled() and (error := self._feeding.exception()):
            raise error
        if code:
            raise Refused(await self._complaint or self._trouble)

    async def _soon(self, wait: Callable[[], Awaitable[T]]) -> T:
        """What the program owes, unless it waits for more of the source itself."""
        while True:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(PATIENCE):
                    return await wait()
            if not self._is_hungry:
                raise Refused(f"{self._trouble}: its parser does not go on")

    async def _feed(self, source: AsyncIterator[bytes]) -> None:
        assert self._process.stdin
        try:
            async for piece in source:
                self._is_hungry = False
                self._process.stdin.write(piece)
                await self._process.stdin.drain()
                self._is_hungry = True
        except (BrokenPipeError, ConnectionResetError):
            return
        finally:
            self._is_hungry = False
            self._process.stdin.close()

    async def _read_errors(self) -> str:
        """The last line of what it complains of."""
        assert self._process.stderr
        end = b""
        while data := await self._process.stderr.read(_MAX_ERRORS):
            end = (end + data)[-_MAX_ERRORS:]
        lines = [line for line in end.decode("utf-8", "replace").splitlines() if line.strip()]
        return one_line(lines[-1], 300) if lines else ""


def packed(main: bytes, packages: Sequence[str]) -> bytes:
    """Modules of ours, those of *packages*, with *main* as a program for Python. Blocks."""
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w") as archive:
        archive.writestr("__main__.py", main)
        outer = {"qubes_manager", *(f"qubes_manager/{package.split('.')[0]}" for package in packages if "." in package)}
        for folder in sorted(outer):
            archive.writestr(f"{folder}/__init__.py", "")
        for package in packages:
            place = f"qubes_manager.{package}"
            for name, source in _sources(resources.files(place), place.replace(".", "/")):
                archive.writestr(name, source)
    return made.getvalue()


def _sources(folder: Traversable, place: str) -> Iterator[tuple[str, bytes]]:
    for item in folder.iterdir():
        if item.is_dir():
            yield from _sources(item, f"{place}/{item.name}")
        elif item.name.endswith(".py"):
            yield f"{place}/{item.name}", item.read_bytes()
