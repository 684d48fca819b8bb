"""What domains hear, at a real PulseAudio and a real PipeWire; its microphone hums, or is silent but no monitor."""

import asyncio
import contextlib
import os
import signal
import subprocess
import threading
from collections.abc import Iterator

import pytest

from qubes_manager.backend.host import microphone_streams as streams
from qubes_manager.core.devices.microphone import Recorder, hearing
from qubes_manager.core.errors import HostCallFailed, Refused
from tests.sound import SERVERS, SoundServer, sound_server
from tests.waiting import soon

HUMS = ("module-sine-source", "source_name=humming", "frequency=440")
# PipeWire has no such module; what makes a source of its own there is no monitor either.
PIPEWIRE = ("module-null-sink", "media.class=Audio/Source/Virtual", "sink_name=humming")


def plug_in(server: SoundServer) -> str:
    """Give the machine a microphone, which the desktop records from; returns what takes it away."""
    words = HUMS if type(server) is SoundServer else PIPEWIRE
    number = server.pactl("load-module", *words).strip()
    server.pactl("set-default-source", "humming")
    return number


@pytest.fixture(params=SERVERS)
def server(request: pytest.FixtureRequest) -> Iterator[SoundServer]:
    with sound_server(request.param) as running:
        plug_in(running)
        yield running


class Ear:
    """A program that records as a domain's QEMU does, all the time; a real one is below."""

    def __init__(self, server: SoundServer, name: str = "[work]", *options: str) -> None:
        words = ["parec", "--raw", "--format=s16le", "--rate=8000", "--channels=1", "--latency-msec=20"]
        words += [f"--client-name={name}", "--stream-name=[work]", *options]
        self.process = subprocess.Popen(words, env=server.environment, stdout=subprocess.PIPE, bufsize=0)
        self.total = self.loud = 0
        self._thread = threading.Thread(target=self._hear, daemon=True)
        self._thread.start()

    def _hear(self) -> None:
        assert self.process.stdout
        while data := self.process.stdout.read(4096):
            self.total += len(data)
            self.loud += len(data) - data.count(0)

    def close(self) -> None:
        self.process.kill()
        self.process.wait()
        self._thread.join()

    async def hears(self, seconds: float = 0.3) -> bool:
        """Whether anything but silence comes from now on."""
        before = self.loud
        await asyncio.sleep(seconds)
        return self.loud > before


@contextlib.contextmanager
def ear(server: SoundServer, name: str = "[work]", *options: str) -> Iterator[Ear]:
    found = Ear(server, name, *options)
    try:
        yield found
    finally:
        found.close()


async def there(server: SoundServer, count: int = 1) -> list[Recorder]:
    """The domains' streams, when there are so many."""
    async with soon():
        while len(found := await streams.recorders(server.address)) != count:
            await asyncio.sleep(0.02)
    return found


async def test_what_is_kept_muted_begins_so_and_hears_only_while_it_is_let(server: SoundServer) -> None:
    hums = type(server) is SoundServer
    await streams.keep_muted(server.address, "work")
    with ear(server) as domain:
        assert [one.hears for one in await there(server)] == [False]
        if hums:
            async with soon():
                while not domain.total:
                    await asyncio.sleep(0.02)
            assert not await domain.hears() and not domain.loud, "not even its first moment"
        await streams.unmute(server.address, "work")
        assert hearing(await streams.recorders(server.address)) == {"work"}
        async with soon():
            while hums and not await domain.hears():
                pass
        await streams.mute(server.address, "work")
        assert not hearing(await streams.recorders(server.address))
        if hums:
            async with soon():
                # What was on its way.
                while await domain.hears(0.1):
                    pass
            assert not await domain.hears(1)
        await streams.unmute(server.address, "work")
    # It ended while it heard; its next run begins deaf.
    await there(server, 0)
    with ear(server):
        assert [one.hears for one in await there(server)] == [False]


async def test_others_are_let_alone(server: SoundServer) -> None:
    with ear(server, "[play]", "--stream-name=[play]") as other, ear(server, "browser") as browser:
        await there(server)
        await streams.mute(server.address, "work")
        with pytest.raises(Refused, match="“work” was started without a way to hear"):
            await streams.unmute(server.address, "work")
        assert hearing(await streams.recorders(server.address)) == {"play"}
        async with soon():
            for one in (other, browser) if type(server) is SoundServer else ():
                while not await one.hears():
                    pass


