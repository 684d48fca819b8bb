"""The full Debian guest: what a person does with templates, on the real thing and by the real commands."""

import asyncio
from collections.abc import Iterator
from pathlib import Path

import pytest

from qubes_manager.backend.guests.guest_tools import tools_digest
from qubes_manager.backend.host.host_tools import run_tool_now
from qubes_manager.backend.host.private_daemon import PrivateDaemon
from qubes_manager.core.domain import DomainKey
from qubes_manager.services.making.creation import boot_words
from tests.heard_progress import HeardProgress
from tests.integration.conftest import Run, World, remove_all
from tests.integration.crossing import HostEnd
from tests.integration.templates import pool_files
from tests.integration.test_templates import KEPT, app
from tests.sound import SoundServer, sound_server

pytestmark = [pytest.mark.guest, pytest.mark.debian, pytest.mark.timeout(2400)]
# Seconds in which a guest boots in software emulation, while others do.
PATIENCE = 480
# The display server takes seconds of each start in software emulation, and nothing here looks at windows.
NO_WINDOWS = "systemd.mask=qubes-manager-gui.service"


@pytest.fixture(scope="module")
def speaker() -> Iterator[SoundServer]:
    """The user's sound server, when the pair is started."""
    with sound_server() as server:
        yield server


@pytest.fixture(scope="module")
def pair(daemon: PrivateDaemon, debian: DomainKey, speaker: SoundServer) -> Iterator[tuple[DomainKey, DomainKey]]:
    """Two running domains, work and mail, from a clone of the Debian template; all is as before afterwards."""

    async def make() -> tuple[list[str], list[DomainKey]]:
        world = World(daemon.uri)
        await world.hosts.load(daemon.uri)
        before = await pool_files(world)
        base = await world.cloning.clone(debian, "base")
        await world.properties.set_kernelopts(base, f"{boot_words('qemu', private=False)} {NO_WINDOWS}")
        words = f"{boot_words('qemu', private=True)} {NO_WINDOWS}"
        requests = [app(name, "base", memory=768, vcpus=2, netvm="user", kernelopts=words) for name in ("work", "mail")]
        keys = [await world.creation.create(world.uri, request) for request in requests]
        await asyncio.gather(*(world.lifecycle.start(key) for key in keys))
        await asyncio.gather(*(tell(world, key, "true") for key in keys))
        await world.hosts.close()
        return before, keys

    async def take_away() -> list[str]:
        world = World(daemon.uri)
        await world.hosts.load(daemon.uri)
        await remove_all(world, KEPT)
        left = await pool_files(world)
        await world.hosts.close()
        return left

    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PULSE_SERVER", speaker.address)
        before, (work, mail) = asyncio.run(make())
    yield work, mail
    assert asyncio.run(take_away()) == before


async def tell(world: World, key: DomainKey, command: str, user: str = "root") -> str:
    """Run a command in a guest and return what it prints."""
    out: list[bytes] = []
    code = await world.commands.run(key, command, user=user, out=out.append, err=out.append, startup_timeout=PATIENCE)
    text = b"".join(out).decode()
    assert code == 0, text
    return text.strip()


async def private_mib(world: World, key: DomainKey) -> int:
    """The size of a domain's private file system, as its guest sees it, in MiB."""
    return int(await tell(world, key, "df --output=size -B1M /rw | tail -1"))


async def test_the_guest_tools_are_there_and_run_as_the_user(world: World, pair: tuple[DomainKey, DomainKey]) -> None:
    work, _mail = pair
    with HostEnd(world, work) as host:
        assert (await host.connect()).tools == tools_digest()
    assert await tell(world, work, "stat -c '%U %a' /run/qubes-manager-crossing/calls") == "user 600"
    # Who built the template is nobody in it, and the user cannot compile what is root's.
    look = """
    sed 1d /usr/lib/qubes-manager/tools | while IFS= read -r file; do
      while [ "$file" != . ]; do stat -c %U "/$file"; file=$(dirname "$file"); done
    done | sort -u
    ls /usr/lib/qubes-manager/python-*/qubes_manager/guest/crossing/__pycache__ | grep -c daemon
    """
    assert await tell(world, work, look) == "root\n1"
    assert "FILE" in await tell(world, work, "qvm-copy --help", "user")


