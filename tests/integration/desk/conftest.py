"""A desktop that all tests of what crosses between Debian domains share: they take a minute to come."""

import asyncio
import base64
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from lxml import etree

from qubes_manager.backend.host.host_tools import run_tool_now
from qubes_manager.backend.host.private_daemon import PrivateDaemon
from qubes_manager.backend.viewers.needs import windows_trouble
from qubes_manager.core.crossing.ports import CROSSING_PORTS
from qubes_manager.core.domain import DomainKey
from tests.desk import COMMANDS, Desk, Programs
from tests.integration.conftest import World, remove_all
from tests.integration.test_templates import KEPT

TROUBLE = " ".join(windows_trouble()).strip()
MARKS = [
    pytest.mark.guest,
    pytest.mark.debian,
    pytest.mark.timeout(2400),
    pytest.mark.skipif(bool(TROUBLE), reason=TROUBLE),
]
KEY_LOGGER = Path(__file__).parent.with_name("key_logger.py")
DOMAINS = {"personal": "yellow", "work": "blue", "untrusted": "red"}
# Seconds in which a Debian guest boots in software emulation, while others do.
BOOT = 480
PLAIN = ["--template", "debian", "--private-size", "64M", "--property", "memory=1024"]
# Programs of the private volumes, what they open, and how: one shows a text and adds the line that is typed, one notes
# an address.
PROGRAMS = {
    "reader": ("text/plain", "%f", 'cat "$1"\nread line 2>/dev/null && [ -n "$line" ] && echo "$line" >>"$1"\n'),
    "browser": ("x-scheme-handler/https", "%u", 'printf "%s" "$1" >~/visited\nread line\n'),
}


def private_volume(folder: Path) -> Path:
    """An image of a private volume in whose /usr/local programs open texts and addresses."""
    local = folder / "private/usrlocal"
    applications = local / "share/applications"
    (local / "bin").mkdir(parents=True)
    applications.mkdir(parents=True)
    defaults = ["[Default Applications]"]
    for name, (kind, what, script) in PROGRAMS.items():
        program = local / "bin" / name
        program.write_text(f"#!/bin/sh\n{script}")
        program.chmod(0o755)
        entry = ["[Desktop Entry]", "Type=Application", f"Name={name}", f"MimeType={kind};", "NoDisplay=true"]
        entry.append(f"Exec=xterm -T {name} -e /usr/local/bin/{name} {what}")
        (applications / f"{name}.desktop").write_text("\n".join([*entry, ""]))
        defaults.append(f"{kind}={name}.desktop")
    (applications / "mimeapps.list").write_text("\n".join([*defaults, ""]))
    image = folder / "private.img"
    with image.open("wb") as file:
        file.truncate(64 << 20)
    run_tool_now(["/usr/sbin/mke2fs", "-q", "-t", "ext4", "-L", "private", "-d", folder / "private", image])
    return image


async def _take_away(uri: str) -> None:
    world = World(uri)
    await world.hosts.load(uri)
    await remove_all(world, KEPT)
    await world.hosts.close()


async def _take_ports(uri: str, name: str) -> None:
    """Take the ports from a domain that does not run: it is as one that an earlier version made."""
    world = World(uri)
    await world.hosts.load(uri)
    key = world.existing(name).key

    def take(raw: object) -> None:
        domain = raw.lookupByUUIDString(key.uuid)  # type: ignore[attr-defined]
        document = etree.fromstring(domain.XMLDesc(3))
        devices = document.find("devices")
        assert devices is not None
        for channel in devices.findall("channel"):
            target = channel.find("target")
            if target is not None and target.get("name") in CROSSING_PORTS:
                devices.remove(channel)
        raw.defineXML(etree.tostring(document, encoding="unicode"))  # type: ignore[attr-defined]

    await world.hosts.connection(uri).call("take its ports", take)
    await world.hosts.refresh(key)
    assert not world.existing(name).config.crossing_ports
    await world.hosts.close()


def _note_notices(desk: Desk) -> None:
    """Have notices of the desktop kept in a file: none of its programs shows any."""
    programs = desk.folder / "bin"
    programs.mkdir()
    (programs / "notify-send").write_text('#!/bin/sh\nprintf "%s\\n" "$@" >>~/notices\n')
    (programs / "notify-send").chmod(0o755)
    desk.environment["PATH"] = f"{programs}:{desk.environment['PATH']}"


