"""A UEFI domain's variables: the file that libvirt keeps them in, and whose it is."""

import libvirt
from lxml import etree

from qubes_manager.backend.connection.subscriptions import Handle
from qubes_manager.backend.xml import parse


def nvram_name(uuid: str) -> str:
    """How the file of a domain is called: libvirt's own choice goes by name, which another domain may have next."""
    return f"{uuid}_VARS.fd"


def undefine_flag(domain: Handle) -> int:
    """Whether the file goes with the domain, or stays because another domain of its host uses one of that name.

    For ``virDomainUndefineFlags``. Where domains are UEFI ones all others are read. Blocks.
    """
    own = _files(domain)
    if not own:
        return int(libvirt.VIR_DOMAIN_UNDEFINE_NVRAM)
    uuid = domain.UUIDString()
    others = (other for other in domain.connect().listAllDomains() if other.UUIDString() != uuid)
    is_shared = any(own & _files(other) for other in others)
    return int(libvirt.VIR_DOMAIN_UNDEFINE_KEEP_NVRAM if is_shared else libvirt.VIR_DOMAIN_UNDEFINE_NVRAM)


def _files(domain: Handle) -> set[str]:
    """The names, without folders, of the files that a domain uses or may use."""
    try:
        flag = libvirt.VIR_DOMAIN_XML_INACTIVE if domain.isPersistent() else 0
        return nvram_files(parse(domain.XMLDesc(flag)))
    except libvirt.libvirtError as error:
        if error.get_error_code() == libvirt.VIR_ERR_NO_DOMAIN:
            return set()
        raise


def nvram_files(root: etree._Element) -> set[str]:
    """Those that a domain's XML names; where it names none, the one that libvirt will use."""
    system = root.find("os")
    if system is None:
        return set()
    paths = [system.findtext("nvram"), *(source.get("file") for source in system.iterfind("nvram/source"))]
    named = {(path or "").strip().rpartition("/")[2] for path in paths} - {""}
    loader = system.find("loader")
    is_uefi = system.get("firmware") == "efi" or (loader is not None and loader.get("type") == "pflash")
    return named or ({f"{root.findtext('name')}_VARS.fd"} if is_uefi else set())
