"""Devices that root alone may open, in domains of an ordinary user: udev, polkit and udisks as they are everywhere."""

import asyncio
import contextlib
import os
import shutil
import signal
import subprocess
import tempfile
import threading
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, cast

import libvirt
import pytest

from qubes_manager.backend.guests.tiny_guest import TinyGuest
from qubes_manager.backend.host.block_server import NotWritten
from qubes_manager.backend.host.private_daemon import PrivateDaemon
from qubes_manager.core.crossing.question import Answer as Answered
from qubes_manager.core.crossing.question import Question
from qubes_manager.core.devices.assignment import Assignment, Mode
from qubes_manager.core.devices.block import DiskRequest
from qubes_manager.core.devices.identity import DeviceClass, DeviceName
from qubes_manager.core.domain import Domain, DomainState
from qubes_manager.core.errors import QubesManagerError
from qubes_manager.services.broker.desktop.notices import Notices
from qubes_manager.services.broker.devices.assignments import AssignmentKeeper
from qubes_manager.services.devices.watch import DeviceWatch
from tests.device_world import (
    STICK,
    USER,
    Answer,
    DeviceWorld,
    LoopDevice,
    device_world,
    loop_device,
    missing_programs,
)
from tests.integration.conftest import COMMANDS, World
from tests.integration.test_events import virsh
from tests.waiting import shell_wait, wait_until

pytestmark = [
    pytest.mark.guest,
    pytest.mark.skipif(os.geteuid() != 0, reason="such a world is made by root alone"),
    pytest.mark.skipif(bool(missing_programs()), reason=f"not installed: {', '.join(missing_programs())}"),
]
MIB = 1 << 20


@dataclass(frozen=True)
class Machine:
    """A machine with an ordinary user, whose libvirtd has two domains."""

    world: DeviceWorld
    daemon: PrivateDaemon

    def qvm(self, command: str, *words: object) -> subprocess.CompletedProcess[str]:
        """A command of ours, as the user types it."""
        line = self._line(command, *words)
        return self.world.inside(
            lambda: subprocess.run(line, capture_output=True, text=True, check=False, **self._as_user())
        )

    def _line(self, command: str, *words: object) -> list[str]:
        variables = [f"{name}={value}" for name, value in self.daemon.environment().items()]
        # Nothing of this process's own, whose folders are root's.
        own = ["env", "-i", "PATH=/usr/bin:/bin:/usr/sbin:/sbin", "LANG=C.UTF-8", *variables]
        return [*own, str(COMMANDS / command), "--connect", self.daemon.uri, *map(str, words)]

    def _as_user(self) -> dict[str, Any]:
        group, folder = self.daemon.folder.stat().st_gid, self.daemon.folder
        return {"stdin": subprocess.DEVNULL, "user": USER, "group": group, "extra_groups": [], "cwd": folder}

    def qvm_apart(self, name: str, domain: str) -> subprocess.CompletedProcess[str]:
        """Attach a device beside another command: each world has one thread, which this one only starts it in."""
        out = self.daemon.folder / f"{domain}.err"
        line = self._line("qvm-block", "attach", domain, f"dom0:{name}")
        with out.open("wb") as file:
            process = self.world.inside(lambda: subprocess.Popen(line, stderr=file, **self._as_user()))
        code = process.wait()
        return subprocess.CompletedProcess(line, code, "", out.read_text())

    def take_back(self) -> None:
        """Let the domains have no device any more, nor be assigned one."""
        for name in ("work", "mail"):
            if "sd" in virsh(self.daemon, "domblklist", name):
                virsh(self.daemon, "resume", name)
                self.qvm("qvm-block", "unassign", name)
                self.qvm("qvm-block", "detach", "--force", name)

    def end_brokers(self) -> None:
        """End the brokers that our commands start for what has assignments: they would give devices too."""
        for line in Path("/proc").glob("[0-9]*/cmdline"):
            with contextlib.suppress(OSError):
                words = line.read_bytes().decode(errors="replace")
                if "broker" in words.split("\0") and str(self.daemon.folder) in words:
                    os.kill(int(line.parent.name), signal.SIGKILL)

    def served(self) -> list[str]:
        """What our servers of devices are started with."""
        found = []
        for line in Path("/proc").glob("[0-9]*/cmdline"):
            try:
                words = line.read_bytes().decode(errors="replace")
            except OSError:
                continue
            if str(self.daemon.folder) in words and "keeper.py" in words:
                found.append(words)
        return found


