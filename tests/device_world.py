"""A machine's device services (udevd, the system's bus, polkitd, udisksd) in namespaces of their own, for root alone.

    with device_world() as world, loop_device(world, 64 << 20, partitions=(0,), filesystem="ext4") as stick:
        world.inside(private_daemon.start)  # a libvirtd of the user "nobody" that sees the stick
        world.answer(Answer.ALLOWED)  # whom udisks lets open it
        world.run("lsblk", "--json", stick.node, user=USER)

Nothing else on the machine hears of them: they have a /run of their own, and a network namespace of their own since
udevd tells its news to all that listen in one. Block devices and their nodes in /dev are the kernel's, and shared.
Whatever is to see such a world is started by ``DeviceWorld.inside``.
"""

import ctypes
import errno
import fcntl
import os
import pwd
import random
import shutil
import socket
import stat
import struct
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from enum import StrEnum
from functools import partial
from pathlib import Path
from typing import TypeVar

from tests.ending import end_program
from tests.waiting import wait_until

# Whom the answers of polkit are about, and who runs the tests' libvirtd.
USER = "nobody"
_BUS = "/run/dbus/system_bus_socket"
_UDEVD = "/lib/systemd/systemd-udevd"
_POLKITD = "/usr/lib/polkit-1/polkitd"
_UDISKSD = "/usr/libexec/udisks2/udisksd"
_PROGRAMS = ("ip", "dbus-daemon", "dbus-send", "udevadm", "losetup", "sfdisk", "partx", _UDEVD, _POLKITD, _UDISKSD)
_POLKIT, _UDISKS = "org.freedesktop.PolicyKit1", "org.freedesktop.UDisks2"
# What the services write to, and where udevd puts its links to nodes.
_PLACES = ("/run", "/var/lib/udisks2", "/etc/polkit-1/rules.d", "/media", "/dev/disk", "/dev/block", "/dev/bus")
_FOLDERS = ("dbus", "udev", "udisks2", "lock", "mount", "user")
# From linux/sched.h.
_CLONE_FS = 0x00000200
_KINDS = (("net", 0x40000000), ("mnt", 0x00020000))
# From linux/loop.h.
_LOOP_CTL_ADD, _LOOP_CTL_REMOVE = 0x4C80, 0x4C81
# The numbers of our loop devices: above those that are always there, which `losetup -f` of others takes, and so many
# that none is had twice soon: worlds beside each other see all of them.
_NUMBERS = range(100, 10000)
# No service is started by the bus: what a world has not is missing at once.
_BUS_CONFIG = """<busconfig>
<type>system</type><user>messagebus</user><auth>EXTERNAL</auth><listen>unix:path=%s</listen>
<policy context="default">
<allow user="*"/><deny own="*"/><deny send_type="method_call"/><allow send_type="signal"/>
<allow send_requested_reply="true" send_type="method_return"/><allow send_requested_reply="true" send_type="error"/>
<allow receive_type="method_call"/><allow receive_type="method_return"/><allow receive_type="error"/>
<allow receive_type="signal"/><allow send_destination="org.freedesktop.DBus"/>
</policy>
<includedir>/usr/share/dbus-1/system.d</includedir><includedir>/etc/dbus-1/system.d</includedir>
</busconfig>
"""
# polkitd asks for the answer each time, so that a new one holds at once; a changed rule it reads when it likes.
_RULE = """polkit.addRule(function(action, subject) {
    if (action.id.indexOf("org.freedesktop.udisks2.open-device") == 0 && subject.user == "%s")
        return polkit.spawn(["cat", "%s"]).trim();
});
"""
# udevd, and each that runs, would have the kernel read a disk's partition table again whenever somebody has written to
# it; a kernel that knows no tables, as those of small machines, takes the partitions away then.
_UDEV_RULE = 'SUBSYSTEM=="block", KERNEL=="loop*", ENV{DEVTYPE}=="disk", OPTIONS+="nowatch"\n'
# What udev says of a USB stick. libvirt has no node device for a block device without ID_TYPE; udisks takes for one of
# the system, with other rights, what does not say that it is none.
STICK = {
    "ID_TYPE": "disk",
    "ID_BUS": "usb",
    "ID_VENDOR": "Acme",
    "ID_MODEL": "Stick",
    "ID_SERIAL": "Acme_Stick_$kernel",
    "UDISKS_SYSTEM": "0",
}
_SEND = ("dbus-send", "--system", "--print-reply=literal")
_UNVERIFIED = "SYSTEMD_DEVICE_VERIFY_SYSFS"
# From linux/netlink.h; the group to which udevd tells what it has done; the mark of its messages (systemd's
# src/libsystemd/sd-device/device-monitor.c).
_NETLINK_KOBJECT_UEVENT = 15
_UDEV_GROUP = 2
_MAGIC = 0xFEEDCAFE
# Where devices of other subsystems than USB are found, since those folders are the kernel's.
_OTHERS = "usb-others"
_MADE = {Path("/sys/bus"), Path("/sys/devices"), Path("/sys/bus/usb")}
_HOST = "devices/usb-controller"
# What of a device's properties the kernel says, and not udev.
_OF_KERNEL = {"BUSNUM", "DEVNUM"}
T = TypeVar("T")


