"""Which devices of the host a domain's XML names."""

import pytest
from lxml import etree

from qubes_manager.backend.domains.hostdev_xml import read_host_devices
from qubes_manager.core.devices.host_device import HostDevice
from qubes_manager.core.devices.identity import DeviceClass

# As libvirt 9.0 writes them for domains that run.
LIVE = """<devices><!-- of the host -->
<hostdev mode='subsystem' type='usb' managed='no'><source><vendor id='0x0781'/><product id='0x5581'/>
<address bus='1' device='4'/></source><alias name='ua-qubes-usb-1-4'/><address type='usb' bus='0' port='1'/></hostdev>
<hostdev mode='subsystem' type='pci' managed='yes'><driver name='vfio'/><source>
<address domain='0x0000' bus='0x03' slot='0x1f' function='0x2'/></source><alias name='hostdev0'/>
<address type='pci' domain='0x0000' bus='0x07' slot='0x00' function='0x0'/></hostdev>
<interface type='hostdev' managed='yes'><source><address type='pci' domain='0x0000' bus='0x04' slot='0x00'
function='0x1'/></source><alias name='hostdev1'/></interface>
<interface type='user'><source><address type='pci' domain='0x0000' bus='0x05' slot='0' function='0'/></source>
</interface>
<disk type='nvme' device='disk'><source type='pci' managed='yes' namespace='1'><address domain='0x0000' bus='0x01'
slot='0x00' function='0x0'/></source><target dev='vda'/></disk>
<disk type='file' device='disk'><source file='/a'/></disk>
<hostdev mode='capabilities' type='misc'><source><char>/dev/x</char></source></hostdev>
<hostdev mode='subsystem' type='scsi'><source><adapter name='scsi_host0'/></source></hostdev>
</devices>"""


def read(text: str) -> tuple[HostDevice, ...]:
    return read_host_devices(etree.fromstring(f"<devices>{text}</devices>"))


def test_devices_of_the_host_are_found_wherever_they_stand() -> None:
    assert read_host_devices(etree.fromstring(LIVE)) == (
        HostDevice(DeviceClass.USB, "1.4", "0781:5581", "ua-qubes-usb-1-4"),
        HostDevice(DeviceClass.PCI, "0000_03_1f.2", "", "hostdev0", True),
        HostDevice(DeviceClass.PCI, "0000_04_00.1", "", "hostdev1", True, "interface"),
        HostDevice(DeviceClass.PCI, "0000_01_00.0", "", "", True, "disk"),
    )


def test_a_usb_device_may_be_named_by_one_of_both() -> None:
    usb = "<hostdev mode='subsystem' type='usb'><source>{}</source></hostdev>"
    (by_number,) = read(usb.format("<address bus='0x2' device='17'/>"))
    (by_product,) = read(usb.format("<vendor id='0x46d'/><product id='0xc31c'/><address bus='0' device='0'/>"))
    assert (by_number.address, by_number.product) == ("2.17", "")
    assert (by_product.address, by_product.product) == ("", "046d:c31c")


@pytest.mark.parametrize(
    "text",
    [
        "<hostdev mode='subsystem' type='usb'/>",
        "<hostdev mode='subsystem' type='usb'><source><vendor id='0x1'/></source></hostdev>",
        "<hostdev mode='subsystem' type='usb'><source><address bus='x' device='-1'/></source></hostdev>",
        # The domain started without it.
        "<hostdev mode='subsystem' type='usb'><source missing='yes'><address bus='1' device='4'/></source></hostdev>",
        "<hostdev mode='subsystem' type='pci'><source><address bus='0x03' slot='zz' function='0'/></source></hostdev>",
        "<hostdev mode='subsystem' type='pci'><source/></hostdev>",
    ],
)
def test_what_is_not_there_or_not_named_as_libvirt_does_is_left_out(text: str) -> None:
    assert read(text) == ()
