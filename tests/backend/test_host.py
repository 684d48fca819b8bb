"""What the backend learns of the host, from real tools and from documents of libvirt's kind."""

import asyncio
import json
from pathlib import Path

import libvirt
import pytest

from qubes_manager.backend.connection.call_threads import SIZE, CallThreads
from qubes_manager.backend.connection.connection import LibvirtConnection
from qubes_manager.backend.connection.libvirt_errors import translate
from qubes_manager.backend.host import host_usage as module
from qubes_manager.backend.host.daemon_paths import daemon_paths
from qubes_manager.backend.host.host_tools import run_tool_now
from qubes_manager.backend.host.log_files import read_growth, read_piece
from qubes_manager.backend.host.node_devices import list_block_devices, parse_storage_device
from qubes_manager.core.errors import HostUnreachable, NotFound, QubesManagerError, TimedOut
from qubes_manager.core.events import HostEventKind

USB_STICK = """<device><name>block_sdb</name><devnode type='dev'>/dev/sdb</devnode><capability type='storage'>
<block>/dev/sdb</block><bus>usb</bus><drive_type>disk</drive_type><model>Ultra Fit</model><vendor>SanDisk</vendor>
<serial>4C53</serial><size>30752636928</size><capability type='hotpluggable'/></capability></device>"""
EMPTY_DRIVE = """<device><name>block_sr0</name><capability type='storage'><block>/dev/sr0</block><bus>ata</bus>
<drive_type>cdrom</drive_type><capability type='removable'><media_available>0</media_available>
<media_size>0</media_size></capability></capability></device>"""


def test_node_devices_are_read() -> None:
    stick, drive = parse_storage_device(USB_STICK), parse_storage_device(EMPTY_DRIVE)
    assert stick and drive
    assert (stick.ident, stick.bus, stick.serial, stick.removable) == ("sdb", "usb", "4C53", True)
    assert stick.description == "SanDisk Ultra Fit (28.6 GiB, removable)"
    assert (drive.kind, drive.media, drive.read_only) == ("optical drive", False, True)
    assert drive.description == "optical drive (no medium, removable, read-only)"
    assert parse_storage_device("<device><name>computer</name></device>") is None


def test_every_use_of_a_device_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    tree = {
        "blockdevices": [
            {
                "path": "/dev/sda",
                "type": "disk",
                "mountpoints": [None],
                "children": [
                    {"path": "/dev/sda1", "type": "part", "mountpoints": ["/boot"]},
                    {"path": "/dev/sda2", "type": "part", "mountpoints": ["[SWAP]"]},
                    {
                        "path": "/dev/sda3",
                        "type": "part",
                        "fstype": "LVM2_member",
                        "mountpoints": [None],
                        "children": [{"path": "/dev/mapper/vg-root", "type": "lvm", "mountpoints": ["/"]}],
                    },
                ],
            },
            {"path": "/dev/sdb", "type": "disk", "fstype": "linux_raid_member", "mountpoints": [None]},
            {"path": "/dev/sdc", "type": "disk", "fstype": "vfat", "mountpoints": [None]},
        ]
    }
    monkeypatch.setattr(module, "run_tool_now", lambda _argv: json.dumps(tree).encode())
    assert module.host_usage() == {
        "/dev/sda": "mounted at /boot, swap, LVM, mounted at /",
        "/dev/sdb": "RAID member",
    }


def test_the_real_lsblk_gives_what_we_read() -> None:
    assert isinstance(module.host_usage(), dict)


async def test_a_driver_without_node_devices_offers_none() -> None:
    connection = LibvirtConnection("test:///default", watch=False)
    await connection.open()
    assert await list_block_devices(connection) == []
    await connection.close()