@pytest.fixture(scope="module")
def machine(tiny_guest: TinyGuest) -> Iterator[Machine]:
    """Its domains work and mail run."""
    folder = Path(tempfile.mkdtemp(prefix="qm-", dir="/var/tmp"))
    daemon = PrivateDaemon(folder)
    with device_world() as world:
        world.inside(daemon.start)
        try:

            async def make() -> None:
                services = World(daemon.uri)
                await services.hosts.load(daemon.uri)
                for name, label in (("work", "blue"), ("mail", "green")):
                    key = await services.demo.create_one(daemon.uri, tiny_guest, name, label, frozenset())
                    await services.lifecycle.start(key)
                    assert await services.commands.run(key, "true") == 0
                await services.hosts.close()

            asyncio.run(make())
            yield Machine(world, daemon)
        finally:
            Machine(world, daemon).end_brokers()
            daemon.stop()
            shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture
async def domains(machine: Machine) -> AsyncIterator[World]:
    """The services, for what a test looks at."""
    await asyncio.to_thread(machine.end_brokers)
    services = World(machine.daemon.uri)
    services.hosts.follow(machine.daemon.uri)
    await services.appears("work")
    yield services
    await services.hosts.close()


@pytest.fixture
def stick(machine: Machine) -> Iterator[LoopDevice]:
    """A stick with a file system, which the user may have opened."""
    machine.world.answer(Answer.ALLOWED)
    with loop_device(machine.world, 32 * MIB, filesystem="ext4", label="HOLIDAY") as stick:
        try:
            yield stick
            wait_until(lambda: not machine.served(), "no server is left")
        finally:
            # What a test that failed has left is not to make others fail.
            machine.take_back()


async def output(services: World, name: str, command: str) -> str:
    said: list[bytes] = []
    key = (await services.appears(name)).key
    code = await services.commands.run(key, command, user="root", out=said.append, err=said.append)
    text = b"".join(said).decode(errors="replace")
    assert code == 0, f"{command}: {text}"
    return text


def disks(domain: Domain) -> list[str]:
    return [disk.target for disk in domain.config.disks if disk.socket]


async def test_a_stick_goes_to_a_domain_is_written_there_and_comes_back(
    machine: Machine, domains: World, stick: LoopDevice
) -> None:
    name = stick.node.name
    listed = machine.qvm("qvm-block", "list")
    assert f"dom0:{name}" in listed.stdout
    assert "ext4 “HOLIDAY”" in listed.stdout
    done = machine.qvm("qvm-block", "attach", "work", f"dom0:{name}")
    assert (done.returncode, done.stdout) == (0, f"work has {name} as sda\n"), done.stderr
    wait = shell_wait("[ -b /dev/sda ]")
    assert await output(domains, "work", f"{wait}; cat /sys/block/sda/size") == f"{32 * MIB // 512}\n"
    # This machine keeps off it meanwhile.
    mount = machine.world.run("mount", stick.node, "/media", check=False)
    assert mount == ""
    assert "/media" not in machine.world.run("lsblk", "--noheadings", "--output", "MOUNTPOINTS", stick.node)
    again = machine.qvm("qvm-block", "attach", "mail", f"dom0:{name}")
    assert again.returncode == 1
    assert f"{stick.node}: “work” uses it as sda: detach it there first" in again.stderr
    await output(domains, "work", "mkdir -p /tmp/s; mount -t ext4 /dev/sda /tmp/s; echo precious > /tmp/s/file")
    done = machine.qvm("qvm-block", "detach", "work", f"dom0:{name}")
    assert done.returncode == 0, done.stderr
    assert "It is safe to pull it out." in done.stdout
    assert "may have had something" not in done.stdout
    machine.world.run("mount", "-o", "ro", stick.node, "/media")
    assert machine.world.run("cat", "/media/file") == "precious\n"
    refused = machine.qvm("qvm-block", "attach", "work", f"dom0:{name}")
    machine.world.run("umount", "/media")
    assert refused.returncode == 1
    assert f"dom0 uses {stick.node}: mounted at /media" in refused.stderr


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        (Answer.DENIED, "this machine's rules do not let you"),
        (Answer.PASSWORD, "a password is wanted, and nothing here asks for it: start your desktop's polkit agent"),
    ],
)
def test_who_may_not_is_told_what_to_do(machine: Machine, stick: LoopDevice, answer: Answer, reason: str) -> None:
    machine.world.answer(answer)
    done = machine.qvm("qvm-block", "attach", "work", f"dom0:{stick.node.name}")
    assert done.returncode == 1
    assert reason in done.stderr
    assert not machine.served()