class Answer(StrEnum):
    """What polkit says to a wish of USER to open a device."""

    ALLOWED = "yes"
    DENIED = "no"
    # There is no agent who could ask for a password, unless a test brings one.
    PASSWORD = "auth_admin"


def missing_programs() -> list[str]:
    """What such a world needs and this machine has not."""
    path = f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin"
    return [name for name in _PROGRAMS if not shutil.which(name, path=path)]


class DeviceWorld:
    """A running world. *folder* has its /run as ``run``; *bus* is an address for D-Bus clients outside of it."""

    def __init__(self, folder: Path, holder: int) -> None:
        self.folder = folder
        self.bus = f"unix:path={folder}{_BUS}"
        self._namespaces = [(kind, os.open(f"/proc/{holder}/ns/{name}", os.O_RDONLY)) for name, kind in _KINDS]
        self._thread = ThreadPoolExecutor(1, "device-world", self._join)

    def inside(self, function: Callable[[], T]) -> T:
        """What *function* returns, called by a thread that is in this world; processes that it starts stay there."""
        return self._thread.submit(function).result()

    def start(self, *words: str | Path, user: str | None = None) -> "subprocess.Popen[bytes]":
        """Start a program in this world, as root or as *user*; what it says is in ``folder/PROGRAM.out``."""
        group, others = _groups(user)
        with (self.folder / f"{Path(words[0]).name}.out").open("ab") as out:
            return self.inside(
                lambda: subprocess.Popen(
                    words,
                    stdin=subprocess.DEVNULL,
                    stdout=out,
                    stderr=out,
                    start_new_session=True,
                    user=user,
                    group=group,
                    extra_groups=others,
                )
            )

    def run(self, *words: str | Path, user: str | None = None, check: bool = True) -> str:
        """What a program prints in this world, run as root or as *user*; it must succeed where *check* is set."""
        group, others = _groups(user)
        done = self.inside(
            lambda: subprocess.run(
                words,
                stdin=subprocess.DEVNULL,
                capture_output=True,
                text=True,
                check=False,
                user=user,
                group=group,
                extra_groups=others,
            )
        )
        assert not check or not done.returncode, f"{words}: {done.stderr}{done.stdout}"
        return done.stdout

    def answer(self, answer: Answer) -> None:
        """Say what polkit says from now on."""
        (self.folder / "answer").write_text(answer)

    def settle(self) -> None:
        """Wait until udevd has done with what happened until now."""
        self.run("udevadm", "settle")

    def announce(self, message: bytes) -> None:
        """Tell all that listen to udevd something in its name."""

        def send() -> None:
            with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, _NETLINK_KOBJECT_UEVENT) as line:
                line.sendto(message, (0, _UDEV_GROUP))

        self.inside(send)

    def udisks(self, node: Path, name: str) -> str:
        """A property of a block device as udisksd has it, in dbus-send's words ("uint64 512"); "" without one."""
        place = f"/org/freedesktop/UDisks2/block_devices/{node.name}"
        asked = ("org.freedesktop.DBus.Properties.Get", f"string:{_UDISKS}.Block", f"string:{name}")
        said = self.run(*_SEND, f"--dest={_UDISKS}", place, *asked, check=False)
        return " ".join(said.split()).removeprefix("variant").strip()

    def has_name(self, name: str) -> bool:
        """Whether somebody on the bus has that name."""
        asked = ("org.freedesktop.DBus.NameHasOwner", f"string:{name}")
        return "true" in self.run(*_SEND, "--dest=org.freedesktop.DBus", "/", *asked, check=False)

    def close(self) -> None:
        """Let go of the namespaces; they end with the last process in them."""
        self._thread.shutdown()
        for _kind, namespace in self._namespaces:
            os.close(namespace)

    def _join(self) -> None:
        # Only a thread that shares its root and working folder with no other may change its mount namespace.
        libc = ctypes.CDLL(None, use_errno=True)
        if libc.unshare(_CLONE_FS) or any(libc.setns(file, kind) for kind, file in self._namespaces):
            raise OSError(ctypes.get_errno(), "cannot enter the world of devices")


