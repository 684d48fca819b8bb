"""The host’s block devices."""

from qubes_manager.backend.connection.connection import LibvirtConnection
from qubes_manager.backend.host.node_devices import list_block_devices, parse_storage_device

USB_STICK = """<device><name>block_sdb</name><devnode type='dev'>/dev/sdb</devnode><capability type='storage'>
<block>/dev/sdb</block><bus>usb</bus><drive_type>disk</drive_type><model>Ultra Fit</model><vendor>SanDisk</vendor>
<serial>4C53</serial><size>30752636928</size><capability type='hotpluggable'/></capability></device>"""
EMPTY_DRIVE = """<device><name>block_sr0</name><capability type='storage'><block>/dev/sr0</block><bus>ata</bus>
<drive_type>cdrom</drive_type><capability type='removable'><media_available>0</media_available>
<media_size>0</media_size></capability></capability></device>"""


def test_node_devices_are_read() -> None:
    stick, drive = parse_storage_device(USB_STICK), parse_storage_device(EMPTY_DRIVE)
    assert stick and drive
    assert (stick.port, stick.bus, stick.ident, stick.removable) == ("sdb", "usb", "SanDisk_Ultra_Fit_4C53", True)
    assert stick.description == "“SanDisk Ultra Fit” (28.6 GiB, USB drive, removable)"
    assert (drive.kind, drive.media, drive.read_only) == ("optical drive", False, True)
    assert drive.description == "optical drive (no medium, removable)"
    assert parse_storage_device("<device><name>computer</name></device>") is None


async def test_a_driver_without_node_devices_offers_none() -> None:
    connection = LibvirtConnection("test:///default", watch=False)
    await connection.open()
    assert await list_block_devices(connection) == []
    await connection.close()