async def test_what_the_guest_still_uses_is_not_torn_from_it(
    machine: Machine, domains: World, stick: LoopDevice
) -> None:
    name = stick.node.name
    assert machine.qvm("qvm-block", "attach", "work", f"dom0:{name}").returncode == 0
    wait = shell_wait("[ -b /dev/sda ]")
    busy = "mkdir -p /tmp/s; mount -t ext4 /dev/sda /tmp/s; cd /tmp/s; sleep 600 >/dev/null 2>&1 </dev/null &"
    await output(domains, "work", f"{wait}; {busy}")
    done = machine.qvm("qvm-block", "detach", "work", f"dom0:{name}")
    assert done.returncode == 1
    assert (
        "“work” still uses sda, at /tmp/s: close what is open there and try again, or detach it by force" in done.stderr
    )
    assert disks(domains.existing("work")) == ["sda"]
    done = machine.qvm("qvm-block", "detach", "--force", "work", f"dom0:{name}")
    assert done.returncode == 0, done.stderr
    await output(domains, "work", "killall sleep; umount -l /tmp/s")


async def test_a_card_that_is_pulled_while_it_is_written_ends_on_both_sides(
    machine: Machine, domains: World, stick: LoopDevice
) -> None:
    assert machine.qvm("qvm-block", "attach", "work", f"dom0:{stick.node.name}").returncode == 0
    wait = shell_wait("[ -b /dev/sda ]")
    writing = "while dd if=/dev/zero of=/dev/sda bs=1M count=8 conv=fsync 2>/dev/null; do :; done"
    await output(domains, "work", f"{wait}; ({writing}; echo ended >/tmp/ended) >/dev/null 2>&1 </dev/null &")
    await asyncio.sleep(1)
    await asyncio.to_thread(stick.yank)
    await domains.until(lambda: not disks(domains.existing("work")), "the domain has no disk any more")
    await asyncio.to_thread(wait_until, lambda: not machine.served(), "the server ends")

    await output(domains, "work", f"{shell_wait('[ -f /tmp/ended ]')}; [ ! -b /dev/sda ]")


async def test_a_server_goes_on_without_its_keeper_and_ends_with_the_attachment(
    machine: Machine, domains: World, stick: LoopDevice
) -> None:
    name = stick.node.name
    assert machine.qvm("qvm-block", "attach", "work", f"dom0:{name}").returncode == 0
    for line in Path("/proc").glob("[0-9]*/cmdline"):
        with contextlib.suppress(OSError):
            if "keeper.py" in (words := line.read_bytes().decode()) and str(machine.daemon.folder) in words:
                os.kill(int(line.parent.name), signal.SIGKILL)
    await asyncio.to_thread(wait_until, lambda: not machine.served(), "the keeper is gone")
    wait = shell_wait("[ -b /dev/sda ]")
    await output(domains, "work", f"{wait}; echo more | dd of=/dev/sda bs=512 seek=8 conv=fsync 2>/dev/null")
    done = machine.qvm("qvm-block", "detach", "work", f"dom0:{name}")
    assert "It is safe to pull it out." in done.stdout, done.stderr
    assert stick.backing.read_bytes()[8 * 512 :][:5] == b"more\n"
    # Nobody has it open.
    machine.world.run("mkfs.ext4", "-q", "-F", stick.node)


async def test_a_domain_that_is_killed_leaves_no_server(machine: Machine, domains: World, stick: LoopDevice) -> None:
    key = (await domains.appears("mail")).key
    assert machine.qvm("qvm-block", "attach", "mail", f"dom0:{stick.node.name}").returncode == 0
    assert machine.served()
    os.kill(machine.daemon.qemu_pid("mail"), signal.SIGKILL)
    await asyncio.to_thread(wait_until, lambda: not machine.served(), "the server ends")
    await domains.until(lambda: domains.existing("mail").state.is_over, "it is over")
    await domains.lifecycle.start(key)
    assert await domains.commands.run(key, "true") == 0


