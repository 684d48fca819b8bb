"""The shape of what libvirt is given to define."""

import libvirt
from lxml import etree

from qubes_manager.backend.domains.config_xml import parse_config
from qubes_manager.backend.domains.metadata import NAMESPACE, MetadataEdit
from qubes_manager.backend.domains.new_domain import DiskSpec, NewDomain
from qubes_manager.core.domain import DomainConfig
from qubes_manager.core.labels import LABELS

CROSSING = "".join(
    f'<channel type="unix"><target type="virtio" name="org.qubes_manager.{name}"/></channel>'
    for name in ("req.0", "dat.0", "dat.1", "dat.2", "dat.3")
)
BARE = f"""
<domain type="kvm">
  <name>a &amp; b</name>
  <metadata><qm:domain xmlns:qm="{NAMESPACE}"><qm:class>StandaloneVM</qm:class></qm:domain></metadata>
  <memory unit="MiB">2048</memory>
  <currentMemory unit="MiB">2048</currentMemory>
  <vcpu>2</vcpu>
  <os><type arch="x86_64" machine="q35">hvm</type></os>
  <features><acpi/></features>
  <cpu mode="host-passthrough"/>
  <on_poweroff>destroy</on_poweroff>
  <on_reboot>restart</on_reboot>
  <on_crash>destroy</on_crash>
  <devices>
    <controller type="usb" model="qemu-xhci"/>
    <controller type="scsi" model="virtio-scsi"/>
    <controller type="pci" model="pcie-root"/>
    {14 * '<controller type="pci" model="pcie-root-port"/>'}
    <serial type="pty"/>
    <channel type="unix"><target type="virtio" name="org.qemu.guest_agent.0"/></channel>
    {CROSSING}
    <rng model="virtio"><backend model="random">/dev/urandom</backend></rng>
  </devices>
</domain>
"""
FULL = f"""
<domain type="qemu">
  <name>work</name>
  <uuid>11111111-1111-4111-8111-111111111111</uuid>
  <description>a &lt; b</description>
  <metadata>
    <qm:domain xmlns:qm="{NAMESPACE}"><qm:label>red</qm:label><qm:class>StandaloneVM</qm:class></qm:domain>
  </metadata>
  <memory unit="MiB">4096</memory>
  <currentMemory unit="MiB">1024</currentMemory>
  <vcpu>3</vcpu>
  <os firmware="efi">
    <type arch="x86_64" machine="q35">hvm</type>
    <kernel>/k</kernel>
    <initrd>/i</initrd>
    <cmdline>root=/dev/vda</cmdline>
  </os>
  <features><acpi/></features>
  <cpu mode="maximum"/>
  <on_poweroff>destroy</on_poweroff>
  <on_reboot>restart</on_reboot>
  <on_crash>destroy</on_crash>
  <devices>
    <disk type="file" device="disk">
      <driver name="qemu" type="qcow2" discard="unmap"/>
      <source file="/root.qcow2"/>
      <target dev="vda" bus="virtio"/>
      <serial>root</serial>
      <transient shareBacking="yes"/>
      <encryption format="luks"><secret type="passphrase" uuid="2222"/></encryption>
      <boot order="1"/>
    </disk>
    <disk type="file" device="disk">
      <driver name="qemu" type="raw" discard="unmap"/>
      <source file="/private.img"/>
      <target dev="vdb" bus="virtio"/>
    </disk>
    <disk type="file" device="cdrom">
      <driver name="qemu" type="raw"/>
      <target dev="sda" bus="scsi"/>
      <readonly/>
    </disk>
    <controller type="usb" model="qemu-xhci"/>
    <controller type="scsi" model="virtio-scsi"/>
    <controller type="pci" model="pcie-root"/>
    {14 * '<controller type="pci" model="pcie-root-port"/>'}
    <interface type="network"><source network="default"/><model type="virtio"/></interface>
    <serial type="pty"><log file="/console.log" append="on"/></serial>
    <channel type="unix"><target type="virtio" name="org.qemu.guest_agent.0"/></channel>
    <channel type="unix"><target type="virtio" name="org.qubes_manager.gui.0"/></channel>
    {CROSSING}
    <rng model="virtio"><backend model="random">/dev/urandom</backend></rng>
    <graphics type="vnc"><listen type="socket"/></graphics>
    <video><model type="virtio"/></video>
    <input type="tablet" bus="usb"/>
  </devices>
</domain>
"""


def canonical(xml: str) -> str:
    text: str = etree.canonicalize(xml, strip_text=True)
    return text


def test_the_least_that_a_domain_has() -> None:
    assert canonical(NewDomain("a & b", DomainConfig(), graphics=False).xml()) == canonical(BARE)


def test_all_that_a_domain_may_have() -> None:
    new = NewDomain(
        "work",
        DomainConfig(label=LABELS["red"], notes="a < b"),
        uuid="11111111-1111-4111-8111-111111111111",
        memory=1024,
        max_memory=4096,
        vcpus=3,
        virt_type="qemu",
        disks=(
            DiskSpec("/root.qcow2", boot_order=1, serial="root", transient=True, secret="2222"),
            DiskSpec("/private.img", "raw"),
            DiskSpec("", "raw", cdrom=True),
        ),
        netvm="default",
        console_log="/console.log",
        kernel="/k",
        initrd="/i",
        cmdline="root=/dev/vda",
        uefi=True,
        gui=True,
    )
    assert canonical(new.xml()) == canonical(FULL)


def test_user_networking_has_no_source() -> None:
    new = NewDomain("x", DomainConfig(), netvm="user").xml()
    interface = etree.fromstring(new).find("devices/interface")
    expected = '<interface type="user"><model type="virtio"/></interface>'
    assert interface is not None
    assert canonical(str(etree.tostring(interface, encoding="unicode"))) == canonical(expected)


def test_libvirt_takes_our_new_domains_and_gives_them_back() -> None:
    new = NewDomain(
        name="made",
        config=DomainConfig(label=LABELS["green"], notes="a & b", tags=frozenset({"x"})),
        virt_type="test",
        disks=(DiskSpec("/tmp/root.qcow2", boot_order=1), DiskSpec("", "raw", cdrom=True)),
        netvm="default",
        graphics=False,
    )
    connection = libvirt.open("test:///default")
    # The test driver has no q35 machine and only 32-bit x86.
    xml = new.xml().replace(' machine="q35"', "").replace("x86_64", "i686")
    domain = connection.defineXML(xml)
    try:
        config = parse_config(domain.XMLDesc())
        assert (config.label, config.notes, config.tags) == (LABELS["green"], "a & b", frozenset({"x"}))
        assert NAMESPACE in domain.XMLDesc()
        edit = MetadataEdit.of_text(domain.metadata(libvirt.VIR_DOMAIN_METADATA_ELEMENT, NAMESPACE))
        edit.add_tags({"y"})
        edit.remove_tags({"x"})
        domain.setMetadata(libvirt.VIR_DOMAIN_METADATA_ELEMENT, edit.xml(), "qm", NAMESPACE, 2)
        changed = parse_config(domain.XMLDesc(libvirt.VIR_DOMAIN_XML_INACTIVE))
        assert (changed.label, changed.tags) == (LABELS["green"], frozenset({"y"}))
    finally:
        domain.undefine()
        connection.close()
