"""A guest whose ports lead to the real services of our guest tools, run on this machine with a home of their own."""

import asyncio
import os
import sys
from asyncio.subprocess import PIPE
from pathlib import Path

from qubes_manager.core.crossing.guest_messages import Cancel, End, Ended, ErrorText, Sent, Start
from tests.services.broker.fake_guest import FakeGuest, FakePort

MODULES = {
    "qubes.Filecopy": "qubes_manager.guest.services.filecopy",
    "qubes.GetImageRGBA": "qubes_manager.guest.services.pdf_convert",
    "qubes.PdfConvert": "qubes_manager.guest.services.pdf_convert",
    "qubes.OpenInVM": "tests.services.broker.editing_service",
    "qubes_manager.ListFiles": "qubes_manager.guest.services.list_files",
    "qubes_manager.FetchFiles": "qubes_manager.guest.services.file_fetch",
}
_PIECE = 1 << 18


class ServingGuest:
    """Serves until it is closed. *stops_after*: bytes of an answer after which it says nothing any more."""

    def __init__(self, guest: FakeGuest, home: Path) -> None:
        self.guest = guest
        self.home = home
        home.mkdir()
        self.started: list[Start] = []
        self.stops_after: int | None = None
        self._ends: dict[int, asyncio.Future[int]] = {}
        self._work: set[asyncio.Task[None]] = set()
        self._spawn(self._hear())

    async def close(self) -> None:
        for task in self._work:
            # One that is being cancelled waits for its process.
            if not task.cancelling():
                task.cancel()
        await asyncio.gather(*self._work, return_exceptions=True)

    def _spawn(self, work: "asyncio._CoroutineLike[None]") -> asyncio.Task[None]:
        task = asyncio.get_running_loop().create_task(work)
        self._work.add(task)
        return task

    async def _hear(self) -> None:
        serving: dict[int, asyncio.Task[None]] = {}
        while True:
            match message := await self.guest.hear_any():
                case Start():
                    self.started.append(message)
                    self._ends[message.call] = asyncio.get_running_loop().create_future()
                    serving[message.call] = self._spawn(self._serve(message))
                case End():
                    self._ends[message.call].set_result(message.size)
                case Cancel():
                    serving[message.call].cancel()

    async def _serve(self, start: Start) -> None:
        port = await self.guest.open_data(start.port, start.call)
        environment = {**os.environ, "HOME": str(self.home), "QREXEC_REMOTE_DOMAIN": start.source}
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", MODULES[start.service], start.argument,
            stdin=PIPE, stdout=PIPE, stderr=PIPE, env=environment,
        )  # fmt: skip
        feeding = self._spawn(self._feed(port, process, start.call))
        try:
            sent = await self._tell(port, process)
            assert process.stderr
            if said := await process.stderr.read():
                await self.guest.say(ErrorText(start.call, said.decode()))
            code = await process.wait()
            await self.guest.say(Sent(start.call, sent), Ended(start.call, code))
        finally:
            feeding.cancel()
            assert process.stdin
            process.stdin.close()
            if process.returncode is None:
                process.kill()
                assert process.stdout and process.stderr
                # asyncio does not let go of a process while something that it said has not been read.
                await asyncio.gather(process.stdout.read(), process.stderr.read(), process.wait())
            port.close()

    async def _feed(self, port: FakePort, process: asyncio.subprocess.Process, call: int) -> None:
        assert process.stdin
        taken = 0
        while not (self._ends[call].done() and taken >= self._ends[call].result()):
            reading = asyncio.ensure_future(port.read(_PIECE))
            either: set[asyncio.Future[object]] = {reading, self._ends[call]}  # type: ignore[arg-type]
            await asyncio.wait(either, return_when=asyncio.FIRST_COMPLETED)
            if not reading.done():
                if taken >= self._ends[call].result():
                    reading.cancel()
                    break
                await reading
            taken += len(reading.result())
            process.stdin.write(reading.result())
            await process.stdin.drain()
        process.stdin.close()

    async def _tell(self, port: FakePort, process: asyncio.subprocess.Process) -> int:
        assert process.stdout
        sent = 0
        while data := await process.stdout.read(_PIECE):
            if self.stops_after is not None and sent + len(data) > self.stops_after:
                await asyncio.Event().wait()
            await port.write(data)
            sent += len(data)
        return sent