async def test_of_two_that_want_the_same_one_gets_it(machine: Machine, domains: World, stick: LoopDevice) -> None:
    name = stick.node.name
    loop = asyncio.get_running_loop()
    tries = [loop.run_in_executor(None, machine.qvm_apart, name, domain) for domain in ("work", "mail")]
    done = await asyncio.gather(*tries)
    assert sorted(one.returncode for one in done) == [0, 1], [one.stderr for one in done]
    refused = next(one for one in done if one.returncode)
    assert "uses it as sda" in refused.stderr
    for domain in ("work", "mail"):
        machine.qvm("qvm-block", "detach", domain)


def test_a_device_says_what_it_likes_and_is_shown_harmlessly(machine: Machine) -> None:
    said = {
        **STICK,
        "ID_MODEL": "Evil\\x1b[31m\\xe2\\x80\\xae$(reboot)",
        "ID_MODEL_ENC": "Evil\\x1b[2J\\xe2\\x80\\xaeX",
    }
    with loop_device(machine.world, 4 * MIB, filesystem="ext4", label="\x1b]0;x\x07boo", properties=said) as stick:
        listed = machine.qvm("qvm-block", "list")
        assert f"dom0:{stick.node.name}" in listed.stdout
        info = machine.qvm("qvm-block", "info", f"dom0:{stick.node.name}")
        for text in (listed.stdout, info.stdout):
            assert all(char.isprintable() or char == "\n" for char in text), repr(text)


async def test_what_is_required_is_there_before_the_domain_is_used(
    machine: Machine, domains: World, stick: LoopDevice
) -> None:
    key = (await domains.appears("mail")).key
    name = stick.node.name
    await domains.lifecycle.kill(key)
    done = machine.qvm("qvm-block", "assign", "--required", "mail", f"dom0:{name}")
    assert done.returncode == 0, done.stderr
    assert machine.qvm("qvm-start", "mail").returncode == 0
    await domains.until(lambda: disks(domains.existing("mail")) == ["sda"], "the stick is in mail")
    listed = machine.qvm("qvm-block", "list", "-s", "mail").stdout
    assert "required" in listed
    refused = machine.qvm("qvm-block", "detach", "mail", f"dom0:{name}")
    assert refused.returncode == 1
    assert "requires" in refused.stderr
    await domains.lifecycle.kill(key)
    wait_until(lambda: not machine.served(), "the server ends")
    await asyncio.to_thread(stick.plug_out)
    refused = machine.qvm("qvm-start", "mail")
    assert refused.returncode == 1
    assert "“mail” requires a device that is not there: block dom0:" in refused.stderr
    assert domains.existing("mail").state.is_over
    await asyncio.to_thread(stick.plug_in)
    assert machine.qvm("qvm-start", "mail").returncode == 0
    assert machine.qvm("qvm-block", "unassign", "mail").returncode == 0
    assert machine.qvm("qvm-block", "detach", "mail", f"dom0:{name}").returncode == 0


@contextlib.asynccontextmanager
async def keeping(services: World, answer: str = "") -> AsyncIterator[tuple[list[Question], list[str]]]:
    """What the broker does for assignments; gives the questions that were asked, and the notices."""
    asked: list[Question] = []
    told: list[str] = []

    async def ask(question: Question) -> Answered:
        asked.append(question)
        return Answered(answer)

    class Told:
        async def show(self, title: str, text: str, _about: object, _topic: object) -> bool:
            told.append(f"{title}: {text}")
            return True

    devices = services.devices
    watch = DeviceWatch(services.hosts, services.store, devices, services.uri)
    keeper = AssignmentKeeper(services.store, devices, services.assigned_devices, watch, ask, cast("Notices", Told()))
    task = asyncio.create_task(keeper.run())
    await services.until(lambda: watch.news.offered, "the devices are known")
    yield asked, told
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


