"""What a real guest records of a real sound server's microphone: silence, but while it is let hear."""

import subprocess
from collections.abc import Iterator

import pytest

from qubes_manager.backend.guests.tiny_guest import TinyGuest
from qubes_manager.backend.host import microphone_streams as streams
from qubes_manager.backend.host.private_daemon import PrivateDaemon
from qubes_manager.core.devices.assignment import Assignment, Mode
from qubes_manager.core.devices.identity import ANY, DeviceClass, DeviceName
from qubes_manager.core.hardware import SoundDevice
from qubes_manager.core.sound import HEARD, SILENT
from tests.integration.conftest import World, remove_domain
from tests.integration.crossing import make_crossing_domain
from tests.integration.test_sound import LOAD
from tests.sound import SoundServer, sound_server
from tests.waiting import soon

pytestmark = pytest.mark.guest
# How many different bytes there are in two seconds of what it records (8 bits, 8,000 a second, as /dev/dsp begins).
RECORD = (
    "dd if=/dev/dsp of=/tmp/heard bs=1000 count=16 2>/dev/null && "
    'python3 -c \'d = open("/tmp/heard", "rb").read(); print(len(d), len(set(d)))\''
)


@pytest.fixture
def noise(monkeypatch: pytest.MonkeyPatch) -> Iterator[SoundServer]:
    """The user's sound server, with a microphone in a noisy room. (A source of PulseAudio's own that hums starves QEMU:
    it is a second behind.)"""
    with sound_server() as server:
        server.pactl("load-module", "module-null-sink", "sink_name=room")
        server.pactl("load-module", "module-remap-source", "master=room.monitor", "source_name=microphone")
        server.pactl("set-default-source", "microphone")
        monkeypatch.setenv("PULSE_SERVER", server.address)
        words = ["pacat", "--playback", "--raw", "--device=room", "/dev/urandom"]
        with subprocess.Popen(words, env=server.environment, stderr=subprocess.DEVNULL) as player:
            try:
                yield server
            finally:
                player.kill()


MICROPHONE = DeviceName("mic")


async def test_a_guest_hears_while_it_is_let_and_never_else(
    world: World, daemon: PrivateDaemon, python_guest: TinyGuest, noise: SoundServer
) -> None:
    key = await make_crossing_domain(world, daemon.uri, python_guest, "hears", memory=256, start=False)

    async def guest(line: str) -> str:
        output, errors = bytearray(), bytearray()
        code = await world.commands.run(key, line, user="root", out=output.extend, err=errors.extend)
        assert code == 0, errors.decode()
        return output.decode()

    async def records_silence() -> bool:
        count, different = map(int, (await guest(RECORD)).split())
        assert count == 16000, "the guest's card is fed whether it hears or not"
        return different == 1

    async def becomes(silent: bool) -> None:
        async with soon():
            # What was on its way.
            while await records_silence() is not silent:
                pass

    async def assign(mode: Mode) -> None:
        await world.devices.assign(key, Assignment(DeviceClass.MIC, MICROPHONE.port, ANY, mode))

    try:
        await world.properties.set_audiovm(key, HEARD)
        await assign(Mode.ASK)
        await world.lifecycle.start(key)
        assert [one.hears for one in await streams.recorders(noise.address)] == [False]
        await guest(LOAD)
        assert await records_silence()
        microphone = await world.devices.find(daemon.uri, DeviceClass.MIC, MICROPHONE)
        await world.devices.attach(key, microphone, {})
        await becomes(silent=False)
        [held] = await world.devices.held(key, DeviceClass.MIC, MICROPHONE)
        await world.devices.detach(held)
        await becomes(silent=True)
        assert await records_silence() and await records_silence()
        # It hears from its start on where that is wanted, and anybody can start it all the same.
        await world.lifecycle.kill(key)
        await assign(Mode.AUTO)
        await world.lifecycle.start(key)
        assert [one.hears for one in await streams.recorders(noise.address)] == [True]
        await guest(LOAD)
        await becomes(silent=False)
        assert (await world.properties.stored(key)).config.sound == SoundDevice(SILENT)
        # Without it there is nothing that records.
        await world.devices.unassign(key, lambda one: one.klass is DeviceClass.MIC)
        await world.lifecycle.kill(key)
        await world.lifecycle.start(key)
        await guest(LOAD)
        assert not await streams.recorders(noise.address) and "capture" not in await guest("cat /proc/asound/pcm")
    finally:
        remove_domain(daemon.uri, "hears")