async def test_what_a_domain_keeps_and_what_it_loses(world: World, pair: tuple[DomainKey, DomainKey]) -> None:
    work, mail = pair
    assert await tell(world, work, "systemctl is-system-running --wait; systemctl --failed --no-legend") == "running"
    # Nor does it bring up to date at its start what its template has done already.
    assert await tell(world, work, "systemctl show --value -p ConditionResult systemd-journal-catalog-update") == "no"
    assert (
        await tell(world, work, "findmnt -no SOURCE /home; findmnt -no SOURCE /usr/local")
        == "/dev/vdb[/home]\n/dev/vdb[/usrlocal]"
    )
    # What a user finds in the home folder comes from the template's skeleton, once.
    assert await tell(world, work, "ls -d ~/.bashrc ~/.profile; id -un", user="user") == (
        "/home/user/.bashrc\n/home/user/.profile\nuser"
    )
    await tell(
        world, work, "echo kept >~/file; echo here | sudo tee /usr/local/file; echo lost | sudo tee /usr/lost", "user"
    )
    assert await tell(world, mail, "ls -A /home/user /usr/local/file /usr/lost 2>&1 | grep -c file") != "0"
    # While it is down, its volume grows.
    await world.lifecycle.shutdown(work, 120)
    await world.volumes.resize(work, "private", 1 << 30)
    await world.lifecycle.start(work)
    assert await tell(world, work, "cat ~/file /usr/local/file; ls /usr/lost 2>&1 || true", "user") == (
        "kept\nhere\nls: cannot access '/usr/lost': No such file or directory"
    )
    assert 900 < await private_mib(world, work) <= 1024
    assert "No such file" in await tell(world, mail, "cat /home/user/file; true")


async def test_what_a_program_plays_is_heard_and_there_is_nothing_to_record_from(
    world: World, pair: tuple[DomainKey, DomainKey], speaker: SoundServer
) -> None:
    _work, mail = pair
    # The first that plays starts the sound server of the session, which these domains have none of; and gives up
    # where that takes long.
    play = "until pacat --raw /dev/urandom; do sleep 1; done"
    player = f"mkdir -p -m 700 /tmp/run && export XDG_RUNTIME_DIR=/tmp/run && ({play}) 2>/tmp/player & echo $!"
    number = await tell(world, mail, player, "user")
    try:
        async with asyncio.timeout(120):
            while not any(abs(sample) > 100 for sample in await asyncio.to_thread(speaker.listen, 800)):
                pass
    except TimeoutError:
        pytest.fail(await tell(world, mail, "cat /tmp/player; ps -e"))
    look = "XDG_RUNTIME_DIR=/tmp/run pactl list short"
    assert "alsa_output.pci-0000_00_1b.0.analog-stereo" in await tell(world, mail, f"{look} sinks", "user")
    sources = await tell(world, mail, f"{look} sources", "user")
    assert all(".monitor" in source for source in sources.splitlines()), sources
    assert "capture" not in await tell(world, mail, f"kill {number} $(pidof pacat); cat /proc/asound/pcm")


def build_package(folder: Path) -> bytes:
    """A package of our own, a newer xclip: one of the host's may need another system than the template has."""
    program, control = folder / "tree/usr/bin/xclip", folder / "tree/DEBIAN/control"
    for path, text in (
        (program, "#!/bin/sh\necho 'Hello, world!'\n"),
        (control, "Package: xclip\nVersion: 99\nArchitecture: all\nMaintainer: a test\nDescription: greets\n"),
    ):
        path.parent.mkdir(parents=True)
        path.write_text(text)
    program.chmod(0o755)
    run_tool_now(["dpkg-deb", "--root-owner-group", "-Zgzip", "--build", folder / "tree", folder / "xclip.deb"])
    return (folder / "xclip.deb").read_bytes()