async def assign(services: World, name: str, stick: LoopDevice, mode: Mode) -> None:
    key = (await services.appears(name)).key
    await services.devices.assign(key, Assignment(DeviceClass.BLOCK, stick.node.name, "*", mode))


async def test_what_is_plugged_in_goes_where_it_is_assigned_and_is_asked_about(
    domains: World, stick: LoopDevice
) -> None:
    await assign(domains, "work", stick, Mode.AUTO)
    await asyncio.to_thread(stick.plug_out)
    async with keeping(domains) as (asked, told):
        await asyncio.to_thread(stick.plug_in)
        await domains.until(lambda: disks(domains.existing("work")), "the stick is in work")
        await domains.until(lambda: told, "it is told")
        assert told[0].startswith("“work” has a device: ")
        assert not asked
        work = domains.existing("work")
        (held,) = await domains.devices.held(work.key, DeviceClass.BLOCK, DeviceName(stick.node.name))
        # What the user takes away stays away.
        await domains.devices.detach(held)
        await asyncio.sleep(3)
        assert not disks(domains.existing("work"))
    # Two are to have it: which one is asked, and nothing is attached unless the user chooses.
    await assign(domains, "mail", stick, Mode.AUTO)
    for answer in ("", "mail"):
        await asyncio.to_thread(stick.plug_out)
        async with keeping(domains, answer) as (asked, told):
            await asyncio.to_thread(stick.plug_in)
            await domains.until(partial(bool, asked), "the user is asked")
            assert [choice.target for choice in asked[0].choices] == ["mail", "work"]
            if answer:
                await domains.until(lambda: disks(domains.existing("mail")), "the stick is in mail")
            else:
                await asyncio.sleep(2)
                assert not disks(domains.existing("mail"))
            assert not disks(domains.existing("work"))
    for name in ("work", "mail"):
        await domains.devices.unassign(domains.existing(name).key, lambda _one: True)
    (held,) = await domains.devices.held(domains.existing("mail").key, DeviceClass.BLOCK, DeviceName(stick.node.name))
    await domains.devices.detach(held)


def taken() -> tuple[int, int]:
    """What this process has open, and its threads but for those of the loop's own pool, which grows to a bound."""
    threads = [thread for thread in threading.enumerate() if not thread.name.startswith("asyncio_")]
    return len(list(Path("/proc/self/fd").iterdir())), len(threads)


async def test_fifty_times_in_and_out_leaves_nothing_behind(domains: World, stick: LoopDevice) -> None:
    key = (await domains.appears("work")).key
    before = None
    for number in range(50):
        target = await domains.block_devices.attach(key, DiskRequest(str(stick.node), True))
        await domains.block_devices.detach(key, target)
        if number == 4:
            before = taken()
    assert before
    after = taken()
    assert after[0] <= before[0] + 2
    # The connection's own come with its calls, four at most.
    assert after[1] <= before[1] + 4


async def test_a_stick_that_is_smaller_than_it_says_is_an_error_in_the_guest_alone(
    machine: Machine, domains: World, stick: LoopDevice
) -> None:
    # The second half of it is not there, though it says so.
    os.truncate(stick.backing, 16 * MIB)
    assert machine.qvm("qvm-block", "attach", "work", f"dom0:{stick.node.name}").returncode == 0
    wait = shell_wait("[ -b /dev/sda ]")
    said = await output(
        domains,
        "work",
        f"{wait}; dd if=/dev/sda of=/dev/null bs=1M count=8 2>&1; dd if=/dev/sda of=/dev/null bs=1M skip=20 2>&1; true",
    )
    assert "8+0 records in" in said
    assert "I/O error" in said or "Input/output error" in said
    assert domains.existing("work").state is DomainState.RUNNING
    assert machine.qvm("qvm-block", "detach", "work", f"dom0:{stick.node.name}").returncode == 0


async def save(machine: Machine, domains: World) -> None:
    """Let mail go on later, as virsh does it."""

    def ask() -> None:
        connection = libvirt.open(machine.daemon.uri)
        connection.lookupByName("mail").managedSave(0)
        connection.close()

    await asyncio.to_thread(ask)
    await asyncio.to_thread(wait_until, lambda: not machine.served(), "the server ends")
    await domains.until(lambda: domains.existing("mail").state is DomainState.SAVED, "it is saved")


