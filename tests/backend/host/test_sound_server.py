"""The user's sound server: a real PulseAudio, a real PipeWire, and none."""

import asyncio
import contextlib
import os
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from qubes_manager.backend.host import sound_server as sounds
from qubes_manager.core.errors import HostCallFailed
from tests.sound import SERVERS, SoundServer, sound_server
from tests.waiting import soon


@pytest.fixture(scope="module", params=SERVERS)
def server(request: pytest.FixtureRequest) -> Iterator[SoundServer]:
    with sound_server(request.param) as running:
        yield running


@contextlib.contextmanager
def playing(server: SoundServer, program: str, *options: str) -> Iterator[subprocess.Popen[bytes]]:
    """A program of that name, which plays noise under the name that domains' streams have."""
    words = ["pacat", "--playback", "--latency-msec=20", "--stream-name=[work]", f"--client-name={program}", *options]
    with subprocess.Popen([*words, "--raw", "/dev/urandom"], env=server.environment) as player:
        try:
            yield player
        finally:
            player.kill()


@pytest.fixture
def player(server: SoundServer) -> Iterator[subprocess.Popen[bytes]]:
    """Plays as a domain's QEMU does; a real one is in tests/integration/test_sound.py."""
    with playing(server, "[work]") as player:
        yield player


async def heard(server: SoundServer, samples: int = 800) -> bool:
    """Whether anything is heard in a tenth of a second."""
    return await asyncio.to_thread(_heard, server, samples)


def _heard(server: SoundServer, samples: int) -> bool:
    return any(abs(sample) > 100 for sample in server.listen(samples))


async def test_what_plays_is_muted_at_once_and_heard_again(
    server: SoundServer, player: subprocess.Popen[bytes]
) -> None:
    async with soon():
        while not await heard(server):
            assert player.poll() is None
    await sounds.set_muted(server.address, "work", True)
    async with soon():
        # What was on its way.
        while await heard(server):
            pass
    assert not await heard(server, 8000)
    await sounds.set_muted(server.address, "work", False)
    async with soon():
        while not await heard(server):
            assert player.poll() is None


async def test_a_domain_that_does_not_play_yet_is_muted_from_its_first_sound_on(
    server: SoundServer, request: pytest.FixtureRequest
) -> None:
    await sounds.set_muted(server.address, "work", True)
    player = request.getfixturevalue("player")
    async with soon():
        while not server.streams():
            assert player.poll() is None
    assert not await heard(server, 8000)
    await sounds.set_muted(server.address, "work", False)


@pytest.mark.parametrize(
    ("program", "options", "muted"),
    [
        ("work", (), "yes"),
        ("game", ("--property=application.process.binary=qemu-system-x86_64",), "yes"),
        ("browser", (), "no"),
    ],
    ids=["QEMU from before it was told its name", "QEMU that was told another", "a page with the stream's name"],
)
async def test_what_qemu_plays_is_muted_whatever_name_the_server_knows_it_by(
    server: SoundServer, program: str, options: tuple[str, ...], muted: str
) -> None:
    with playing(server, program, *options) as player:
        async with soon():
            while not server.streams():
                assert player.poll() is None
        await sounds.set_muted(server.address, "work", True)
        assert f"Mute: {muted}\n" in server.pactl("list", "sink-inputs")
        await sounds.set_muted(server.address, "work", False)
        assert "Mute: no\n" in server.pactl("list", "sink-inputs")


@pytest.mark.parametrize("domain", ["play", "[work]"], ids=["another domain", "a domain called as a program"])
async def test_others_are_heard_all_the_same(server: SoundServer, player: subprocess.Popen[bytes], domain: str) -> None:
    await sounds.set_muted(server.address, domain, True)
    async with soon():
        while not await heard(server):
            assert player.poll() is None


async def test_a_volume_that_the_user_gave_it_stays(server: SoundServer, player: subprocess.Popen[bytes]) -> None:
    async with soon():
        while not server.streams():
            assert player.poll() is None
    number = server.pactl("list", "short", "sink-inputs").split()[0]
    server.pactl("set-sink-input-volume", number, "30%")
    for muted in (True, False):
        await sounds.set_muted(server.address, "work", muted)
        assert " 30% " in server.pactl("list", "sink-inputs")
    server.pactl("set-sink-input-volume", number, "100%")


async def test_a_server_that_is_there_answers_and_another_does_not(server: SoundServer, tmp_path: Path) -> None:
    assert await sounds.answers(server.address)
    assert not await sounds.answers(f"unix:{tmp_path}/native")
    with pytest.raises(HostCallFailed, match="the sound server of this machine does not answer"):
        await sounds.set_muted(f"unix:{tmp_path}/native", "work", True)


async def test_a_server_that_does_not_keep_it_is_said() -> None:
    with sound_server() as forgetful:
        forgetful.pactl("unload-module", "module-stream-restore")
        with pytest.raises(HostCallFailed, match="does not keep which programs are muted"):
            await sounds.set_muted(forgetful.address, "work", True)


async def test_a_server_that_ends_while_it_is_asked_is_said() -> None:
    with sound_server() as ending:
        ended = pytest.raises(HostCallFailed, match="the sound server of this machine does not answer")
        async with soon():
            with ended:
                async with sounds.talk(ending.address) as pulse:
                    ending.stop()
                    while True:
                        await pulse.sink_input_list()


async def test_a_server_that_hangs_holds_nobody_up(server: SoundServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sounds, "PATIENCE", 0.2)
    os.kill(server.pid, signal.SIGSTOP)
    try:
        async with soon():
            assert not await sounds.answers(server.address)
    finally:
        os.kill(server.pid, signal.SIGCONT)


def test_an_emulator_says_whether_it_can_play() -> None:
    assert sounds.can_play("/usr/bin/qemu-system-x86_64")
    assert not sounds.can_play("/usr/bin/true")
    assert not sounds.can_play("/nonexistent/qemu")


@pytest.mark.parametrize(
    ("environment", "address"),
    [
        ({"XDG_RUNTIME_DIR": "/run/user/7"}, "unix:/run/user/7/pulse/native"),
        ({}, f"unix:/run/user/{os.getuid()}/pulse/native"),
        ({"XDG_RUNTIME_DIR": "/run/user/7", "PULSE_RUNTIME_PATH": "/p"}, "unix:/p/native"),
        ({"PULSE_SERVER": "tcp:desk:4713"}, "tcp:desk:4713"),
    ],
)
def test_it_listens_where_libpulse_looks_for_it(
    monkeypatch: pytest.MonkeyPatch, environment: dict[str, str], address: str
) -> None:
    for name in ("PULSE_SERVER", "XDG_RUNTIME_DIR", "PULSE_RUNTIME_PATH"):
        monkeypatch.delenv(name, raising=False)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    assert sounds.server_address() == address
