"""How many processors a domain may have, as libvirt knows it."""

import libvirt

from qubes_manager.backend.connection.subscriptions import Handle
from qubes_manager.backend.xml import parse


def most_vcpus(domain: Handle) -> int | None:
    """Return what the domain's machine type takes (virConnectGetDomainCapabilities); None where libvirt does not know.

    Blocks.
    """
    root = parse(domain.XMLDesc(libvirt.VIR_DOMAIN_XML_INACTIVE))
    system = root.find("os/type")
    if system is None:
        return None
    emulator, kind = root.findtext("devices/emulator"), root.get("type")
    try:
        answer = domain.connect().getDomainCapabilities(emulator, system.get("arch"), system.get("machine"), kind)
    except libvirt.libvirtError:
        # A driver without this call, or a machine that this host's QEMU does not have.
        return None
    vcpu = parse(answer).find("vcpu")
    most = vcpu.get("max", "") if vcpu is not None else ""
    return int(most) if most.isdecimal() else None