async def test_a_saved_domain_finds_its_stick_again_as_it_left_it(
    machine: Machine, domains: World, stick: LoopDevice
) -> None:
    name, key = stick.node.name, (await domains.appears("mail")).key
    assert machine.qvm("qvm-block", "attach", "mail", f"dom0:{name}").returncode == 0
    wait = shell_wait("[ -b /dev/sda ]")
    await output(domains, "mail", f"{wait}; echo before | dd of=/dev/sda bs=512 conv=fsync 2>/dev/null")
    await save(machine, domains)
    done = machine.qvm("qvm-start", "mail")
    assert done.returncode == 0, done.stderr
    assert await output(domains, "mail", "dd if=/dev/sda bs=6 count=1 2>/dev/null") == "before"
    await output(domains, "mail", "echo after | dd of=/dev/sda bs=512 conv=fsync 2>/dev/null")
    assert machine.qvm("qvm-block", "detach", "mail", f"dom0:{name}").returncode == 0
    assert stick.backing.read_bytes()[:6] == b"after\n"
    assert domains.store.require(key).state is DomainState.RUNNING


def write_to(stick: LoopDevice) -> None:
    """As another machine does, to which it is carried."""
    subprocess.run(["dd", "if=/dev/urandom", f"of={stick.node}", "bs=512", "seek=100", "count=1"], check=True)


@pytest.mark.parametrize(
    ("what", "reason"),
    [
        ("gone", "and that is not there: plug it in where it was"),
        ("back", "and it was taken out or written to since"),
        ("written", "and it was taken out or written to since"),
    ],
)
async def test_a_saved_domain_does_not_spoil_what_became_of_its_stick(
    machine: Machine, domains: World, stick: LoopDevice, what: str, reason: str
) -> None:
    key = (await domains.appears("mail")).key
    assert machine.qvm("qvm-block", "attach", "mail", f"dom0:{stick.node.name}").returncode == 0
    await save(machine, domains)
    if what == "written":
        await asyncio.to_thread(write_to, stick)
    else:
        await asyncio.to_thread(stick.plug_out)
    if what == "back":
        await asyncio.to_thread(stick.plug_in)
    refused = machine.qvm("qvm-start", "mail")
    assert refused.returncode == 1
    assert reason in refused.stderr
    if what == "gone":
        await asyncio.to_thread(stick.plug_in)
    await domains.lifecycle.discard_saved(key)
    await domains.lifecycle.start(key)
    assert await domains.commands.run(key, "true") == 0


def test_no_other_qemu_gets_it_and_none_that_has_it_loses_it(machine: Machine, stick: LoopDevice) -> None:
    name, words = stick.node.name, ["qemu-io", "-f", "raw", "-c", "read 0 512"]
    assert machine.qvm("qvm-block", "attach", "work", f"dom0:{name}").returncode == 0
    other = subprocess.run([*words, stick.node], capture_output=True, text=True, check=False)
    assert "Failed to get" in other.stderr
    assert machine.qvm("qvm-block", "detach", "work", f"dom0:{name}").returncode == 0
    holding = subprocess.Popen(["qemu-io", "-f", "raw", stick.node], stdin=subprocess.PIPE, stdout=subprocess.DEVNULL)
    try:
        wait_until(lambda: open_by(holding), "it has it open")
        refused = machine.qvm("qvm-block", "attach", "work", f"dom0:{name}")
        assert refused.returncode == 1
        assert "another virtual machine of dom0 has it open" in refused.stderr
    finally:
        holding.communicate(b"q\n")


def open_by(process: "subprocess.Popen[bytes]") -> list[str]:
    """The devices that a process has open."""
    files = [file.readlink() for file in Path(f"/proc/{process.pid}/fd").iterdir() if file.is_symlink()]
    return [str(file) for file in files if str(file).startswith("/dev/loop")]


