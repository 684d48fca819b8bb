"""A libvirtd of our own, run by an unprivileged user in a folder of its own.

Root cannot have ``qemu:///session`` (it lands on the system daemon), but may talk to another user's session
daemon by socket. Tests and containers use that; whatever runs under the daemon ends with it.
"""

import os
import pwd
import shutil
import signal
import socket
import subprocess
import time
from pathlib import Path
from urllib.parse import quote

from qubes_manager.core.errors import NotFound, QubesManagerError, TimedOut

START_TIMEOUT = 60.0
_UNPRIVILEGED = "nobody"
# The kernel's limit for a unix socket's path (sun_path in unix(7)), less the longest name that libvirt appends.
_MAX_FOLDER = 107 - len("/run/libvirt/qemu/channel/123-a-domain-with-a-long/org.qemu.guest_agent.0")


class PrivateDaemon:
    """Starts and ends a session libvirtd below *folder*; ``uri`` connects to it."""

    def __init__(self, folder: Path) -> None:
        if len(str(folder)) > _MAX_FOLDER:
            raise QubesManagerError(f"the folder {folder} has too long a path for sockets ({_MAX_FOLDER} at most)")
        self.folder = folder
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def socket(self) -> Path:
        """The daemon's socket."""
        return self.folder / "run/libvirt/libvirt-sock"

    @property
    def uri(self) -> str:
        """What to connect to."""
        return f"qemu+unix:///session?socket={quote(str(self.socket))}"

    @property
    def pid(self) -> int:
        """The daemon's process id; raises RuntimeError before start()."""
        if self._process is None:
            raise RuntimeError("the private libvirtd has not been started")
        return self._process.pid

    def start(self) -> None:
        """Start the daemon and wait for its socket; raises NotFound without libvirtd, TimedOut, QubesManagerError."""
        daemon = shutil.which("libvirtd", path=f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin")
        if not daemon:
            raise NotFound("libvirtd is not installed: install libvirt-daemon and libvirt-daemon-driver-qemu")
        user = _UNPRIVILEGED if os.geteuid() == 0 else None
        self._lay_out(user)
        self.socket.unlink(missing_ok=True)
        with (self.folder / "libvirtd.out").open("ab") as output:
            self._process = subprocess.Popen(
                [daemon],
                env={**os.environ, **self.environment()},
                cwd=self.folder,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                start_new_session=True,
                user=user,
                group=pwd.getpwnam(user).pw_gid if user else None,
                extra_groups=[] if user else None,
            )
        deadline = time.monotonic() + START_TIMEOUT
        while not self._answers():
            if self._process.poll() is not None:
                raise QubesManagerError(f"libvirtd ended at once with code {self._process.returncode}", self._output())
            if time.monotonic() > deadline:
                raise TimedOut(f"libvirtd did not open its socket within {START_TIMEOUT:.0f} s", self._output())
            time.sleep(0.05)

    def _answers(self) -> bool:
        """Whether somebody listens on the socket; its file is there a moment earlier."""
        with socket.socket(socket.AF_UNIX) as attempt:
            return attempt.connect_ex(str(self.socket)) == 0

    def environment(self) -> dict[str, str]:
        """The variables that make libvirt keep everything below the folder."""
        names = {"RUNTIME_DIR": "run", "CACHE_HOME": "cache", "CONFIG_HOME": "config", "DATA_HOME": "data"}
        return {"HOME": str(self.folder), **{f"XDG_{key}": str(self.folder / name) for key, name in names.items()}}

    def stop(self) -> None:
        """End the daemon and every QEMU process of its domains, by process id."""
        if self._process:
            _end(self._process)
            self._process = None
        for file in self.folder.glob("run/libvirt/qemu/run/*.pid"):
            try:
                os.kill(int(file.read_text()), signal.SIGKILL)
            except (ValueError, ProcessLookupError, FileNotFoundError):
                continue

    def crash(self) -> None:
        """End the daemon as a power cut would; its domains go on. For tests of recovery."""
        if self._process:
            self._process.kill()
            self._process.wait(10)
            self._process = None

    def qemu_pid(self, domain: str) -> int:
        """The process id of a running domain's QEMU."""
        return int((self.folder / f"run/libvirt/qemu/run/{domain}.pid").read_text())

    def _lay_out(self, user: str | None) -> None:
        for name in ("run", "cache/libvirt/qemu/log", "config/libvirt", "data"):
            (self.folder / name).mkdir(parents=True, exist_ok=True, mode=0o700)
        # No virtlogd here: QEMU writes its log files itself.
        (self.folder / "config/libvirt/qemu.conf").write_text('stdio_handler = "file"\nmax_core = 0\n')
        (self.folder / "config/libvirt/libvirtd.conf").write_text(
            f'log_outputs = "3:file:{self.folder}/cache/libvirt/libvirtd.log"\n'
        )
        if user:
            self.folder.chmod(0o755)
            entry = pwd.getpwnam(user)
            for path in (self.folder, *self.folder.rglob("*")):
                os.chown(path, entry.pw_uid, entry.pw_gid, follow_symlinks=False)

    def _output(self) -> str:
        return (self.folder / "libvirtd.out").read_text(errors="replace")[-4000:]


def _end(process: subprocess.Popen[bytes]) -> None:
    process.terminate()
    try:
        process.wait(10)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait(10)