@pytest.fixture(scope="package")
def desk(daemon: PrivateDaemon, debian: DomainKey) -> Iterator[Desk]:
    """Personal, work and untrusted, whose sessions are there, and base (green), of which one disposable is kept ready.

    Work comes from before there were ports for what crosses.
    """
    assert debian
    folder = Path(tempfile.mkdtemp(prefix="qm-desk-", dir="/var/tmp"))
    folder.chmod(0o755)
    desk = Desk(folder, daemon.uri)
    try:
        _note_notices(desk)
        image = private_volume(folder)
        desk.run("qvm-window-prefs", "global", "startup_timeout", BOOT)
        desk.run("qvm-create", *PLAIN, "--label", "green", "--property", "template_for_dispvms=True", "base")
        for name, label in DOMAINS.items():
            desk.run("qvm-create", *PLAIN, "--label", label, name)
        for name in ("base", "work"):
            desk.run("qvm-volume", "import", f"{name}:private", image)
        asyncio.run(_take_ports(daemon.uri, "work"))
        desk.run("qvm-start", *DOMAINS)
        desk.run("qubes-prefs", "default_dispvm", "base")
        # It boots beside them, and waits until somebody wants it; no other one takes its place.
        desk.run("qubes-prefs", "preload_dispvm_delay", "3600")
        desk.run("qvm-features", "base", "preload-dispvm-max", "1")
        for name in DOMAINS:
            in_guest(desk, name, "until [ -S /run/qubes-manager-gui/xpra.sock ]; do sleep 1; done")
        yield desk
    finally:
        desk.close()
        asyncio.run(_take_away(daemon.uri))
        shutil.rmtree(folder, ignore_errors=True)


def in_guest(desk: Programs, name: str, command: str, *, check: bool = True) -> str:
    """Run a command as a domain's user; returns what it prints."""
    return desk.run("qvm-run", "-p", "--no-gui", name, command, timeout=BOOT, check=check).stdout.rstrip()


def put(desk: Programs, name: str, text: str | bytes, path: str) -> None:
    """Write a file in a domain."""
    data = base64.b64encode(text.encode() if isinstance(text, str) else text).decode()
    in_guest(desk, name, f"echo {data} | base64 -d >{path}")


def open_keys(desk: Programs, name: str) -> str:
    """Open a window that keeps a record of the keys that it sees."""
    put(desk, name, KEY_LOGGER.read_bytes(), "/tmp/keys.py")
    in_guest(desk, name, "rm -f /tmp/keys")
    desk.run("qvm-run", name, "setsid -f python3 /tmp/keys.py keys >/dev/null 2>&1")
    return desk.window(f"[{name}] keys")


def keys_of(desk: Programs, name: str) -> list[str]:
    """The keys that it has seen: "+a" when it went down, "-a" up."""
    return in_guest(desk, name, "cat /tmp/keys").split()


def begin(desk: Desk, command: str) -> subprocess.Popen[str]:
    """Begin a command in untrusted, as its user types it; all that it says comes to its standard output."""
    return subprocess.Popen(
        [COMMANDS / "qvm-run", "-p", "--no-gui", "untrusted", f"{command} 2>&1"],
        env={**desk.environment, "QUBES_MANAGER_URI": desk.uri},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        text=True,
    )


def end(command: subprocess.Popen[str]) -> str:
    """Wait until a command ends well; returns what it said."""
    said, _ = command.communicate(timeout=BOOT)
    assert command.returncode == 0, said
    return said


def answer(desk: Desk, target: str, picture: str = "") -> None:
    """Say to the window that asks where what untrusted wants may go."""
    asking = desk.window("“untrusted” asks")
    desk.raise_window(asking)
    desk.until(lambda: desk.focused() == asking, "it has the keyboard")
    # It takes no answer before it has had the keyboard for a second.
    time.sleep(2.5)
    if picture:
        desk.picture(picture)
    desk.type(target)
    desk.keys("Down", "Return")
    desk.until(lambda: not desk.windows("“untrusted” asks"), "the answer is taken")


def disposable_window(desk: Desk, title: str) -> tuple[str, str]:
    """Wait for a disposable's window of that title; returns the window and the disposable's name."""

    def found() -> list[str]:
        return [name for name in desk.titles() if name.startswith("[disp") and f"] {title}" in name]

    desk.until(found, f"the window {title!r} of a disposable")
    return desk.window(found()[0]), found()[0][1:].partition("]")[0]
