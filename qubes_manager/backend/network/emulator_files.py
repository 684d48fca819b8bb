"""The program that libvirt starts in QEMU's place, as files that the user of QEMU may read. All block."""

import contextlib
import hashlib
import io
import os
import subprocess
import time
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from qubes_manager.backend.host.host_facts import SYSTEM_PYTHON
from qubes_manager.backend.host.own_modules import modules_of
from qubes_manager.backend.viewers.seccomp import compiled_for_dhcp
from qubes_manager.core.firewall.isolation import EMULATORS

_FILTER = "dhcp.seccomp"
# No user's own packages take part, and it starts 15 ms sooner without looking for them.
_LAUNCHER = """#!{python} -IS
# Another QEMU is another program, which libvirt asks what it can do: {of}
import sys

sys.path.insert(0, {modules!r})
from qubes_manager.network.emulator import main

main({qemu!r}, {folder!r}, sys.argv[1:])
"""
# Puts what it compiles beside the modules of an archive; their hash is not looked at again (PEP 552).
_COMPILE = """
import importlib.util, io, marshal, sys, zipfile

archive = io.BytesIO(sys.stdin.buffer.read())
with zipfile.ZipFile(archive, "a") as changed:
    for place in changed.namelist():
        source = changed.read(place)
        code = compile(source, place, "exec", dont_inherit=True, optimize=0)
        head = importlib.util.MAGIC_NUMBER + (1).to_bytes(4, "little") + importlib.util.source_hash(source)
        changed.writestr(zipfile.ZipInfo(place + "c", (1980, 1, 1, 0, 0, 0)), head + marshal.dumps(code))
sys.stdout.buffer.write(archive.getvalue())
"""
_COMPILE_SECONDS = 60
# Seconds. A domain that starts just now may still load modules of before; each disposable has a log of its own.
_OLD_PROGRAM, _OLD_LOG = 3600, 30 * 24 * 3600
# A saved domain goes on with what is noted of it.
_OLD_RULES = 365 * 24 * 3600
_OLD = {"program-*.zip": _OLD_PROGRAM, "*.log": _OLD_LOG, "*.log.1": _OLD_LOG, "*.rules": _OLD_RULES}
# The first moment that the format of archives knows: what does not change is not written anew.
_MOMENT = (1980, 1, 1, 0, 0, 0)


@dataclass(frozen=True, slots=True)
class EmulatorFiles:
    """The folder of the emulators and of their keepers' sockets and logs, for the libvirt whose data is in *data*."""

    folder: Path

    def emulator(self, qemu: str) -> Path:
        """Where what stands in for the program at the path *qemu* is."""
        return self.folder / Path(qemu).name

    def install(self, qemu: str) -> Path:
        """Put all files in place that are not as they are to be, and return the emulator's path; raises OSError."""
        self._make_folder()
        modules = self.folder / f"program-{_digest()}.zip"
        found = Path(qemu).stat()
        launcher = _LAUNCHER.format(
            python=SYSTEM_PYTHON,
            of=f"{found.st_mtime_ns} {found.st_size}",
            modules=str(modules),
            qemu=qemu,
            folder=str(self.folder),
        )
        if not modules.exists():
            self._put(modules, _archive(), 0o644)
        self._put(self.folder / _FILTER, compiled_for_dhcp(), 0o644)
        emulator = self.emulator(qemu)
        # libvirt asks anew what it can do when it has changed.
        self._put(emulator, launcher.encode(), 0o755)
        self._prune(modules)
        return emulator

    def note_rules(self, uuid: str, rules: str) -> None:
        """Note what holds for a domain when it goes on from where it was saved, as its keeper does; raises OSError."""
        self._put(self.folder / f"{uuid}.rules", rules.encode(), 0o600)

    def forget(self, uuid: str) -> None:
        """Take away what is kept of the network of a domain that is gone."""
        for ending in ("rules", "holder", "log", "log.1"):
            with contextlib.suppress(OSError):
                (self.folder / f"{uuid}.{ending}").unlink()

    def _prune(self, modules: Path) -> None:
        """Take away our modules of other versions, and logs of networks that nobody has written to for long."""
        now = time.time()
        for pattern, age in _OLD.items():
            for path in self.folder.glob(pattern):
                with contextlib.suppress(OSError):
                    if path != modules and now - path.stat().st_mtime > age:
                        path.unlink()

    def _make_folder(self) -> None:
        missing = [path for path in (self.folder, *self.folder.parents) if not path.exists()]
        owner = next(path for path in (self.folder, *self.folder.parents) if path.exists()).stat()
        for path in reversed(missing):
            path.mkdir(mode=0o700)
            self._own(path, owner)

    def _put(self, path: Path, data: bytes, mode: int) -> None:
        with contextlib.suppress(FileNotFoundError):
            if path.read_bytes() == data and path.stat().st_mode & 0o777 == mode:
                return
        new = path.with_name(f".{path.name}.{os.getpid()}")
        try:
            new.write_bytes(data)
            new.chmod(mode)
            self._own(new, self.folder.stat())
            new.replace(path)
        finally:
            new.unlink(missing_ok=True)

    @staticmethod
    def _own(path: Path, like: os.stat_result) -> None:
        """Root makes files for the user whose libvirt it is."""
        if os.geteuid() == 0:
            os.chown(path, like.st_uid, like.st_gid)


def emulator_files(volumes: Path) -> EmulatorFiles:
    """The files for a libvirt that keeps our volumes in the folder *volumes*."""
    return EmulatorFiles(volumes.parent / EMULATORS)


@lru_cache(1)
def _modules() -> Mapping[str, bytes]:
    """Our modules that run beside QEMU, by their places."""
    return modules_of("network")


def _digest() -> str:
    """What tells them from those of other versions."""
    seen = hashlib.sha256(_COMPILE.encode())
    for place, data in sorted(_modules().items()):
        seen.update(f"{place} {len(data)}\n".encode() + data)
    return seen.hexdigest()[:16]


def _archive() -> bytes:
    """The modules as one file, compiled where that can be done here: a start would do it anew each time."""
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w") as archive:
        for place, data in sorted(_modules().items()):
            archive.writestr(zipfile.ZipInfo(place, _MOMENT), data)
    try:
        done = subprocess.run(
            [SYSTEM_PYTHON, "-IS", "-c", _COMPILE],
            input=made.getvalue(),
            capture_output=True,
            timeout=_COMPILE_SECONDS,
            check=True,
        )
    except (OSError, subprocess.SubprocessError):
        return made.getvalue()
    return done.stdout