@contextmanager
def device_world() -> Iterator[DeviceWorld]:
    """A world whose services run; they end with the block, and so must what was started in it."""
    folder = Path(tempfile.mkdtemp(prefix="qm-world-", dir="/var/tmp"))
    with ExitStack() as undo:
        undo.callback(shutil.rmtree, folder, ignore_errors=True)
        world = DeviceWorld(folder, _start_bus(folder, undo))
        undo.callback(world.close)

        def start(program: str, is_up: Callable[[], bool]) -> None:
            process = world.start(program)
            undo.callback(end_program, process)
            wait_until(lambda: process.poll() is not None or is_up(), program)
            assert process.poll() is None, (folder / f"{Path(program).name}.out").read_text()

        start(_UDEVD, (folder / "run/udev/control").exists)
        # As when a machine starts, but for loop devices alone: other nodes keep their modes.
        world.run("udevadm", "trigger", "--action=add", "--subsystem-match=block", "--sysname-match=loop*")
        world.settle()
        start(_POLKITD, partial(world.has_name, _POLKIT))
        start(_UDISKSD, partial(world.has_name, _UDISKS))
        yield world


def _start_bus(folder: Path, undo: ExitStack) -> int:
    """Start what makes the namespaces and becomes the bus in them; its process id."""
    folder.chmod(0o755)
    (folder / "answer").write_text(Answer.DENIED)
    (folder / "bus.conf").write_text(_BUS_CONFIG % _BUS)
    lines = ["set -e", "ip link set lo up"]
    for place in _PLACES:
        own = folder / place.strip("/").replace("/", "-")
        own.mkdir()
        lines += [f"mkdir -p {place}", f"mount --bind {own} {place}"]
    lines += _showing_python(folder)
    # One that shows this namespace's networks; libvirt's session needs no control groups.
    lines.append("mount -t sysfs sysfs /sys")
    for name in _FOLDERS:
        (folder / "run" / name).mkdir()
    (folder / "run/udev/rules.d").mkdir()
    (folder / "run/udev/rules.d/99-nowatch.rules").write_text(_UDEV_RULE)
    (folder / "etc-polkit-1-rules.d/00-answer.rules").write_text(_RULE % (USER, folder / "answer"))
    lines.append(f"exec dbus-daemon --config-file={folder / 'bus.conf'} --nofork --nopidfile --nosyslog")
    words = ["unshare", "--mount", "--net", "sh", "-c", "\n".join(lines)]
    with (folder / "bus.out").open("wb") as out:
        process = subprocess.Popen(words, stdin=subprocess.DEVNULL, stdout=out, stderr=out, start_new_session=True)
    undo.callback(end_program, process)
    wait_until(lambda: process.poll() is not None or (folder / _BUS.strip("/")).exists(), "a bus of the system’s kind")
    assert process.poll() is None, (folder / "bus.out").read_text()
    return process.pid


def _showing_python(folder: Path) -> list[str]:
    """Lines of shell that let all users run this Python in the world, though it may lie in root's home."""
    python = Path(sys.base_prefix).resolve()
    hidden = next((place for place in reversed(python.parents) if not place.stat().st_mode & 0o001), None)
    if not hidden:
        return []
    shown = folder / "hidden" / python.relative_to(hidden)
    shown.mkdir(parents=True)
    return [f"mount --bind '{python}' '{shown}'", f"mount --rbind {folder / 'hidden'} '{hidden}'"]


def _groups(user: str | None) -> tuple[int | None, list[int] | None]:
    return (pwd.getpwnam(user).pw_gid, []) if user else (None, None)


