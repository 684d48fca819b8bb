"""What a real guest plays, at a real sound server: heard, muted, and never recorded."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Iterator

import pytest

from qubes_manager.backend.guests.tiny_guest import TinyGuest
from qubes_manager.backend.host.private_daemon import PrivateDaemon
from qubes_manager.core.domain import DomainKey
from qubes_manager.core.errors import QubesManagerError
from qubes_manager.core.hardware import SoundDevice
from qubes_manager.core.sound import HEARD, PLAYING, SILENT, sound_text
from tests.integration.conftest import World, remove_domain
from tests.integration.crossing import make_crossing_domain
from tests.sound import SERVERS, SoundServer, sound_server
from tests.waiting import soon

pytestmark = pytest.mark.guest
# The card's driver gives up where the codec's is not there yet; a full guest would fetch that one by itself.
LOAD = "modprobe -a snd_hda_codec_generic snd_hda_intel snd_pcm_oss; until [ -c /dev/dsp ]; do sleep 0.1; done"
# The kernel's old interface plays whatever is written to it.
PLAY = "cat /dev/urandom >/dev/dsp &"
# Says to the codec itself, below all drivers, that it is loud and not muted (HDA_IOCTL_VERB_WRITE, sound/hda_hwdep.h;
# both sides of the output amplifier of node 2, Intel's High Definition Audio specification, 7.3.3.7).
UNMUTE = """
import fcntl, struct
with open("/dev/snd/hwC0D0", "r+b", buffering=0) as codec:
    fcntl.ioctl(codec, 0xC0084811, struct.pack("II", 2 << 24 | 0x300 << 8 | 0xB04A, 0))
"""


@pytest.fixture(params=SERVERS)
def speaker(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[SoundServer]:
    """The user's sound server."""
    with sound_server(request.param) as server:
        monkeypatch.setenv("PULSE_SERVER", server.address)
        yield server


@pytest.fixture
async def loud(
    speaker: SoundServer, world: World, daemon: PrivateDaemon, python_guest: TinyGuest
) -> AsyncIterator[DomainKey]:
    """A running guest that was muted before it was ever started."""
    key = await make_crossing_domain(world, daemon.uri, python_guest, "loud", memory=256, start=False)
    await world.properties.set_audiovm(key, HEARD)
    await world.properties.set_muted(key, True)
    await world.lifecycle.start(key)
    yield key
    remove_domain(daemon.uri, "loud")


async def is_heard(speaker: SoundServer) -> bool:
    """Whether anything is heard within a tenth of a second."""
    return any(abs(sample) > 100 for sample in await asyncio.to_thread(speaker.listen, 800))


async def becomes(speaker: SoundServer, heard: bool) -> None:
    async with soon():
        while await is_heard(speaker) is not heard:
            pass


def mute_while_it_starts(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let another program mute whatever starts next, after its sound is prepared and before libvirt starts it."""
    ready_to_start = world.roots.ready_to_start

    @contextlib.asynccontextmanager
    async def ready(key: DomainKey) -> AsyncIterator[None]:
        another = World(world.uri, watch=False)
        await another.hosts.load(world.uri)
        await another.properties.set_muted(key, True)
        await another.hosts.close()
        async with ready_to_start(key):
            yield

    monkeypatch.setattr(world.roots, "ready_to_start", ready)


async def test_a_guest_is_heard_unless_it_is_muted_whatever_it_does_and_hears_nothing_itself(
    world: World, loud: DomainKey, speaker: SoundServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def guest(line: str) -> str:
        output, errors = bytearray(), bytearray()
        code = await world.commands.run(loud, line, user="root", out=output.extend, err=errors.extend)
        assert code == 0, errors.decode()
        return output.decode()

    def words() -> str:
        return sound_text(world.store.require(loud))

    # It plays, and the first that is heard of it is nothing.
    await guest(f"{LOAD}; {PLAY}")
    assert speaker.streams() == ["[loud]"]
    assert not any(await asyncio.to_thread(speaker.listen, 8000)) and words() == "muted"
    await world.properties.set_muted(loud, False)
    await becomes(speaker, True)
    assert words() == "on"
    # Mute and volume of a program of that name are none of the domain's.
    known = {line.split(" = ")[1] for line in speaker.pactl("list", "sink-inputs").splitlines() if "restore.id" in line}
    assert known == {'"sink-input-by-application-name:[loud]"'}
    # Muted while it plays, it stays so, whatever it says to its codec, and when it plays anew.
    await world.properties.set_muted(loud, True)
    await becomes(speaker, False)
    # (“:” would end the shell where the card is still in use.)
    await guest(f"python3 -c '{UNMUTE}'; killall cat; until true >/dev/dsp; do sleep 0.1; done; {PLAY}")
    assert not any(await asyncio.to_thread(speaker.listen, 8000))
    await world.properties.set_muted(loud, False)
    await becomes(speaker, True)
    # There is nothing that records.
    assert sorted((await guest("ls /dev/snd")).split()) == ["controlC0", "hwC0D0", "pcmC0D0p", "timer"]
    assert "capture" not in await guest("cat /proc/asound/pcm")
    # The server's end is not the guest's.
    speaker.stop()
    assert await guest("echo alive") == "alive\n"
    with pytest.raises(QubesManagerError, match="sound server of this machine does not answer"):
        await world.properties.set_muted(loud, True)
    assert world.store.require(loud).config.muted
    # It starts without one too, and with the next one again; what another program says of it meanwhile holds.
    for ready, playing in ((False, SoundDevice(SILENT)), (True, SoundDevice(PLAYING, speaker.address))):
        if ready:
            speaker.start()
            await world.properties.set_muted(loud, False)
            mute_while_it_starts(world, monkeypatch)
        await world.lifecycle.kill(loud)
        await world.lifecycle.start(loud)
        assert world.store.require(loud).config.sound == playing
        assert (await world.properties.stored(loud)).config.sound == SoundDevice(SILENT), "anybody can start it"
    assert speaker.streams() == ["[loud]"] and words() == "muted"
    assert "Mute: yes\n" in speaker.pactl("list", "sink-inputs")
