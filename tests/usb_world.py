"""USB devices on a machine whose kernel knows none, for root alone: a libvirtd finds them, and its QEMU opens them.

In a mount namespace /sys and /dev are the machine's, and besides what umockdev makes of descriptions of devices.
libvirtd, its node devices and QEMU are the real ones there. A device's node is a file with its descriptors, which
libusb takes for a device whose kernel has no answers: no packet goes to it. As a program this starts the libvirtd,
prints its URI, and ends it when its input ends.
"""

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

PROGRAMS = ("umockdev-run", "unshare", "libvirtd")
_ROOT = "/devices/pci0000:00/0000:00:14.0/usb1"
_ENTER = """
set -e
real=$1/real made=$UMOCKDEV_DIR pci=/sys/devices/pci0000:00
mkdir -p $real/sys $real/dev
mount --make-rprivate /
mount --rbind /sys $real/sys
mount --rbind /dev $real/dev
mount -t tmpfs -o mode=755 tmpfs /sys
for folder in $real/sys/*; do
    name=${folder##*/}
    mkdir /sys/$name
    case $name in
        bus|devices) for part in $folder/*/; do
            mkdir /sys/$name/$(basename $part)
            mount --rbind $part /sys/$name/$(basename $part)
        done ;;
        *) mount --rbind $folder /sys/$name ;;
    esac
done
for place in $pci /sys/bus/usb; do
    ! [ -d $place ] || umount -l $place
    mkdir -p $place
done
cp -a $made/sys/devices/pci0000:00/. $pci/
cp -a $made/sys/bus/usb/. /sys/bus/usb/
mount -t tmpfs -o mode=755 tmpfs /dev
for name in null zero full random urandom tty; do
    touch /dev/$name
    mount --bind $real/dev/$name /dev/$name
done
for name in pts shm; do
    mkdir /dev/$name
    mount --rbind $real/dev/$name /dev/$name
done
ln -s pts/ptmx /dev/ptmx
ln -s /proc/self/fd /dev/fd
mkdir -p /dev/bus
cp -a $made/dev/bus/usb /dev/bus/
chmod -R a+rwX /dev/bus
# libudev wants a /sys of the kernel's own otherwise.
export SYSTEMD_DEVICE_VERIFY_SYSFS=0 PYTHONPATH=$2
exec env -u LD_PRELOAD $3 -m tests.usb_world $1
"""


@dataclass(frozen=True, slots=True)
class Plugged:
    """A device of the world: its port on the first bus, its number, and its interfaces' classes."""

    port: str
    number: int
    ids: str
    maker: str
    product: str
    serial: str
    interfaces: tuple[tuple[int, int, int], ...]

    @property
    def descriptors(self) -> bytes:
        """What it would send of itself: itself, one configuration, and the interfaces without their endpoints."""
        vendor, product = (bytes.fromhex(part)[::-1] for part in self.ids.split(":"))
        body = b"".join(bytes([9, 4, index, 0, 0, *codes, 0]) for index, codes in enumerate(self.interfaces))
        device = bytes([18, 1, 0, 2, 0, 0, 0, 64]) + vendor + product + bytes([0, 1, 1, 2, 3, 1])
        config = bytes([9, 2, 9 + len(body), 0, len(self.interfaces), 1, 0, 0x80, 50])
        return device + config + body

    @property
    def description(self) -> str:
        """As umockdev reads it."""
        vendor, product = self.ids.split(":")
        data = self.descriptors.hex().upper()
        folder = _ROOT + "".join(f"/{part}" for part in _on_the_way(self.port))
        lines = [f"P: {folder}", f"N: bus/usb/001/{self.number:03d}={data}"]
        lines += ["E: SUBSYSTEM=usb", "E: DEVTYPE=usb_device", "E: BUSNUM=001", f"E: DEVNUM={self.number:03d}"]
        lines += ["E: MAJOR=189", f"E: MINOR={self.number - 1}", f"E: ID_VENDOR_ID={vendor}"]
        lines += [f"E: ID_MODEL_ID={product}", "A: busnum=1", f"A: devnum={self.number}", f"A: idVendor={vendor}"]
        lines += [f"A: idProduct={product}", f"A: manufacturer={self.maker}", f"A: product={self.product}"]
        lines += [f"A: serial={self.serial}"] if self.serial else []
        lines += ["A: speed=480", "A: bConfigurationValue=1", f"H: descriptors={data}", ""]
        for index, (base, sub, protocol) in enumerate(self.interfaces):
            lines += [f"P: {folder}/{self.port}:1.{index}", "E: SUBSYSTEM=usb", "E: DEVTYPE=usb_interface"]
            lines += [f"E: INTERFACE={base}/{sub}/{protocol}", f"A: bInterfaceNumber={index:02x}"]
            lines += [f"A: bInterfaceClass={base:02x}", f"A: bInterfaceSubClass={sub:02x}"]
            lines += [f"A: bInterfaceProtocol={protocol:02x}", ""]
        return "\n".join(lines)