class LoopDevice:
    """A block device of a world: *node*, which only root and its group may open, over the file *backing*."""

    def __init__(self, world: DeviceWorld, number: int, backing: Path, properties: Mapping[str, str]) -> None:
        self.node = Path(f"/dev/loop{number}")
        self.backing = backing
        self._world = world
        self._number = number
        self._rules = world.folder / f"run/udev/rules.d/99-{self.node.name}.rules"
        self._properties = properties

    def partition(self, number: int) -> Path:
        """The node of a partition; the first is 1."""
        return self.node.with_name(f"{self.node.name}p{number}")

    def plug_in(self) -> None:
        """Let it come with all it holds; it must be away."""
        self.appear()
        self.insert()

    def appear(self) -> None:
        """Let it come empty; raises FileExistsError where it is there."""
        said = "".join(f', ENV{{{name}}}="{value}"' for name, value in self._properties.items())
        self._rule(f'KERNEL=="{self.node.name}"{said}\n' if said else "")
        try:
            _loop_control(_LOOP_CTL_ADD, self._number)
        except FileExistsError:
            self._rules.unlink()
            raise

    def insert(self) -> None:
        """Give the empty device its file, as a reader gets a card."""
        self._world.settle()
        self._world.run("losetup", "--partscan", self.node, self.backing)
        self.read_partitions()

    def read_partitions(self) -> None:
        """Let all see what the device holds by now."""
        # The kernel may be one without partition tables of any kind; it takes from others what they are.
        self._world.run("partx", "--update", self.node, check=False)
        self.tell()
        wait_until(lambda: all(map(self._is_in_udisks, self._nodes())), f"udisksd knows {self.node}")

    def tell(self) -> None:
        """Let udevd look at it anew, and wait; it does not see by itself that somebody has written to a whole disk."""
        for node in self._nodes():
            self._world.run("udevadm", "trigger", "--action=change", "--settle", f"--name-match={node}")

    def shrink(self) -> None:
        """Let it have no size any more, as a reader whose card was pulled; whoever has it open keeps it."""
        os.truncate(self.backing, 0)
        self._world.run("losetup", "--set-capacity", self.node)
        self._world.settle()

    def yank(self) -> None:
        """Let it go as it does from the port, also while somebody has it open: what is read and written is lost.

        Only the kernel still has it, empty, until plug_out.
        """
        # Nothing that comes after may make libvirt believe that it is there.
        self._rule(f'KERNEL=="{self.node.name}*", OPTIONS+="nowatch"\n')
        self.shrink()
        for node in reversed(self._nodes()):
            path = Path("/sys/class/block", node.name)
            kind = "disk" if node == self.node else "partition"
            number = f"b{(path / 'dev').read_text().strip()}"
            entry = _Entry(str(path.resolve().relative_to("/sys")), "block", kind, {}, {}, number, node.name)
            self._world.announce(entry.message("remove"))

    def plug_out(self) -> None:
        """Let it go away; whoever has it open must close it soon."""
        for node in reversed(self._nodes()):
            self._world.run("umount", "--all-targets", "--lazy", node, check=False)
        self._world.run("partx", "--delete", self.node, check=False)
        self._world.run("losetup", "--detach", self.node, check=False)
        wait_until(self._is_removed, f"somebody has {self.node} open")
        self._world.settle()
        self._rules.unlink(missing_ok=True)

    def _rule(self, text: str) -> None:
        self._rules.write_text(text)
        self._world.run("udevadm", "control", "--reload")

    def _nodes(self) -> list[Path]:
        return [self.node, *sorted(self.node.parent.glob(f"{self.node.name}p*"))]

    def _is_in_udisks(self, node: Path) -> bool:
        sectors = Path("/sys/class/block", node.name, "size").read_text()
        return self._world.udisks(node, "Size") == f"uint64 {int(sectors) * 512}"

    def _is_removed(self) -> bool:
        try:
            _loop_control(_LOOP_CTL_REMOVE, self._number)
        except OSError as error:
            return error.errno == errno.ENODEV
        return True