async def test_without_a_microphone_nothing_is_heard_of_what_the_machine_plays() -> None:
    with sound_server() as server, ear(server):
        await there(server)
        assert await streams.microphone_name(server.address) == ""
        await streams.mute(server.address, "work")
        with pytest.raises(Refused, match="no microphone that is plugged in"):
            await streams.unmute(server.address, "work")
        [found] = await streams.recorders(server.address)
        assert found.of_monitor and not found.hears
        # With one that came later it hears that.
        plug_in(server)
        await streams.unmute(server.address, "work")
        [found] = await streams.recorders(server.address)
        assert not found.of_monitor and found.hears


async def test_one_who_follows_hears_of_all_and_deafens_whom_the_plug_leaves_with_a_monitor() -> None:
    with sound_server() as server:
        plug = plug_in(server)
        async with contextlib.aclosing(streams.follow(server.address)) as news:
            assert await anext(news) == []
            with ear(server):
                async with soon():
                    while not hearing(await anext(news)):
                        pass
                    server.pactl("unload-module", plug)
                    while not (found := await anext(news)) or not found[0].of_monitor:
                        pass
                    assert [one.hears for one in found] == [False]
            async with soon():
                while await anext(news):
                    pass
                server.stop()
                with pytest.raises(HostCallFailed, match="does not answer"):
                    while True:
                        await anext(news)


async def test_a_stream_that_is_not_muted_is_ended(server: SoundServer, monkeypatch: pytest.MonkeyPatch) -> None:
    from pulsectl_asyncio import PulseAsync

    async def without_effect(*_args: object) -> None:
        pass

    with ear(server) as domain:
        await there(server)
        with monkeypatch.context() as patch:
            patch.setattr(PulseAsync, "source_output_mute", without_effect)
            with contextlib.suppress(HostCallFailed):
                await streams.mute(server.address, "work")
        assert await streams.recorders(server.address) == []
        async with soon():
            while domain.process.poll() is None:
                await asyncio.sleep(0.02)


async def test_a_server_that_keeps_nothing_is_said_and_nobody_hears() -> None:
    with sound_server() as server:
        plug_in(server)
        server.pactl("unload-module", "module-stream-restore")
        with pytest.raises(HostCallFailed, match="does not keep which programs may not record"):
            await streams.keep_muted(server.address, "work")
        with ear(server):
            await there(server)
            with pytest.raises(HostCallFailed, match="does not keep"):
                await streams.unmute(server.address, "work")
            assert not hearing(await streams.recorders(server.address))


async def test_a_server_that_hangs_holds_nobody_up(monkeypatch: pytest.MonkeyPatch) -> None:
    with sound_server() as server:
        monkeypatch.setattr("qubes_manager.backend.host.sound_server.PATIENCE", 0.2)
        os.kill(server.pid, signal.SIGSTOP)
        try:
            async with soon():
                with pytest.raises(HostCallFailed, match="does not answer"):
                    await streams.recorders(server.address)
        finally:
            os.kill(server.pid, signal.SIGCONT)


async def test_a_real_qemu_records_from_its_start_and_begins_deaf(server: SoundServer) -> None:
    await streams.keep_muted(server.address, "work")
    environment = {**server.environment, "PULSE_PROP_OVERRIDE": 'application.name="[work]"'}
    backend = f"pa,id=a,server={server.address},in.stream-name=[work],out.stream-name=[work]"
    words = ["qemu-system-x86_64", "-machine", "q35", "-display", "none", "-nodefaults", "-S", "-audiodev", backend]
    words += ["-device", "ich9-intel-hda", "-device", "hda-micro,audiodev=a,mixer=off"]
    with subprocess.Popen(words, env=environment) as emulator:
        try:
            # Its guest has not run one instruction.
            async with soon():
                while (found := (await there(server))[0]).corked:
                    assert found.muted
                    await asyncio.sleep(0.02)
            assert (found.domain, found.muted) == ("work", True)
            await streams.unmute(server.address, "work")
            assert hearing(await streams.recorders(server.address)) == {"work"}
            await streams.mute(server.address, "work")
            assert not hearing(await streams.recorders(server.address))
        finally:
            emulator.kill()
