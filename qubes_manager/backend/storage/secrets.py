"""Passphrases of encrypted volumes, in libvirt's memory only."""

import uuid

import libvirt
from lxml import etree
from lxml.builder import E

from qubes_manager.backend.connection.connection import LibvirtConnection


def secret_uuid(domain: str) -> str:
    """The UUID of the secret for the private volume of the domain with that UUID."""
    return str(uuid.uuid5(uuid.UUID(domain), "private"))


async def hold_secret(connection: LibvirtConnection, domain: str, passphrase: str) -> None:
    """Give libvirt the passphrase; it is never written to a disk (ephemeral) nor told to anybody (private)."""

    def hold(raw: libvirt.virConnect) -> None:
        about = E.description("private volume of a domain")
        secret = E.secret(E.uuid(secret_uuid(domain)), about, ephemeral="yes", private="yes")
        raw.secretDefineXML(etree.tostring(secret, encoding="unicode")).setValue(passphrase.encode(), 0)

    await connection.call("hand over the passphrase", hold)


async def drop_secret(connection: LibvirtConnection, domain: str) -> None:
    """Let libvirt forget the passphrase; one that is not there is no error."""

    def drop(raw: libvirt.virConnect) -> None:
        try:
            raw.secretLookupByUUIDString(secret_uuid(domain)).undefine()
        except libvirt.libvirtError as error:
            if error.get_error_code() != libvirt.VIR_ERR_NO_SECRET:
                raise

    await connection.call("forget the passphrase", drop)