# Makes of a template one from before: without a package that windows need, which a mirror of its own has, with another
# session's files, and with a file that went since; its own session is masked, which it stays.
AGE = """
set -eu
mkdir /var/mirror && cat >/var/mirror/xclip.deb
{ dpkg-deb --field /var/mirror/xclip.deb; echo Filename: ./xclip.deb; echo Size: $(stat -c %s /var/mirror/xclip.deb)
  echo SHA256: $(sha256sum /var/mirror/xclip.deb | cut -d' ' -f1); } >/var/mirror/Packages
rm -f /etc/apt/sources.list.d/*
echo 'deb [trusted=yes] file:/var/mirror ./' >/etc/apt/sources.list
dpkg --purge xclip
cd /usr/lib/qubes-manager
rm -r python-* xpra launcher gui-bridge /etc/systemd/system/qubes-manager-bridge.service
printf '#!/bin/sh\nexec xpra start :10 --bind=/nowhere\n' >gui-session
touch gone
printf '%s\n' older usr/lib/qubes-manager/gui-session usr/lib/qubes-manager/gone usr/lib/qubes-manager/tools >tools
"""


async def test_an_older_template_is_brought_up_to_date_in_one_action_and_its_domains_with_the_next_start(
    world: World, pair: tuple[DomainKey, DomainKey], run: Run, tmp_path: Path
) -> None:
    work, mail = pair
    package = await asyncio.to_thread(build_package, tmp_path)
    base = (await world.appears("base")).key
    await world.lifecycle.start(base)
    assert await world.commands.run(base, AGE, user="root", data=package, startup_timeout=PATIENCE) == 0
    progress = HeardProgress()
    await world.guest_tools.update(base, progress)
    assert progress.steps == ["Installing the guest tools", "Looking for packages that are missing"]
    assert await tell(world, base, "xclip") == "Hello, world!"
    # The command a person types: it waits, says what became of the run, and tidies up.
    done = await asyncio.to_thread(run, "qvm-shutdown", "--wait", "--timeout", "120", "base")
    assert (done.returncode, done.stderr) == (0, "“base” has a new revision 2; domains get it at their next start.\n")
    # Before it went it told its applications, and its domains show them.
    listed = await asyncio.to_thread(run, "qvm-appmenus", "--get-available", "work")
    assert {"debian-uxterm\tUXTerm", "debian-xterm\tXTerm"} <= set(listed.stdout.splitlines())
    await world.until(lambda: world.store.domains[work].outdated, "work would be updated by a restart")
    await world.lifecycle.restart(work, 120)
    assert await tell(world, work, "xclip") == "Hello, world!"
    assert "No such file" in await tell(world, work, "ls /usr/lib/qubes-manager/gone 2>&1; true")
    look = "head -n 1 /usr/lib/qubes-manager/tools; ls /etc/systemd/system/qubes-manager-bridge.service"
    assert (await tell(world, work, look)).split("\n")[0] == tools_digest()
    assert "Hello" not in await tell(world, mail, "xclip -version 2>&1; true")
    back = await asyncio.to_thread(run, "qvm-volume", "revert", "base:root")
    assert back.returncode == 0, back.stderr
    await world.until(lambda: not world.store.domains[mail].outdated, "mail runs from what is current again")
    assert world.store.domains[work].outdated


async def test_a_private_volume_grows_while_its_domain_runs(
    world: World, pair: tuple[DomainKey, DomainKey], run: Run
) -> None:
    _work, mail = pair
    await asyncio.to_thread(run, "qvm-volume", "resize", "mail:private", "1G")
    assert 900 < await private_mib(world, mail) <= 1024
    smaller = await asyncio.to_thread(run, "qvm-volume", "resize", "mail:private", "512M")
    assert smaller.returncode == 1
    assert "volumes never shrink" in smaller.stderr