async def test_the_domains_own_name_of_a_disk_is_not_taken_for_the_hosts(
    machine: Machine, domains: World, stick: LoopDevice
) -> None:
    with loop_device(machine.world, 4 * MIB) as other:
        for one in (stick, other):
            assert machine.qvm("qvm-block", "attach", "work", f"dom0:{one.node.name}").returncode == 0
        # By the name that each has on this machine.
        done = machine.qvm("qvm-block", "detach", "work", f"dom0:{other.node.name}")
        assert done.returncode == 0, done.stderr
        await domains.until(lambda: len(disks(domains.existing("work"))) == 1, "one is left")
        left = [disk.source for disk in domains.existing("work").config.disks if disk.socket]
        assert left == [str(stick.node)]
        again = machine.qvm("qvm-block", "detach", "work", f"dom0:{other.node.name}")
        assert again.returncode == 1
        assert machine.qvm("qvm-block", "detach", "work", f"dom0:{stick.node.name}").returncode == 0


async def test_a_stick_that_did_not_take_all_is_not_said_to_be_safe(machine: Machine, domains: World) -> None:
    # Over a file on a file system that gets full: its errors come late, as those of a worn stick.
    folder = machine.daemon.folder / "full"
    folder.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=4M", "none", folder], check=True)
    try:
        (folder / "image").touch()
        os.truncate(folder / "image", 16 * MIB)
        words = ["losetup", "--find", "--show", str(folder / "image")]
        node = Path(subprocess.run(words, capture_output=True, text=True, check=True).stdout.strip())
        try:
            key = (await domains.appears("work")).key
            target = await domains.block_devices.attach(key, DiskRequest(str(node), True))
            wait = shell_wait("[ -b /dev/sda ]")
            await domains.commands.run(key, f"{wait}; dd if=/dev/urandom of=/dev/sda bs=1M count=12; true", user="root")
            with pytest.raises(NotWritten, match="did not take all that was written to it"):
                await domains.block_devices.detach(key, target)
            assert not disks(domains.existing("work"))
        finally:
            subprocess.run(["losetup", "--detach", node], check=True)
    finally:
        subprocess.run(["umount", "--lazy", folder], check=True)


@pytest.mark.parametrize("way", ["mount", "swap", "elsewhere"])
async def test_whatever_way_the_guest_uses_it_is_seen(
    machine: Machine, domains: World, stick: LoopDevice, way: str
) -> None:
    ways = {
        "mount": "mount -t ext4 /dev/sda /tmp/m",
        "swap": "mkswap /dev/sda >/dev/null; swapon /dev/sda",
        "elsewhere": "unshare -m sh -c 'mount -t ext4 /dev/sda /tmp/m; exec sleep 1000' >/dev/null 2>&1 </dev/null &",
    }
    name = stick.node.name
    assert machine.qvm("qvm-block", "attach", "work", f"dom0:{name}").returncode == 0
    wait = shell_wait("[ -b /dev/sda ]")
    await output(domains, "work", f"{wait}; mkdir -p /tmp/m; {ways[way]}")
    if way == "elsewhere":
        await output(domains, "work", shell_wait("cat /proc/*/mountinfo | grep -q /dev/sda"))
    done = machine.qvm("qvm-block", "detach", "work", f"dom0:{name}")
    if way == "elsewhere":
        assert "“work” still uses sda, at /tmp/m" in done.stderr
        await output(domains, "work", "killall sleep")
        done = machine.qvm("qvm-block", "detach", "work", f"dom0:{name}")
    assert done.returncode == 0, done.stderr
    assert "It is safe to pull it out." in done.stdout


def test_bytes_that_are_no_text_break_nothing(machine: Machine) -> None:
    said = {**STICK, "ID_MODEL_ENC": "\\xff\\xfe", "ID_FS_LABEL_ENC": "\\xff\\x81"}
    with loop_device(machine.world, 4 * MIB, filesystem="ext4", label="x", properties=said) as stick:
        listed = machine.qvm("qvm-block", "list")
        assert (listed.returncode, listed.stderr) == (0, "")
        assert f"dom0:{stick.node.name}" in listed.stdout


async def test_a_domain_that_stands_still_keeps_what_it_has_not_written(
    machine: Machine, domains: World, stick: LoopDevice
) -> None:
    name, key = stick.node.name, (await domains.appears("work")).key
    assert machine.qvm("qvm-block", "attach", "work", f"dom0:{name}").returncode == 0
    wait = shell_wait("[ -b /dev/sda ]")
    await output(domains, "work", f"{wait}; mkdir -p /tmp/s; mount -t ext4 /dev/sda /tmp/s; echo late > /tmp/s/file")
    await domains.lifecycle.pause(key)
    refused = machine.qvm("qvm-block", "detach", "work", f"dom0:{name}")
    assert refused.returncode == 1
    assert "“work” stands still, and cannot write what it has in memory: let it go on" in refused.stderr
    await domains.lifecycle.start(key)
    assert machine.qvm("qvm-block", "detach", "work", f"dom0:{name}").returncode == 0
    machine.world.run("mount", "-o", "ro", stick.node, "/media")
    assert machine.world.run("cat", "/media/file") == "late\n"
    machine.world.run("umount", "/media")