@contextmanager
def loop_device(
    world: DeviceWorld,
    size: int,
    *,
    partitions: Sequence[int] = (),
    filesystem: str = "",
    label: str = "",
    properties: Mapping[str, str] = STICK,
) -> Iterator[LoopDevice]:
    """A device of *size* bytes, away with the block.

    *partitions* are their sizes in bytes, of which the last may be 0: what is left. A *filesystem* ("ext4", "vfat")
    with that *label* is on the first of them, or on the whole device where there is none. udev says *properties* of it.
    """
    with tempfile.NamedTemporaryFile(prefix="qm-disk-", dir="/var/tmp") as backing:
        backing.truncate(size)
        file = Path(backing.name)
        if partitions:
            lines = ["label: dos", *(f"{f'size={size >> 10}KiB,' if size else ''}type=c" for size in partitions)]
            subprocess.run(["sfdisk", "--quiet", file], input="\n".join(lines), text=True, check=True)
        device = _new_device(world, file, properties)
        try:
            device.insert()
            if filesystem:
                name = ("-n" if filesystem == "vfat" else "-L", label) if label else ()
                place = device.partition(1) if partitions else device.node
                world.run(f"mkfs.{filesystem}", *name, place)
                device.tell()
                wait_until(lambda: world.udisks(place, "IdType") == filesystem, f"udisksd knows what is on {place}")
            yield device
        finally:
            device.plug_out()


def _new_device(world: DeviceWorld, backing: Path, properties: Mapping[str, str]) -> LoopDevice:
    """Make a loop device of a number that nobody has."""
    for number in random.sample(_NUMBERS, 100):
        device = LoopDevice(world, number, backing, properties)
        try:
            device.appear()
        except FileExistsError:
            continue
        return device
    raise AssertionError("no loop device is left")


def _loop_control(request: int, number: int) -> None:
    control = os.open("/dev/loop-control", os.O_RDWR)
    try:
        fcntl.ioctl(control, request, number)
    finally:
        os.close(control)


@dataclass(frozen=True)
class UsbDevice:
    """What is plugged into a port ("1-2"; "1-1.3" is port 3 of the hub at 1-1)."""

    port: str
    number: int
    vendor_id: str
    product_id: str
    vendor: str
    product: str
    serial: str = ""
    device_class: str = "00"
    # Of each interface: class, subclass and protocol, as two hexadecimal digits each.
    interfaces: tuple[tuple[str, str, str], ...] = ()
    # A stick's disk: its name and its size in bytes. It has no node.
    disk: str = ""
    size: int = 0


HUB = UsbDevice("1-1", 2, "05e3", "0608", "Genesys", "USB2.0 Hub", "", "09", (("09", "00", "01"),))
USB_STICK = UsbDevice(
    "1-2", 3, "0781", "5581", "SanDisk", "Ultra", "4C530001", interfaces=(("08", "06", "50"),), disk="sdq", size=1 << 30
)
KEYBOARD = UsbDevice(
    "1-1.1", 4, "046d", "c31c", "Logitech", "Keyboard K120", interfaces=(("03", "01", "01"), ("03", "00", "00"))
)
WEBCAM = UsbDevice(
    "1-3", 5, "046d", "0825", "Logitech", "Webcam C270", "AB12", "ef", (("0e", "01", "00"), ("0e", "02", "00"))
)
_ROOT_HUB = UsbDevice("usb1", 1, "1d6b", "0002", "Linux", "xHCI Host Controller", "", "09", (("09", "00", "00"),))


