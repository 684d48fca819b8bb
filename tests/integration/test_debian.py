"""The full Debian guest: what a person does with templates, on the real thing and by the real commands."""

import asyncio
from collections.abc import Iterator
from pathlib import Path

import pytest

from qubes_manager.backend.host.host_tools import run_tool_now
from qubes_manager.backend.host.private_daemon import PrivateDaemon
from qubes_manager.core.domain import DomainKey
from qubes_manager.services.making.creation import boot_words
from tests.integration.conftest import Run, World, remove_all
from tests.integration.templates import pool_files
from tests.integration.test_templates import KEPT, app

pytestmark = [pytest.mark.guest, pytest.mark.debian, pytest.mark.timeout(900)]
# The display server takes seconds of each start in software emulation, and nothing here looks at windows.
NO_WINDOWS = "systemd.mask=qubes-manager-gui.service"


@pytest.fixture(scope="module")
def pair(daemon: PrivateDaemon, debian: DomainKey) -> Iterator[tuple[DomainKey, DomainKey]]:
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

    before, (work, mail) = asyncio.run(make())
    yield work, mail
    assert asyncio.run(take_away()) == before


async def tell(world: World, key: DomainKey, command: str, user: str = "root") -> str:
    """Run a command in a guest and return what it prints."""
    out: list[bytes] = []
    code = await world.commands.run(key, command, user=user, out=out.append, err=out.append, startup_timeout=180)
    text = b"".join(out).decode()
    assert code == 0, text
    return text.strip()


async def test_what_a_domain_keeps_and_what_it_loses(world: World, pair: tuple[DomainKey, DomainKey]) -> None:
    work, mail = pair
    assert await tell(world, work, "systemctl is-system-running --wait; systemctl --failed --no-legend") == "running"
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
    await world.lifecycle.restart(work, 120)
    assert await tell(world, work, "cat ~/file /usr/local/file; ls /usr/lost || true", "user") == (
        "kept\nhere\nls: cannot access '/usr/lost': No such file or directory"
    )
    assert "No such file" in await tell(world, mail, "cat /home/user/file; true")


async def test_a_package_installed_in_the_template_comes_with_the_next_start(
    world: World, pair: tuple[DomainKey, DomainKey], run: Run, tmp_path: Path
) -> None:
    work, mail = pair
    await asyncio.to_thread(
        run_tool_now, ["apt-get", "-o", "APT::Sandbox::User=root", "download", "hello"], cwd=tmp_path
    )
    package = next(tmp_path.glob("hello_*.deb"))
    base = (await world.appears("base")).key
    await world.lifecycle.start(base)
    install = "cat >/tmp/hello.deb && dpkg -i /tmp/hello.deb >/dev/null && sync"
    data = await asyncio.to_thread(package.read_bytes)
    assert await world.commands.run(base, install, user="root", data=data, startup_timeout=180) == 0
    assert await tell(world, base, "hello") == "Hello, world!"
    # The command a person types: it waits, says what became of the run, and tidies up.
    done = await asyncio.to_thread(run, "qvm-shutdown", "--wait", "--timeout", "120", "base")
    assert (done.returncode, done.stderr) == (0, "“base” has a new revision 2; domains get it at their next start.\n")
    # Before it went it told its applications, and its domains show them.
    listed = await asyncio.to_thread(run, "qvm-appmenus", "--get-available", "work")
    assert listed.stdout == "debian-uxterm\tUXTerm\ndebian-xterm\tXTerm\n"
    await world.until(lambda: world.store.domains[work].outdated, "work would be updated by a restart", 30)
    await world.lifecycle.restart(work, 120)
    assert await tell(world, work, "hello") == "Hello, world!"
    assert "not found" in await tell(world, mail, "hello 2>&1; true")
    back = await asyncio.to_thread(run, "qvm-volume", "revert", "base:root")
    assert back.returncode == 0, back.stderr
    await world.until(lambda: not world.store.domains[mail].outdated, "mail runs from what is current again")
    assert world.store.domains[work].outdated


async def test_a_private_volume_grows_while_its_domain_runs(
    world: World, pair: tuple[DomainKey, DomainKey], run: Run
) -> None:
    work, mail = pair
    await asyncio.to_thread(run, "qvm-volume", "resize", "work:private", "1G")
    size = int(await tell(world, work, "df --output=size -B1M /rw | tail -1"))
    assert 900 < size <= 1024
    await world.lifecycle.shutdown(mail, 120)
    await world.volumes.resize(mail, "private", 1 << 30)
    assert 900 < int(await tell(world, mail, "df --output=size -B1M /rw | tail -1")) <= 1024
    smaller = await asyncio.to_thread(run, "qvm-volume", "resize", "work:private", "512M")
    assert smaller.returncode == 1
    assert "volumes never shrink" in smaller.stderr


async def test_an_encrypted_domain_asks_for_its_passphrase_at_each_start(
    world: World, debian: DomainKey, run: Run
) -> None:
    create = ["qvm-create", "--label", "red", "--template", "debian", "--encrypt", "--private-size", "64M"]
    done = await asyncio.to_thread(run, *create, "--prop", "memory=768", "vault", data="correct horse\n")
    assert done.returncode == 0, done.stderr
    try:
        vault = await world.appears("vault")
        assert "encrypted" in (await asyncio.to_thread(run, "qvm-start", "vault")).stderr
        wrong = await asyncio.to_thread(run, "qvm-start", "vault", data="wrong horse\n")
        assert (wrong.returncode, wrong.stderr) == (1, "qvm-start: cannot start “vault”: that passphrase is wrong\n")
        right = await asyncio.to_thread(run, "qvm-start", "vault", data="correct horse\n")
        assert right.returncode == 0, right.stderr
        await tell(world, vault.key, "echo the-plain-text >~/secret; sync", "user")
        private = next(v for v in await world.volumes.list(world.store.require(vault.key)) if v.role.value == "private")
        name = private.record.name
        path = await world.hosts.connection(world.uri).call(
            "find it", lambda raw: raw.storagePoolLookupByName("qubes-manager").storageVolLookupByName(name).path()
        )
        assert b"the-plain-text" not in await asyncio.to_thread(Path(path).read_bytes)
        secrets = await world.hosts.connection(world.uri).call("list secrets", lambda raw: raw.listSecrets())
        assert secrets == [], "libvirt has forgotten the passphrase"
    finally:
        await remove_all(world, KEPT)