async def test_what_was_served_by_a_server_that_is_killed_is_taken_away(
    machine: Machine, domains: World, stick: LoopDevice
) -> None:
    assert machine.qvm("qvm-block", "attach", "work", f"dom0:{stick.node.name}").returncode == 0
    await output(domains, "work", shell_wait("[ -b /dev/sda ]"))
    for line in Path("/proc").glob("[0-9]*/cmdline"):
        with contextlib.suppress(OSError):
            is_server = line.read_bytes().startswith(b"nbdkit\0")
            if is_server and str(stick.node) in [str(f.readlink()) for f in (line.parent / "fd").iterdir()]:
                os.kill(int(line.parent.name), signal.SIGKILL)
    await domains.until(lambda: not disks(domains.existing("work")), "the dead disk is taken away")
    await asyncio.to_thread(wait_until, lambda: not machine.served(), "the keeper ends")


async def test_a_detach_is_over_though_another_domain_is_sooner(
    machine: Machine, domains: World, stick: LoopDevice
) -> None:
    work, mail = (await domains.appears("work")).key, (await domains.appears("mail")).key
    target = await domains.block_devices.attach(work, DiskRequest(str(stick.node), True))
    await output(domains, "work", shell_wait("[ -b /dev/sda ]"))

    async def want() -> None:
        while True:
            try:
                await domains.block_devices.attach(mail, DiskRequest(str(stick.node), True))
            except QubesManagerError:
                await asyncio.sleep(0.005)
            else:
                return

    wanting = asyncio.create_task(want())
    async with asyncio.timeout(60):
        assert "It is safe to pull it out." in await domains.block_devices.detach(work, target)
        await wanting
    (held,) = await domains.devices.held(mail, DeviceClass.BLOCK, DeviceName(stick.node.name))
    await domains.devices.detach(held)


async def test_a_domain_that_ends_while_it_is_asked_keeps_nobody_waiting(
    machine: Machine, domains: World, stick: LoopDevice
) -> None:
    key = (await domains.appears("mail")).key
    target = await domains.block_devices.attach(key, DiskRequest(str(stick.node), True))
    await output(domains, "mail", shell_wait("[ -b /dev/sda ]"))
    detaching = asyncio.create_task(domains.block_devices.detach(key, target))
    await asyncio.sleep(0.4)
    os.kill(machine.daemon.qemu_pid("mail"), signal.SIGKILL)
    async with asyncio.timeout(30):
        said = await detaching
    assert "“mail” does not have sda any more." in said
    await domains.until(lambda: domains.existing("mail").state.is_over, "it is over")
    await domains.lifecycle.start(key)
    assert await domains.commands.run(key, "true") == 0


async def test_a_start_that_is_given_up_leaves_no_domain_without_what_it_requires(
    machine: Machine, domains: World, stick: LoopDevice
) -> None:
    key = (await domains.appears("mail")).key
    await domains.lifecycle.kill(key)
    await assign(domains, "mail", stick, Mode.REQUIRED)
    for moment in (0.05, 0.2, 0.35, 0.5, 0.8):
        starting = asyncio.create_task(domains.lifecycle.start(key))
        await asyncio.sleep(moment)
        starting.cancel()
        await asyncio.gather(starting, return_exceptions=True)
        # What libvirt does with a call that was given up is over by then.
        await asyncio.sleep(1)
        await domains.hosts.refresh(key)
        now = domains.existing("mail")
        assert now.state.is_over or disks(now) == ["sda"], moment
        if now.state.is_active:
            await domains.lifecycle.kill(key)
    await domains.devices.unassign(key, lambda _one: True)
    await domains.lifecycle.start(key)
    assert await domains.commands.run(key, "true") == 0
