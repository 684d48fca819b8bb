"""What libvirt's node devices say of themselves."""

import libvirt

from qubes_manager.backend.connection.libvirt_errors import is_unsupported


def node_device_texts(raw: libvirt.virConnect, capabilities: int) -> list[str]:
    """Return the XML of a host's node devices with these capabilities (VIR_CONNECT_LIST_NODE_DEVICES_CAP_…). Blocks.

    There is none where the driver has none; what is unplugged meanwhile is left out. Raises libvirtError.
    """
    try:
        nodes = raw.listAllDevices(capabilities)
    except libvirt.libvirtError as error:
        if is_unsupported(error):
            return []
        raise
    found = []
    for node in nodes:
        try:
            found.append(node.XMLDesc(0))
        except libvirt.libvirtError:
            continue
    return found
