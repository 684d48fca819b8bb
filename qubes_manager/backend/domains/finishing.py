"""The last definition of a domain that was made in several steps, some of which take minutes."""

import libvirt
from lxml import etree

from qubes_manager.backend.connection.connection import LibvirtConnection
from qubes_manager.backend.connection.subscriptions import Handle
from qubes_manager.backend.domains.domain_xml import DomainEdit
from qubes_manager.backend.user.domain_lock import edit_lock
from qubes_manager.backend.xml import canonical, parse
from qubes_manager.core.errors import Refused

_STORED = libvirt.VIR_DOMAIN_XML_INACTIVE | libvirt.VIR_DOMAIN_XML_SECURE


async def stored_xml(connection: LibvirtConnection, uuid: str, name: str) -> str:
    """Return what libvirt keeps of a domain."""
    return str(await connection.on_domain(uuid, f"read “{name}”", lambda domain: domain.XMLDesc(_STORED)))


async def define_whole(connection: LibvirtConnection, uuid: str, name: str, begun: str, whole: str) -> None:
    """Define a domain as *whole*, with what others have set of it since it was *begun*; raises Refused."""

    await connection.on_domain(uuid, f"create “{name}”", define_whole_now, name, begun, whole)


def define_whole_now(domain: Handle, name: str, begun: str, whole: str) -> Handle:
    """The same, and return the domain. Blocks."""
    with edit_lock(domain.UUIDString(), name):
        if not domain.isPersistent():
            raise Refused(f"“{name}” was undefined by another program while it was made")
        return domain.connect().defineXML(merged(name, begun, domain.XMLDesc(_STORED), whole))


def merged(name: str, begun: str, now: str, whole: str) -> str:
    """*whole* with each part that *now* has otherwise than *begun*; raises Refused for devices and boot."""
    result = parse(whole)
    old, new = parse(begun), parse(now)
    for tag in sorted({str(child.tag) for child in (*old, *new) if isinstance(child.tag, str)}):
        if [canonical(part) for part in old.findall(tag)] == [canonical(part) for part in new.findall(tag)]:
            continue
        if tag in ("devices", "os"):
            raise Refused(f"another program changed the {tag} of “{name}” while it was made: try again")
        _replace(result, tag, new.findall(tag))
    document = DomainEdit(etree.tostring(result, encoding="unicode"))
    config, edit = DomainEdit(whole).config, document.metadata()
    edit.set_volumes(config.volumes)
    edit.set_job(config.job)
    return document.xml()


def _replace(root: etree._Element, tag: str, parts: list[etree._Element]) -> None:
    for part in root.findall(tag):
        root.remove(part)
    # The order of a domain's parts says nothing.
    root.extend(parts)
