"""Measures the inter-domain clipboard: copy and paste, from the request to the text on the other one's clipboard.

The guests' own programs run on this machine, each with an X server and xclip, behind sockets in the place of virtio
ports: what they would take with KVM, but for the ports. With guests in software emulation desk/test_clipboard of
tests/integration prints the figure.
"""

import asyncio
import functools
import os
import shutil
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from bench import figures
from qubes_manager.core.crossing.clipboard_messages import CopyClipboard, PasteClipboard
from qubes_manager.guest.crossing import daemon, handlers
from qubes_manager.services.assembly import Services
from tests.services.broker.conftest import URI, Crossing
from tests.services.broker.fake_guest import FakeGuest, FakePort
from tests.waiting import until

TIMES = 20
say = functools.partial(figures.say, "clipboard")


def main() -> None:
    """Measure and print."""
    folder = Path(tempfile.mkdtemp(prefix="qm-bench-"))
    os.environ |= {f"XDG_{name}_HOME": str(folder / name.lower()) for name in ("STATE", "CONFIG")}
    try:
        asyncio.run(measure(folder))
    finally:
        shutil.rmtree(folder, ignore_errors=True)


async def measure(folder: Path) -> None:
    """Copies and pastes, each with another text."""
    services = Services.connecting(watch=False)
    await services.hosts.load(URI)
    crossing = Crossing(folder, services)
    guests = {name: await NativeGuest.start(folder, crossing, name) for name in ("holder", "taker")}
    try:
        requests = crossing.broker.requests
        holder, taker = guests["holder"], guests["taker"]
        times = []
        for number in range(TIMES):
            holder.copy(f"text {number}")
            start = time.monotonic()
            await requests.answer(None, CopyClipboard(holder.fake.uuid))  # type: ignore[arg-type]  # Nobody is told.
            await requests.answer(None, PasteClipboard(taker.fake.uuid))  # type: ignore[arg-type]
            times.append(1000 * (time.monotonic() - start))
            assert taker.look() == f"text {number}"
        say(
            "copy and paste, guests' programs on this machine",
            statistics.median(times),
            "ms",
            f"of {TIMES} (goal: 200)",
        )
        say("the slowest", max(times), "ms")
    finally:
        for guest in guests.values():
            guest.end()
        await crossing.close()


class NativeGuest:
    """A guest's service program with a display, on this machine, behind the ports of a stand-in."""

    def __init__(self, fake: FakeGuest, display: str, processes: list[subprocess.Popen[bytes]]) -> None:
        self.fake = fake
        self._environment = {**os.environ, "DISPLAY": display}
        self._processes = processes

    @classmethod
    async def start(cls, folder: Path, crossing: Crossing, name: str) -> "NativeGuest":
        """Start one, and wait until the broker knows it."""
        ports = folder / name
        ports.mkdir()
        read, write = os.pipe()
        words = ["Xvfb", "-displayfd", str(write), "-screen", "0", "640x480x24", "-nolisten", "tcp"]
        xvfb = subprocess.Popen(words, pass_fds=(write,), stderr=subprocess.DEVNULL)
        os.close(write)
        with os.fdopen(read) as pipe:
            display = f":{(await asyncio.to_thread(pipe.readline)).strip()}"
        fake = await crossing.guest(name, begin=False)
        for port, stand_in in fake.ports.items():
            await asyncio.start_unix_server(functools.partial(_join, stand_in), ports / port)
        program = subprocess.Popen([sys.executable, "-m", "bench.clipboard", str(ports), display])
        await until(lambda: crossing.session(fake).is_ready)
        return cls(fake, display, [program, xvfb])

    def copy(self, text: str) -> None:
        """Let a program of the guest's have *text* on its clipboard."""
        quiet = subprocess.DEVNULL
        words = ["xclip", "-selection", "clipboard"]
        subprocess.run(words, input=text.encode(), env=self._environment, stdout=quiet, stderr=quiet, check=True)

    def look(self) -> str:
        """What is on its clipboard."""
        words = ["xclip", "-selection", "clipboard", "-out"]
        return subprocess.run(words, env=self._environment, capture_output=True, check=True).stdout.decode()

    def end(self) -> None:
        """End its programs."""
        for process in self._processes:
            process.terminate()
            process.wait(10)


async def _join(port: FakePort, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """The service program has opened a port: carry its bytes until it closes it."""
    port.open()
    inwards = asyncio.create_task(_carry_in(port, writer))
    while data := await reader.read(1 << 16):
        await port.write(data)
    inwards.cancel()
    writer.close()
    port.close()


async def _carry_in(port: FakePort, writer: asyncio.StreamWriter) -> None:
    while data := await port.read(1 << 16):
        writer.write(data)
    writer.close()


def serve(ports: Path, display: str) -> None:
    """Be the guest's service program."""

    def open_port(name: str) -> int:
        end = socket.socket(socket.AF_UNIX)
        end.connect(str(ports / name))
        end.setblocking(False)
        return end.detach()

    handlers.session_environment = lambda folder=ports: {"DISPLAY": display}
    program = daemon.Daemon(open_port, "digest", [ports / "services"])
    asyncio.run(daemon.run_until_told(program, ports / "calls"))


if __name__ == "__main__":
    if len(sys.argv) > 1:
        serve(Path(sys.argv[1]), sys.argv[2])
    else:
        main()
