"""The world of devices that tests of ours are to trust."""

import contextlib
import multiprocessing
import os
import pwd
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import libvirt
import pytest

from qubes_manager.backend.host.private_daemon import PrivateDaemon
from tests.device_world import (
    HUB,
    KEYBOARD,
    USB_STICK,
    USER,
    WEBCAM,
    Answer,
    DeviceWorld,
    device_world,
    loop_device,
    missing_programs,
    usb_world,
)
from tests.waiting import wait_until

pytestmark = [
    pytest.mark.skipif(os.geteuid() != 0, reason="such a world is made by root alone"),
    pytest.mark.skipif(bool(missing_programs()), reason=f"not installed: {', '.join(missing_programs())}"),
]
MIB = 1 << 20


@pytest.fixture
def world() -> Iterator[DeviceWorld]:
    with device_world() as world:
        yield world


def node_devices(uri: str) -> dict[str, str]:
    """The XML of a libvirtd's node devices, by name."""
    connection = libvirt.open(uri)
    found = {device.name(): device.XMLDesc() for device in connection.listAllDevices()}
    connection.close()
    return found


def opened(world: DeviceWorld, node: Path, *, address: str = "") -> str:
    """What udisks says to the unprivileged user who wants to open a device."""
    words = ["gdbus", "call", *(("--address", address) if address else ("--system",)), "--dest"]
    words += ["org.freedesktop.UDisks2", "--object-path", f"/org/freedesktop/UDisks2/block_devices/{node.name}"]
    words += ["--method", "org.freedesktop.UDisks2.Block.OpenDevice", "r", "{}"]

    group = pwd.getpwnam(USER).pw_gid

    def run() -> str:
        done = subprocess.run(
            words, capture_output=True, text=True, check=False, user=USER, group=group, extra_groups=[]
        )
        return done.stderr + done.stdout

    return run() if address else world.inside(run)


def test_udev_and_udisks_know_a_stick_with_its_partitions_while_it_is_there(world: DeviceWorld) -> None:
    with loop_device(world, 32 * MIB, partitions=(16 * MIB, 0), filesystem="ext4", label="HOLIDAY") as stick:
        first = stick.partition(1)
        for node in (stick.node, first, stick.partition(2)):
            status = node.stat()
            assert (status.st_uid, node.group(), status.st_mode & 0o777) == (0, "disk", 0o660)
        assert world.udisks(first, "IdLabel") == "HOLIDAY"
        told = world.run("lsblk", "--noheadings", "--bytes", "--output", "NAME,SIZE,LABEL", "--list", first, user=USER)
        assert told.split() == [first.name, str(16 * MIB), "HOLIDAY"]
    assert not stick.node.exists()
    assert not stick.backing.exists()
    assert not world.udisks(stick.node, "Size")


def test_programs_of_ours_run_there_as_the_user(world: DeviceWorld) -> None:
    said = world.run(sys.executable, "-c", "import os, qubes_manager; print(os.getuid())", user=USER)
    assert int(said) == pwd.getpwnam(USER).pw_uid


def test_polkit_answers_as_it_is_told_at_once(world: DeviceWorld) -> None:
    with loop_device(world, MIB) as stick:
        for answer, said in (
            (Answer.DENIED, "org.freedesktop.UDisks2.Error.NotAuthorized:"),
            (Answer.ALLOWED, "handle 0"),
            (Answer.PASSWORD, "org.freedesktop.UDisks2.Error.NotAuthorizedCanObtain:"),
        ):
            world.answer(answer)
            assert said in opened(world, stick.node)
            assert said in opened(world, stick.node, address=world.bus)


