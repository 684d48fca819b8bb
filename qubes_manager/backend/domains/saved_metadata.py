"""What a saved run goes on with: libvirt brings back the XML that it was saved with, label, records and notes too."""

import libvirt
from lxml import etree

from qubes_manager.backend.connection.libvirt_errors import is_unsupported
from qubes_manager.backend.connection.subscriptions import Handle
from qubes_manager.backend.domains import metadata
from qubes_manager.backend.xml import parse
from qubes_manager.core.domain import DomainConfig

# The parts that say nothing of the machine: they can change while its memory waits.
_CARRIED = ("title", "description", "metadata")


def carry_to_saved(domain: Handle) -> None:
    """Let a saved run go on with the metadata and notes that its domain has now; does nothing without one. Blocks."""
    try:
        if not domain.isActive() and domain.hasManagedSaveImage():
            stored = domain.XMLDesc(libvirt.VIR_DOMAIN_XML_INACTIVE)
            saved = domain.managedSaveGetXMLDesc(libvirt.VIR_DOMAIN_SAVE_IMAGE_XML_SECURE)
            if (wanted := _carried(stored, saved)) != saved:
                domain.managedSaveDefineXML(wanted)
    except libvirt.libvirtError as error:
        # It may have been started or discarded just now, and not all drivers keep what they saved.
        if not is_unsupported(error) and not domain.isActive() and domain.hasManagedSaveImage():
            raise


def _carried(stored: str, saved: str) -> str:
    source, target = parse(stored), parse(saved)
    # Whose network it has is what it runs with; what is set by now is for its next start.
    network = DomainConfig(**metadata.read_from(target.find("metadata")))
    for name in _CARRIED:
        for old in target.findall(name):
            target.remove(old)
        target.extend(source.findall(name))
    if (ours := metadata.find_ours(target.find("metadata"))) is not None:
        metadata.MetadataEdit.of_element(ours).take_network(network)
    return etree.tostring(target, encoding="unicode")
