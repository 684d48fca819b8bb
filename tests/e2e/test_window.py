"""What a person does with the window, on real domains."""

import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import yaml

from qubes_manager.backend.guests.tiny_guest import TinyGuest
from qubes_manager.backend.host.private_daemon import PrivateDaemon
from tests.e2e.conftest import COMMANDS, Program
from tests.integration.conftest import World, remove_domain
from tests.waiting import PATIENCE

pytestmark = [pytest.mark.guest, pytest.mark.e2e]


def virsh(daemon: PrivateDaemon, *words: str) -> str:
    return subprocess.run(["virsh", "-c", daemon.uri, *words], capture_output=True, text=True, check=True).stdout


@pytest.fixture
def pair(daemon: PrivateDaemon, tiny_guest: TinyGuest) -> Iterator[None]:
    """Two halted domains, mail (blue) and bank (green)."""
    import asyncio

    async def make() -> None:
        world = World(daemon.uri)
        await world.hosts.load(daemon.uri)
        for name, label in (("mail", "blue"), ("bank", "green")):
            await world.demo.create_one(daemon.uri, tiny_guest, name, label, frozenset())
        await world.hosts.close()

    asyncio.run(make())
    yield
    for name in ("mail", "bank", "post"):
        remove_domain(daemon.uri, name)


@pytest.fixture
def program(start: Callable[..., Program], daemon: PrivateDaemon, pair: None) -> Program:
    return start("--connect", daemon.uri)


def test_a_domain_is_started_found_and_killed(program: Program, daemon: PrivateDaemon) -> None:
    program.choose("mail")
    program.keys("ctrl+Return")
    program.reads("Start “mail”?")
    program.picture("confirm-start")
    program.click("Start", "push button")
    program.until(lambda: "running" in virsh(daemon, "domstate", "mail"), "mail runs")
    program.until(lambda: "Running" in program.cells()[program.cells().index("mail") - 1], "the row says so")
    # The search field leaves one of the two.
    program.keys("ctrl+f")
    program.type("bank")
    program.until(lambda: "bank" in program.cells() and "mail" not in program.cells(), "the search")
    program.keys("ctrl+a", "BackSpace")
    program.until(lambda: "mail" in program.cells(), "all rows again")
    # Killing asks; the default button is the safe one.
    program.choose("mail")
    program.keys("ctrl+k")
    program.reads("Its unsaved work is lost.")
    program.picture("confirm-kill")
    program.keys("Return")
    program.until(lambda: not program.find(None, "Kill “mail”?"), "the question is gone")
    assert "running" in virsh(daemon, "domstate", "mail")
    program.keys("ctrl+k")
    program.click("Kill", "push button")
    program.until(lambda: "shut off" in virsh(daemon, "domstate", "mail"), "mail is off")
    program.picture("table")
    assert program.quit() == 0


def test_what_virsh_does_is_seen_at_once(program: Program, daemon: PrivateDaemon) -> None:
    virsh(daemon, "domrename", "mail", "post")
    program.until(lambda: "post" in program.cells() and "mail" not in program.cells(), "the new name")
    virsh(daemon, "undefine", "post")
    program.until(lambda: "post" not in program.cells(), "the row goes")


def test_a_domain_is_renamed_in_its_row(program: Program, daemon: PrivateDaemon) -> None:
    program.choose("mail")
    program.keys("F2")
    program.keys("ctrl+a")
    program.type("post")
    program.keys("Return")
    program.reads("Rename “mail”?")
    program.click("Rename", "push button")
    program.until(lambda: "post" in virsh(daemon, "list", "--all", "--name"), "the new name")
    program.until(lambda: "post" in program.cells(), "the row has it")


def test_settings_are_changed_and_kept(program: Program, daemon: PrivateDaemon) -> None:
    program.choose("bank")
    program.keys("alt+Return")
    program.reads("Save")
    program.click("Tags")
    program.type("money")
    program.picture("settings")
    program.click("Save", "push button")
    program.until(lambda: "money" in virsh(daemon, "dumpxml", "bank"), "the tag")


def test_logs_are_read_and_copied_to_the_clipboard_between_domains(program: Program, daemon: PrivateDaemon) -> None:
    virsh(daemon, "start", "mail")
    program.until(lambda: "Running" in program.cells(), "mail runs")
    program.choose("mail")
    program.keys("ctrl+l")
    program.until(lambda: any("qemu-system" in c.text for c in program.controls() if c.name == "Log"), "QEMU’s log")
    program.picture("logs")
    program.click("Copy", "push button")
    said = program.reads("bytes from “dom0”. Press")
    assert int(said.split()[1].replace(",", "")) > 500
    program.keys("Escape")
    program.reads("Inter-domain clipboard:")


def test_an_image_is_attached_by_menu_and_detached(
    program: Program, daemon: PrivateDaemon, shared_folder: Path
) -> None:
    image = shared_folder / "stick.img"
    image.write_bytes(bytes(1 << 20))
    image.chmod(0o666)
    virsh(daemon, "start", "mail")
    program.until(lambda: "Running" in program.cells(), "mail runs")
    program.choose("mail")
    program.keys("ctrl+b")
    program.reads("Add an image file…")
    program.click("Add an image file…")
    program.reads("Choose a disk image")
    program.type(str(image))
    program.keys("Return")
    # It is chosen, and so is the domain that the page was opened for.
    program.until(lambda: program.find(None, "“stick.img” can go to “mail”."), "the image is offered")
    program.picture("devices")
    program.click("Attach", "push button")
    program.reads("“mail” has “stick.img” as")
    assert str(image) in virsh(daemon, "domblklist", "mail")
    program.until(lambda: program.find(None, "mail (sda)"), "who has it is shown")
    program.click("Detach", "push button")
    program.until(lambda: str(image) not in virsh(daemon, "domblklist", "mail"), "the image is free")


def test_every_control_has_a_name(program: Program) -> None:
    named = {"push button", "check box", "combo box", "text", "table", "tool bar", "menu item", "menu"}
    nameless = [c for c in program.controls() if c.role in named and "showing" in c.states and not c.name]
    assert nameless == []
    names = {c.name for c in program.controls()}
    assert {"Domains", "Search domains", "New domain…", "Kill", "Logs", "Settings…"} <= names


def test_a_second_start_raises_the_first(program: Program) -> None:
    done = subprocess.run(
        [COMMANDS / "qubes-manager"],
        env=program.environment,
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert "its window was raised" in done.stdout
    assert program.process.poll() is None


def test_columns_and_filter_are_remembered(start: Callable[..., Program], daemon: PrivateDaemon, pair: None) -> None:
    columns = "[{id: name, width: 200, visible: true}, {id: state, width: 90, visible: true}]"
    first = start("--connect", daemon.uri, settings=f"columns: {columns}\nfilter: halted\n")
    assert "dom0" not in first.cells()
    assert first.quit() == 0
    kept = yaml.safe_load((first.folder / "config/qubes-manager/settings.yaml").read_text())
    assert [c["id"] for c in kept["columns"]][:2] == ["name", "state"]
    assert kept["columns"][0]["width"] == 200
    assert kept["filter"] == "halted"