def test_a_card_goes_from_its_reader_and_comes_back(world: DeviceWorld) -> None:
    with loop_device(world, 4 * MIB) as card:
        held = os.open(card.node, os.O_RDWR)
        card.shrink()
        wait_until(lambda: world.udisks(card.node, "Size") == "uint64 0", "udisksd knows that the card is gone")
        assert not os.pread(held, 512, 0)
        os.close(held)
        card.plug_out()
        assert not card.node.exists()
        os.truncate(card.backing, 2 * MIB)
        card.plug_in()
        assert world.udisks(card.node, "Size") == f"uint64 {2 * MIB}"


def test_a_libvirtd_of_the_user_sees_what_comes_and_goes(world: DeviceWorld, shared_folder: Path) -> None:
    daemon = PrivateDaemon(shared_folder)
    world.inside(daemon.start)
    try:
        with loop_device(world, 4 * MIB) as stick:
            name = f"block_{stick.node.name}_Acme_Stick_{stick.node.name}"
            wait_until(lambda: f"<size>{4 * MIB}</size>" in node_devices(daemon.uri).get(name, ""), "the stick appears")
            held = os.open(stick.node, os.O_RDWR)
            stick.yank()
            wait_until(lambda: name not in node_devices(daemon.uri), "the stick is gone")
            with pytest.raises(OSError, match="No space left on device"):
                os.pwrite(held, bytes(512), 0)
            os.close(held)
            assert name not in node_devices(daemon.uri)
    finally:
        daemon.stop()


def test_a_libvirtd_of_the_user_sees_a_usb_bus(world: DeviceWorld, shared_folder: Path) -> None:
    daemon = PrivateDaemon(shared_folder)
    with usb_world(world) as bus, loop_device(world, MIB) as other:
        bus.plug_in(HUB, WEBCAM)
        world.inside(daemon.start)
        try:
            wait_until(lambda: "usb_1_3_1_1" in node_devices(daemon.uri), "libvirtd has read what is there")
            bus.plug_in(KEYBOARD, USB_STICK)
            disk = "block_sdq_SanDisk_Ultra_4C530001_0_0"
            wait_until(lambda: f"<size>{1 << 30}</size>" in node_devices(daemon.uri).get(disk, ""), "the stick’s disk")
            devices = node_devices(daemon.uri)
            assert "<product id='0xc31c'>Keyboard K120</product>" in devices["usb_1_1_1"]
            assert "<parent>usb_1_1</parent>" in devices["usb_1_1_1"]
            assert "<class>14</class>" in devices["usb_1_3_1_0"]
            assert any(name.startswith(f"block_{other.node.name}_") for name in devices)
            bus.resize(USB_STICK, 0)
            wait_until(lambda: "<size>0</size>" in node_devices(daemon.uri)[disk], "the disk is empty")
            bus.plug_out(USB_STICK)
            wait_until(lambda: "usb_1_2" not in node_devices(daemon.uri), "the stick is gone")
            assert disk not in node_devices(daemon.uri)
        finally:
            daemon.stop()


def test_worlds_can_be_beside_each_other_and_one_after_the_other() -> None:
    with multiprocessing.get_context("spawn").Pool(2) as pool:
        assert pool.map(_use_a_world, range(4)) == ["X"] * 4


def _use_a_world(_number: int) -> str:
    with device_world() as world, loop_device(world, 16 * MIB, partitions=(0,), filesystem="ext4", label="X") as stick:
        return world.udisks(stick.partition(1), "IdLabel")


def test_all_ends_where_something_fails() -> None:
    with pytest.raises(ZeroDivisionError), device_world() as world, loop_device(world, MIB) as stick:
        namespace = world.inside(lambda: Path("/proc/thread-self/ns/mnt").readlink())
        assert _processes_in(namespace)
        1 / 0  # noqa: B018
    assert not world.folder.exists()
    assert not stick.node.exists()
    assert not _processes_in(namespace)


def _processes_in(namespace: Path) -> list[str]:
    found = []
    for link in Path("/proc").glob("[0-9]*/ns/mnt"):
        with contextlib.suppress(OSError):
            if link.readlink() == namespace:
                found.append(str(link))
    return found