class UsbWorld:
    """A USB bus that is in /sys of a world and in udev's database only; its nodes cannot be opened."""

    def __init__(self, world: DeviceWorld) -> None:
        self._world = world
        self._there: dict[UsbDevice, list[_Entry]] = {}

    def plug_in(self, *devices: UsbDevice) -> None:
        """Let them come, and udev say so."""
        for device in devices:
            self._there[device] = _entries(device)
            for entry in self._there[device]:
                entry.write(self._world.folder)
                self._world.announce(entry.message("add"))

    def plug_out(self, device: UsbDevice) -> None:
        """Let it go, and udev say so."""
        for entry in reversed(self._there.pop(device)):
            entry.remove(self._world.folder)
            self._world.announce(entry.message("remove"))

    def resize(self, device: UsbDevice, size: int) -> None:
        """Let a stick's disk have *size* bytes; 0 stands for a reader whose card was pulled."""
        disk = self._there[device][-1]
        disk.attributes["size"] = str(size // 512)
        disk.write(self._world.folder)
        self._world.announce(disk.message("change"))


@contextmanager
def usb_world(world: DeviceWorld) -> Iterator[UsbWorld]:
    """A USB bus with nothing on it in a world whose libvirtd has not been started yet."""
    folder = world.folder / "sys"
    (folder / "bus/usb/devices").mkdir(parents=True)
    (folder / "bus" / _OTHERS / "devices").mkdir(parents=True)
    # What is there stays, beside what we make: the kernel does not let anybody make files there.
    kept = [p for part in ("", "bus", "devices") for p in Path("/sys", part).iterdir() if p not in _MADE]
    lines = ["set -e"]
    for path in sorted(kept):
        place = folder / path.relative_to("/sys")
        if path.is_dir():
            place.mkdir(parents=True, exist_ok=True)
            lines.append(f"mount --rbind '{path}' '{place}'")
    lines.append(f"mount --rbind {folder} /sys")
    world.run("sh", "-c", "\n".join(lines))
    # libudev does not take what is no file of the kernel's for a device else; whoever is started here gets to know.
    before = os.environ.get(_UNVERIFIED)
    os.environ[_UNVERIFIED] = "0"
    bus = UsbWorld(world)
    try:
        bus.plug_in(_ROOT_HUB)
        yield bus
    finally:
        del os.environ[_UNVERIFIED]
        if before is not None:
            os.environ[_UNVERIFIED] = before


@dataclass
class _Entry:
    """A device as the kernel and udev describe it; *path* is below /sys."""

    path: str
    subsystem: str
    kind: str
    attributes: dict[str, str]
    properties: dict[str, str]
    # "c189:1"
    number: str = ""
    node: str = ""

    @property
    def name(self) -> str:
        return self.path.rpartition("/")[2]

    @property
    def _link(self) -> str:
        return f"bus/{'usb' if self.subsystem == 'usb' else _OTHERS}/devices/{self.name}"

    def _kernel_says(self) -> dict[str, str]:
        major, _, minor = self.number[1:].partition(":")
        node = {"MAJOR": major, "MINOR": minor, "DEVNAME": self.node} if self.number else {}
        return {**node, "DEVTYPE": self.kind}

    def write(self, folder: Path) -> None:
        """Write it into /sys and udev's database, as they are in *folder*."""
        place = folder / "sys" / self.path
        place.mkdir(parents=True, exist_ok=True)
        says = {**self._kernel_says(), **{k: v for k, v in self.properties.items() if k in _OF_KERNEL}}
        texts = {**self.attributes, "uevent": "".join(f"{k}={v}\n" for k, v in says.items() if v)}
        for name, text in texts.items():
            (place / name).parent.mkdir(exist_ok=True)
            (place / name).write_text(text)
        for link, target in ((place / "subsystem", f"bus/{self.subsystem}"), (folder / "sys" / self._link, self.path)):
            link.unlink(missing_ok=True)
            link.symlink_to(os.path.relpath(folder / "sys" / target, link.parent))
        if self.number.startswith("c"):
            self._node(folder).parent.mkdir(parents=True, exist_ok=True)
            os.mknod(self._node(folder), stat.S_IFCHR, os.makedev(*map(int, self.number[1:].split(":"))))
            self._node(folder).chmod(0o664)
        known = "".join(f"E:{k}={v}\n" for k, v in self.properties.items())
        self._database(folder).parent.mkdir(exist_ok=True)
        self._database(folder).write_text(f"I:1\n{known}V:1\n")

    def remove(self, folder: Path) -> None:
        """Take it from there."""
        (folder / "sys" / self._link).unlink()
        shutil.rmtree(folder / "sys" / self.path)
        self._database(folder).unlink()
        self._node(folder).unlink(missing_ok=True)

    def message(self, action: str) -> bytes:
        """What udevd tells all that listen."""
        says = {"ACTION": action, "DEVPATH": f"/{self.path}", "SUBSYSTEM": self.subsystem, "SEQNUM": "1"}
        says |= self._kernel_says() | self.properties
        if self.node:
            says["DEVNAME"] = f"/dev/{self.node}"
        body = b"".join(f"{k}={v}\0".encode() for k, v in says.items() if v)
        hashes = (_murmur(self.subsystem.encode()), _murmur(self.kind.encode()), 0, 0)
        numbers = struct.pack(">I", _MAGIC) + struct.pack("=III", 40, 40, len(body)) + struct.pack(">IIII", *hashes)
        return b"libudev\0" + numbers + body

    def _node(self, folder: Path) -> Path:
        """Its node as it is in *folder*; a disk has none."""
        return folder / "dev-bus" / (self.node.removeprefix("bus/") or "-")

    def _database(self, folder: Path) -> Path:
        return folder / "run/udev/data" / (self.number or f"+{self.subsystem}:{self.name}")


def _entries(device: UsbDevice) -> list[_Entry]:
    """The device, its interfaces, and what hangs on them; the disk last."""
    steps = device.port.split(".")
    ports = [".".join(steps[:n]) for n in range(1, len(steps) + 1)]
    path = "/".join([_HOST, "usb1", *(() if device is _ROOT_HUB else ports)])
    ids = {
        "ID_BUS": "usb",
        "ID_VENDOR": device.vendor,
        "ID_VENDOR_ID": device.vendor_id,
        "ID_MODEL": device.product.replace(" ", "_"),
        "ID_MODEL_ID": device.product_id,
        "ID_SERIAL": "_".join(filter(None, (device.vendor, device.product.replace(" ", "_"), device.serial))),
        "ID_SERIAL_SHORT": device.serial,
        "ID_USB_INTERFACES": f":{''.join(f'{a}{b}{c}:' for a, b, c in device.interfaces)}",
    }
    attributes = {
        "busnum": "1",
        "devnum": str(device.number),
        "devpath": "0" if device is _ROOT_HUB else device.port.partition("-")[2],
        "idVendor": device.vendor_id,
        "idProduct": device.product_id,
        "manufacturer": device.vendor,
        "product": device.product,
        "bDeviceClass": device.device_class,
        "bNumInterfaces": f"{len(device.interfaces):2}",
        "bConfigurationValue": "1",
        "speed": "480",
    }
    if device.serial:
        attributes["serial"] = device.serial
    numbers = {"BUSNUM": "001", "DEVNUM": f"{device.number:03}"}
    node = f"bus/usb/001/{device.number:03}"
    entries = [
        _Entry(path, "usb", "usb_device", attributes, {**numbers, **ids}, f"c189:{device.number - 1}", node),
        *(_interface(device, path, number) for number in range(len(device.interfaces))),
    ]
    return [*entries, *_disk_entries(device, entries[1].path, ids)] if device.disk else entries


def _interface(device: UsbDevice, path: str, number: int) -> _Entry:
    port = "1-0" if device is _ROOT_HUB else device.port
    names = ("bInterfaceClass", "bInterfaceSubClass", "bInterfaceProtocol")
    attributes = {"bInterfaceNumber": f"{number:02}", **dict(zip(names, device.interfaces[number], strict=True))}
    return _Entry(f"{path}/{port}:1.{number}", "usb", "usb_interface", attributes, {})


def _disk_entries(device: UsbDevice, path: str, ids: dict[str, str]) -> list[_Entry]:
    host, target, unit = f"{path}/host9", f"{path}/host9/target9:0:0", f"{path}/host9/target9:0:0/9:0:0:0"
    scsi = {"type": "0", "vendor": device.vendor, "model": device.product}
    sizes = {"size": str(device.size // 512), "queue/logical_block_size": "512", "removable": "1", "ro": "0"}
    disk = {**ids, "ID_TYPE": "disk", "ID_INSTANCE": "0:0", "ID_SERIAL": f"{ids['ID_SERIAL']}-0:0"}
    return [
        _Entry(host, "scsi", "scsi_host", {}, {}),
        _Entry(target, "scsi", "scsi_target", {}, {}),
        _Entry(unit, "scsi", "scsi_device", scsi, {}),
        _Entry(f"{unit}/block/{device.disk}", "block", "disk", sizes, disk, "b65:0", device.disk),
    ]


def _murmur(data: bytes) -> int:
    """MurmurHash2 with seed 0, by which libudev's listeners choose subsystems."""
    factor, mask = 0x5BD1E995, 0xFFFFFFFF
    result = len(data)
    for start in range(0, len(data) - 3, 4):
        part = int.from_bytes(data[start : start + 4], "little") * factor & mask
        part = (part ^ part >> 24) * factor & mask
        result = (result * factor & mask) ^ part
    if rest := data[len(data) // 4 * 4 :]:
        result = (result ^ int.from_bytes(rest, "little")) * factor & mask
    result = (result ^ result >> 13) * factor & mask
    return result ^ result >> 15
