"""The XML of domains that we make."""

import libvirt

from qubes_manager.backend.domains.domain_xml import parse_config
from qubes_manager.backend.domains.metadata import NAMESPACE, MetadataEdit
from qubes_manager.backend.domains.new_domain import DiskSpec, NewDomain
from qubes_manager.core.domain import DomainConfig
from qubes_manager.core.labels import LABELS


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
        assert (config.label, config.notes, config.tags) == (LABELS["green"], "a & b", {"x"})
        assert NAMESPACE in domain.XMLDesc()
        edit = MetadataEdit.of_text(domain.metadata(libvirt.VIR_DOMAIN_METADATA_ELEMENT, NAMESPACE))
        edit.set_tags({"y"})
        domain.setMetadata(libvirt.VIR_DOMAIN_METADATA_ELEMENT, edit.xml(), "qm", NAMESPACE, 2)
        changed = parse_config(domain.XMLDesc(libvirt.VIR_DOMAIN_XML_INACTIVE))
        assert (changed.label, changed.tags) == (LABELS["green"], {"y"})
    finally:
        domain.undefine()
        connection.close()