def test_paths_are_known_only_for_daemons_of_this_machine(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    session, system = daemon_paths("qemu:///session"), daemon_paths("qemu:///system")
    assert session and system
    assert session.qemu_logs == tmp_path / "cache/libvirt/qemu/log"
    assert system.qemu_logs == Path("/var/log/libvirt/qemu")
    for uri in ("qemu+ssh://host/system", "test:///default", "xen:///", f"qemu+unix:///session?socket={tmp_path}/none"):
        assert daemon_paths(uri) is None, uri


def test_tools_that_fail_say_so_in_one_line() -> None:
    with pytest.raises(NotFound, match="no-such-tool is not installed"):
        run_tool_now(["no-such-tool"])
    with pytest.raises(QubesManagerError, match=r"ls failed: .*No such file"):
        run_tool_now(["ls", "/no/such/file"])
    with pytest.raises(TimedOut, match="sleep did not finish"):
        run_tool_now(["sleep", "5"], timeout=0.1)


@pytest.mark.parametrize(
    ("uri", "part"),
    [
        ("qemu+unix:///session?socket=/no/such/socket", "libvirtd is not running there"),
        ("test:///no/such/file", "cannot connect to test:///no/such/file"),
        ("qemu+ssh://127.0.0.1:1/session?command=false", "the host ended the connection"),
    ],
)
async def test_a_connection_that_fails_says_what_to_do(uri: str, part: str) -> None:
    connection = LibvirtConnection(uri, watch=True)
    with pytest.raises(HostUnreachable, match=part) as caught:
        await connection.open()
    assert "\n" not in str(caught.value)


async def test_a_hung_call_times_out_and_others_go_on() -> None:
    import threading

    release = threading.Event()
    threads = CallThreads("test")
    for _ in range(SIZE - 1):
        with pytest.raises(TimedOut, match="cannot wait: the host did not answer within 0 s"):
            await threads.run("wait", release.wait, timeout=0.05)
    assert await threads.run("add", lambda: 1 + 1) == 2
    release.set()
    threads.close()


async def test_errors_of_a_call_come_back_as_they_are() -> None:
    threads = CallThreads("test")
    with pytest.raises(ZeroDivisionError):
        await threads.run("divide", lambda: 1 / 0)
    threads.close()


def test_a_log_is_read_from_its_end_by_whole_lines(tmp_path: Path) -> None:
    log = tmp_path / "x.log"
    lines = [f"line {i}\n" for i in range(1000)]
    log.write_text("".join(lines))
    last = read_piece(log, size=100)
    assert last.data.startswith(b"line ")
    assert last.data.endswith(b"line 999\n")
    assert len(last.data) <= 100
    text = last.data
    while last.start:
        last = read_piece(log, end=last.start, size=100)
        text = last.data + text
    assert text == log.read_bytes()


def test_growth_is_read_and_a_replaced_log_from_its_start(tmp_path: Path) -> None:
    log = tmp_path / "x.log"
    log.write_text("one\n")
    piece = read_piece(log)
    with log.open("a") as file:
        file.write("two\n")
    piece = read_growth(log, piece)
    assert piece.data == b"two\n"
    log.unlink()
    log.write_text("new\n")
    assert read_growth(log, piece).data == b"new\n"
    with pytest.raises(NotFound):
        read_piece(tmp_path / "none.log")


def test_our_own_log_handlers_do_not_print_libvirts_errors(capfd) -> None:
    with pytest.raises(libvirt.libvirtError):
        libvirt.open("qemu+unix:///session?socket=/no/such/socket")
    assert capfd.readouterr().err == ""


async def test_a_node_device_that_appears_is_heard_of() -> None:
    connection = LibvirtConnection("test:///default", watch=True)
    await connection.open()
    with connection.listen() as events:
        names = "<wwnn>2000000012341234</wwnn><wwpn>1000000012341234</wwpn>"
        host = f"<capability type='scsi_host'><capability type='fc_host'>{names}</capability></capability>"
        xml = f"<device><parent>scsi_host2</parent>{host}</device>"
        await connection.call("plug in", lambda raw: raw.nodeDeviceCreateXML(xml, 0))
        event = await asyncio.wait_for(events.get(), 5)
    assert event.kind is HostEventKind.NODE_DEVICES
    await connection.close()


def error_of(code: int, message: str) -> libvirt.libvirtError:
    """An error as the bindings make it; for those that cannot be had here."""
    error = libvirt.libvirtError(message)
    error.err = (code, 0, message, 0, "", None, None, 0, 0)
    return error


@pytest.mark.parametrize(
    ("code", "raw", "what", "part"),
    [
        (libvirt.VIR_ERR_SYSTEM_ERROR, "x: No space left on device", "copy", "cannot copy: the disk is full"),
        (
            libvirt.VIR_ERR_AUTH_UNAVAILABLE,
            "authentication unavailable: no polkit agent available to authenticate action",
            "connect to qemu:///system",
            "cannot connect to qemu:///system: you may not use this connection: join the group “libvirt”",
        ),
        (
            libvirt.VIR_ERR_NO_CONNECT,
            "no connection driver available for qemu:///system",
            "connect to qemu:///system",
            "this libvirt has no driver for it: for QEMU install libvirt-daemon-driver-qemu",
        ),
        (libvirt.VIR_ERR_NO_DOMAIN, "Domain not found", "start “work”", "the domain does not exist"),
        (libvirt.VIR_ERR_OPERATION_FAILED, "first line\nsecond", "start “work”", "cannot start “work”: first line"),
    ],
)
def test_libvirts_errors_become_one_plain_line(code: int, raw: str, what: str, part: str) -> None:
    plain = translate(error_of(code, raw), what)
    assert str(plain).startswith(part) or part in str(plain)
    assert "\n" not in str(plain)
    assert plain.details == raw