STICK = Plugged("1-4", 4, "0781:5581", "SanDisk", "Ultra", "4C53", ((8, 6, 80),))
KEYBOARD = Plugged("1-5.2", 6, "046d:c31c", "Logitech", "USB Keyboard", "", ((3, 1, 1), (3, 0, 0)))
HUB = Plugged("1-5", 5, "05e3:0608", "Genesys", "USB2.0 Hub", "", ((9, 0, 0),))
_ROOT_HUB = f"""P: {_ROOT}
N: bus/usb/001/001
E: SUBSYSTEM=usb
E: DEVTYPE=usb_device
E: BUSNUM=001
E: DEVNUM=001
E: ID_VENDOR_ID=1d6b
E: ID_MODEL_ID=0002
A: busnum=1
A: devnum=1
A: idVendor=1d6b
A: idProduct=0002
"""


def _on_the_way(port: str) -> list[str]:
    bus, _, places = port.partition("-")
    numbers = places.split(".")
    return [f"{bus}-{'.'.join(numbers[: end + 1])}" for end in range(len(numbers))]


def missing_programs() -> list[str]:
    """What such a world needs and this machine has not; where nobody is root, that."""
    path = f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin"
    missing = [name for name in PROGRAMS if not shutil.which(name, path=path)]
    return missing + ([] if os.geteuid() == 0 else ["root"])


@contextmanager
def usb_world() -> Iterator[str]:
    """The URI of a libvirtd with STICK, HUB, and KEYBOARD in the latter; it ends with the block."""
    folder = Path(tempfile.mkdtemp(prefix="qm-", dir="/var/tmp"))
    folder.chmod(0o755)
    plugged = (STICK, HUB, KEYBOARD)
    (folder / "devices").write_text("\n".join([_ROOT_HUB, *(device.description for device in plugged)]))
    words = ["umockdev-run", "-d", str(folder / "devices")]
    tree = str(Path(__file__).parents[1])
    words += ["--", "env", "-u", "LD_PRELOAD", "unshare", "--mount", "sh", "-c", _ENTER, "sh"]
    with (folder / "said").open("wb") as said:
        process = subprocess.Popen(
            [*words, str(folder), tree, sys.executable], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=said
        )
    assert process.stdin and process.stdout
    try:
        uri = process.stdout.readline().decode().strip()
        assert uri, (folder / "said").read_text()
        yield uri
    finally:
        process.stdin.close()
        try:
            process.wait(30)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait(10)
        shutil.rmtree(folder, ignore_errors=True)


def _run(folder: Path) -> None:
    from qubes_manager.backend.host.private_daemon import PrivateDaemon

    private = PrivateDaemon(folder / "d")
    private.folder.mkdir()
    private.start()
    try:
        print(private.uri, flush=True)
        sys.stdin.read()
    finally:
        private.stop()


if __name__ == "__main__":
    _run(Path(sys.argv[1]))
