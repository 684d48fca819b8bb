"""Sound servers for tests, whose loudspeaker is nothing: what is played to them can be recorded."""

import array
import contextlib
import os
import pwd
import shutil
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from tests.waiting import PATIENCE

# The user that the tests' libvirtd runs as, where they run as root.
_USER = "nobody" if os.geteuid() == 0 else None
_SOCKET = "native"
# None of them takes a real device: what 0.4 reads, and what later ones do.
_PIPEWIRE = {
    "pipewire/pipewire.conf.d/nothing.conf": """
        context.objects = [ { factory = adapter args = {
          factory.name = support.null-audio-sink node.name = nothing media.class = Audio/Sink
          object.linger = true audio.position = [ FL FR ] monitor.channel-volumes = true
        } } ]
        """,
    "pipewire/pipewire-pulse.conf.d/address.conf": 'pulse.properties = {{ server.address = [ "{address}" ] }}',
    "wireplumber/main.lua.d/60-no-devices.lua": (
        "alsa_monitor.enabled = false v4l2_monitor.enabled = false libcamera_monitor.enabled = false"
    ),
    "wireplumber/bluetooth.lua.d/60-no-devices.lua": "bluez_monitor.enabled = false",
    "wireplumber/wireplumber.conf.d/no-devices.conf": """
        wireplumber.profiles = { main = {
          hardware.audio = disabled hardware.bluetooth = disabled hardware.video-capture = disabled
        } }
        """,
}


class SoundServer:
    """PulseAudio in *folder*, at ``address``."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._log = folder / "log"
        self._processes: dict[str, subprocess.Popen[bytes]] = {}
        self._run_folder = folder / "run"
        self.address = f"unix:{self._run_folder}/{_SOCKET}"
        self.environment = {"PATH": os.environ["PATH"], "PULSE_SERVER": self.address, "HOME": str(folder / "clients")}

    def start(self) -> None:
        """Start it, and return when it has its loudspeaker."""
        for stale in filter(Path.is_socket, self._run_folder.iterdir()):
            stale.unlink()
        for socket, words in self._programs().items():
            self._processes[socket] = self._run(words)
            self._wait((self._run_folder / socket).exists)
        self._wait(lambda: "Default Sink: nothing\n" in self._info())

    def _wait(self, is_so: Callable[[], bool]) -> None:
        end = time.monotonic() + PATIENCE
        while not is_so():
            ended = [process.args for process in self._processes.values() if process.poll() is not None]
            assert not ended and time.monotonic() < end, f"{ended}\n{self._info()}\n{self._log.read_text()}"
            time.sleep(0.05)

    def _programs(self) -> dict[str, list[str]]:
        """What runs, by the socket that each makes in the folder of run-time files."""
        words = ["pulseaudio", "-n", "--daemonize=no", "--exit-idle-time=-1", "--use-pid-file=no", "--disable-shm=yes"]
        for module in (
            f"module-native-protocol-unix socket={self._run_folder}/{_SOCKET} auth-anonymous=1",
            "module-null-sink sink_name=nothing",
            "module-stream-restore restore_device=false",
        ):
            words += ["-L", module]
        return {_SOCKET: words}

    def _run(self, words: list[str]) -> subprocess.Popen[bytes]:
        names = {"RUNTIME_DIR": "run", "CONFIG_HOME": "config", "STATE_HOME": "state"}
        own = {"HOME": str(self._folder), **{f"XDG_{key}": str(self._folder / name) for key, name in names.items()}}
        with self._log.open("ab") as log:
            return subprocess.Popen(
                words,
                env={"PATH": os.environ["PATH"], **own},
                user=_USER,
                group=pwd.getpwnam(_USER).pw_gid if _USER else None,
                extra_groups=[] if _USER else None,
                stdout=log,
                stderr=log,
            )

    def _info(self) -> str:
        return subprocess.run(
            ["pactl", "info"], env=self.environment, capture_output=True, check=False, text=True
        ).stdout

    def stop(self) -> None:
        """End it without a word to its clients."""
        while self._processes:
            _socket, process = self._processes.popitem()
            process.kill()
            process.wait(PATIENCE)

    @property
    def pid(self) -> int:
        """The process that its clients talk to."""
        return self._processes[_SOCKET].pid

    def pactl(self, *words: str) -> str:
        """What PulseAudio's own tool answers."""
        return subprocess.run(
            ["pactl", *words], env=self.environment, capture_output=True, check=True, text=True
        ).stdout

    def streams(self) -> list[str]:
        """What plays, or may, by the names that the desktop's mixer shows."""
        lines = self.pactl("list", "sink-inputs").splitlines()
        return [line.partition(" = ")[2].strip('"') for line in lines if "media.name" in line]

    def listen(self, count: int) -> "array.array[int]":
        """So many samples (16 bit, 8,000 a second) of all that is heard from now on."""
        words = ["parec", "-d", "nothing.monitor", "--raw", "--format=s16le", "--rate=8000", "--channels=1"]
        with subprocess.Popen([*words, "--latency-msec=20"], env=self.environment, stdout=subprocess.PIPE) as recorder:
            assert recorder.stdout
            heard = recorder.stdout.read(2 * count)
            recorder.terminate()
        return array.array("h", heard)


class PipeWire(SoundServer):
    """PipeWire, which answers as PulseAudio does; a program of its own, WirePlumber, decides who is heard where."""

    def _programs(self) -> dict[str, list[str]]:
        for place, text in _PIPEWIRE.items():
            path = self._folder / "config" / place
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text.format(address=self.address) if "{address}" in text else text)
        # WirePlumber ends without a bus.
        bus = ["dbus-daemon", "--session", "--nofork", "--nopidfile", f"--address=unix:path={self._run_folder}/bus"]
        return {"bus": bus, "pipewire-0": ["pipewire"], _SOCKET: ["pipewire-pulse"], "": ["wireplumber"]}


# The names that tests have for them.
SERVERS = {"PulseAudio": SoundServer, "PipeWire": PipeWire}


@contextlib.contextmanager
def sound_server(name: str = "PulseAudio") -> Iterator[SoundServer]:
    """One that runs until the block ends."""
    # The path of a socket has 107 bytes at most.
    folder = Path(tempfile.mkdtemp(prefix="qm-", dir="/var/tmp"))
    (folder / "run").mkdir()
    if _USER:
        for place in (folder, folder / "run"):
            os.chown(place, pwd.getpwnam(_USER).pw_uid, pwd.getpwnam(_USER).pw_gid)
    folder.chmod(0o755)
    server = SERVERS[name](folder)
    try:
        server.start()
        yield server
    finally:
        server.stop()
        shutil.rmtree(folder, ignore_errors=True)
