"""The tiny guest with Python and the guest tools: for all that crosses between domains and needs no windows.

Three archives one after the other are its initramfs, which the kernel unpacks in that order: the tiny guest's own, this
machine's Python (its Debian's), and the tools. The last changes with the code, so it is made each time.
"""

import hashlib
import re
import shutil
import subprocess
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from importlib import resources
from pathlib import Path

from qubes_manager.backend.guests.guest_tools import python_folder, tool_files
from qubes_manager.backend.guests.tiny_guest import TinyGuest

_PYTHON = Path("/usr/bin/python3")
_LOADER = Path("/lib64/ld-linux-x86-64.so.2")
# Parts of the standard library that nothing of ours needs.
_LEFT_OUT = re.compile(
    r"(config-|test$|idlelib|lib2to3|tkinter|ensurepip|pydoc_data|distutils|unittest|sqlite3|curses|turtledemo|venv$|"
    r"wsgiref|xmlrpc|dbm$|multiprocessing|dist-packages|site-packages|_tkinter|_dbm|_gdbm|_curses|readline|_test|"
    r"_xxtest|_ctypes_test|_codecs_(?!utf)|xml$)"
)
# Runs beside the tiny guest's own init: ports by name, the user's as udev would have it, and the service program.
_START = """#!/bin/sh
ports=/sys/class/virtio-ports
until grep -qs org.qubes_manager.dat.3 $ports/*/name; do sleep 0.05; done
mkdir -p /dev/virtio-ports /run/qubes-manager-crossing
for port in $ports/*; do
  name=$(cat $port/name)
  ln -s ../${port##*/} /dev/virtio-ports/$name
  case $name in org.qubes_manager.*) chown user /dev/${port##*/} ;; esac
done
chown user /run/qubes-manager-crossing
while :; do
  su -s /bin/sh user -c 'cd; exec /usr/lib/qubes-manager/crossing' >/dev/console 2>&1
  sleep 0.5
done
"""
_INIT = """#!/bin/sh
# A shell takes /dev/null for what runs beside it.
mount -t devtmpfs devtmpfs /dev
/etc/start-crossing &
exec /bin/sh /etc/tiny-init
"""


@dataclass(frozen=True)
class _Entry:
    """A file of an archive by its place: a folder without data, or a link with *mode* saying so."""

    place: str
    data: bytes | None = None
    mode: int = 0o100644
    moment: int = 0


def build_python_guest(tiny: TinyGuest, cache: Path, folder: Path) -> TinyGuest:
    """Return the guest; its initramfs is made in *folder*, its Python is kept in *cache*."""
    python = _python_layer(cache)
    initrd = folder / "initrd"
    tools = _archive([*_tools(folder / "compiled"), *_start()])
    with initrd.open("wb") as made:
        for part in (tiny.initrd.read_bytes(), python.read_bytes(), tools):
            # The kernel looks for the next archive at a multiple of four.
            made.write(part + bytes(-len(part) % 4))
    digest = hashlib.sha256(f"{tiny.digest} {python.name}".encode() + tools).hexdigest()[:12]
    return TinyGuest(tiny.kernel, initrd, digest)


def with_files(guest: TinyGuest, folder: Path, files: Mapping[str, bytes]) -> TinyGuest:
    """The same guest with programs by their places, made in *folder*."""
    more = _archive(_Entry(place, data, 0o100755) for place, data in files.items())
    initrd = folder / "initrd"
    before = guest.initrd.read_bytes()
    initrd.write_bytes(before + bytes(-len(before) % 4) + more)
    return TinyGuest(guest.kernel, initrd, hashlib.sha256(guest.digest.encode() + more).hexdigest()[:12])


def _python_layer(cache: Path) -> Path:
    version = subprocess.run([_PYTHON, "-VV"], capture_output=True, check=True).stdout
    recipe = version + Path(__file__).read_bytes() + Path("/etc/os-release").read_bytes()
    layer = cache / f"python-{hashlib.sha256(recipe).hexdigest()[:12]}.cpio"
    if not layer.exists():
        fresh = layer.with_suffix(".new")
        fresh.write_bytes(_archive(_python()))
        fresh.rename(layer)
    return layer


def _python() -> Iterator[_Entry]:
    look = "import sysconfig; print(sysconfig.get_path('stdlib'))"
    library = Path(subprocess.run([_PYTHON, "-c", look], capture_output=True, check=True, text=True).stdout.strip())
    program = _PYTHON.resolve()
    yield _file(program, "usr/bin/python3")
    binaries = [program]
    for path in sorted(library.rglob("*")):
        parts = path.relative_to(library).parts
        if path.is_file() and not any(map(_LEFT_OUT.match, parts)):
            yield _file(path, str(path).removeprefix("/"))
            if path.suffix == ".so":
                binaries.append(path)
    listing = subprocess.run(["ldd", *binaries], capture_output=True, check=True, text=True).stdout
    for name in sorted(set(re.findall(r"=> (/\S+)", listing))):
        yield _file(Path(name), f"lib/{Path(name).name}")
    yield _file(_LOADER, str(_LOADER).removeprefix("/"))


def _tools(scratch: Path) -> Iterator[_Entry]:
    """The tools, compiled as their installation does."""
    for place, file in tool_files().items():
        path = scratch / place
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(file.data)
        yield _Entry(place, file.data, 0o100000 | file.mode, int(path.stat().st_mtime))
    words: list[str | Path] = [_PYTHON, "-m", "compileall", "-q", "-s", scratch, scratch / python_folder()]
    subprocess.run(words, check=True)
    for path in sorted((scratch / python_folder()).rglob("*.pyc")):
        yield _file(path, str(path.relative_to(scratch)))
    shutil.rmtree(scratch)


def _start() -> Iterator[_Entry]:
    yield _Entry("etc/start-crossing", _START.encode(), 0o100755)
    yield _Entry("etc/tiny-init", (resources.files("qubes_manager.guest") / "tiny-init.sh").read_bytes())
    yield _Entry("init", _INIT.encode(), 0o100755)


def _file(path: Path, place: str) -> _Entry:
    facts = path.stat()
    return _Entry(place, path.read_bytes(), 0o100000 | (facts.st_mode & 0o777), int(facts.st_mtime))


def _archive(files: Iterable[_Entry]) -> bytes:
    """A cpio archive in the “newc” format (Linux, Documentation/driver-api/early-userspace/buffer-format.rst)."""
    made, folders = bytearray(), set[str]()
    for number, entry in enumerate(_with_folders(files, folders), 1):
        name, data = entry.place.encode() + b"\0", entry.data or b""
        fields = (number, entry.mode, 0, 0, 1, entry.moment, len(data), 0, 0, 0, 0, len(name), 0)
        made += b"070701" + b"".join(b"%08X" % field for field in fields) + name
        made += bytes(-len(made) % 4) + data
        made += bytes(-len(made) % 4)
    name = b"TRAILER!!!\0"
    made += b"070701" + b"".join(b"%08X" % field for field in (*[0] * 4, 1, *[0] * 6, len(name), 0)) + name
    return bytes(made + bytes(-len(made) % 4))


def _with_folders(files: Iterable[_Entry], there: set[str]) -> Iterator[_Entry]:
    """The files, each after the folders that it lies in."""
    for entry in files:
        for folder in reversed(Path(entry.place).parents):
            if (place := str(folder)) != "." and place not in there:
                there.add(place)
                yield _Entry(place, None, 0o40755)
        yield entry
