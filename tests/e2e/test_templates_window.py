"""The set-up assistant, domains from templates, and volumes, as a person sees them."""

import asyncio
import hashlib
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import libvirt
import pytest

from qubes_manager.backend.guests.tiny_guest import TinyGuest
from qubes_manager.backend.host.private_daemon import PrivateDaemon
from tests.e2e.conftest import NO_OFFER, Program
from tests.e2e.test_trouble import empty_daemon as empty_daemon
from tests.integration.conftest import World, remove_all
from tests.integration.templates import make_tiny_template

pytestmark = [pytest.mark.guest, pytest.mark.e2e]
KEPT = ("shared", "debian", "trixie")


@pytest.fixture
def template(daemon: PrivateDaemon, tiny_guest: TinyGuest, shared_folder: Path) -> Iterator[None]:
    """A template called tiny; all that is made from it goes with it."""

    async def with_world(work: Callable[[World], object]) -> None:
        world = World(daemon.uri, watch=False)
        await world.hosts.load(daemon.uri)
        await work(world)  # type: ignore[misc]
        await world.hosts.close()

    asyncio.run(with_world(lambda world: make_tiny_template(world, tiny_guest, shared_folder)))
    yield
    asyncio.run(with_world(lambda world: remove_all(world, KEPT)))


def names(uri: str) -> set[str]:
    connection = libvirt.open(uri)
    found = {domain.name() for domain in connection.listAllDomains()}
    connection.close()
    return found


def test_the_assistant_leads_from_nothing_to_three_domains(
    start: Callable[..., Program], empty_daemon: PrivateDaemon, shared_folder: Path
) -> None:
    image = shared_folder / "system.img"
    image.write_bytes(b"")
    with image.open("r+b") as file:
        file.truncate(64 << 20)
    subprocess.run(["/usr/sbin/mke2fs", "-q", "-t", "ext4", str(image)], check=True)
    digest = hashlib.sha256(image.read_bytes()).hexdigest()
    # It opens by itself where nothing is there yet.
    program = start("--connect", empty_daemon.uri, settings="", ready=False)
    program.reads("What it can do, and what would help")
    program.reads("KVM:")
    program.picture("assistant")
    program.keys("alt+n")
    program.reads("The system that all domains start from")
    program.click("Import a disk image", "radio button")
    program.click("Image", "text")
    program.type(str(image))
    program.click("Checksum", "text")
    program.type("f" * 64)
    program.picture("assistant-template")
    program.keys("alt+n")
    program.reads("One for each of your activities")
    program.picture("assistant-domains")
    program.keys("alt+n")
    program.keys("alt+f")
    # A checksum that does not fit stops it, and says both values.
    line = program.reads("is not the image that the checksum belongs to")
    assert digest in line
    assert "f" * 64 in line
    assert names(empty_daemon.uri) == set()
    program.click("Set-up assistant…", "push button")
    program.keys("alt+n")
    program.click("Import a disk image", "radio button")
    program.click("Image", "text")
    program.type(str(image))
    program.click("Checksum", "text")
    program.type(digest)
    program.keys("alt+n")
    program.keys("alt+n")
    program.keys("alt+f")
    program.reads("The set-up is done")
    program.until(lambda: {"work", "personal", "untrusted", "imported"} <= set(program.cells()), "the rows")
    assert names(empty_daemon.uri) == {"work", "personal", "untrusted", "imported", "default-dvm"}
    program.picture("set-up-done")


def test_a_domain_is_made_from_a_template_with_a_name_and_a_colour(
    start: Callable[..., Program], daemon: PrivateDaemon, template: None
) -> None:
    program = start("--connect", daemon.uri)
    program.keys("ctrl+n")
    program.reads("AppVM: a fresh system")
    program.type("bank")
    program.picture("new-app")
    program.keys("Return")
    program.until(lambda: "bank" in program.cells(), "the row")
    # A clone of it, by keys alone.
    program.choose("bank")
    program.keys("ctrl+shift+n")
    program.reads("Clone bank")
    program.keys("Return")
    program.until(lambda: "bank-copy" in program.cells(), "the clone")
    assert {"bank", "bank-copy"} <= names(daemon.uri)


def test_the_volumes_of_a_template_are_verified_and_shown(
    start: Callable[..., Program], daemon: PrivateDaemon, template: None
) -> None:
    program = start("--connect", daemon.uri)
    program.choose("tiny")
    program.keys("ctrl+m")
    program.reads("root, revision 1 (current)")
    program.click("root, revision 1 (current)")
    program.click("Verify again", "push button")
    program.reads("is what it was when it was made")
    program.picture("volumes")


def test_an_encrypted_domain_asks_for_its_passphrase(
    start: Callable[..., Program], daemon: PrivateDaemon, template: None
) -> None:
    program = start("--connect", daemon.uri, settings=NO_OFFER + "unasked: [start]\n")
    program.keys("ctrl+n")
    program.reads("AppVM: a fresh system")
    program.type("vault")
    program.click("Memory", "spin button")
    program.keys("ctrl+a")
    program.type("256")
    program.click("Passphrase", "password text")
    program.type("correct horse")
    program.keys("Return")
    program.reads("“vault” is made")
    program.choose("vault")
    program.keys("ctrl+Return")
    program.reads("its private volume is encrypted")
    program.type("wrong horse")
    program.keys("Return")
    program.reads("that passphrase is wrong")
    program.picture("passphrase")
    program.type("correct horse")
    program.keys("Return")
    program.until(lambda: "Running" in program.cells()[program.cells().index("vault") - 1], "it runs")
