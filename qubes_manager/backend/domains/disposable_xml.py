"""The XML of a disposable: its template's, but for what is a disposable's own."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass

from qubes_manager.backend.domains.domain_xml import DomainEdit
from qubes_manager.core.disposables import inherited
from qubes_manager.core.domain import INTERNAL, Disposal, Domain, DomainClass
from qubes_manager.core.errors import Refused
from qubes_manager.core.volumes import BOOT_ROLES, OwnVolume, Role


@dataclass(frozen=True, slots=True)
class DisposableBase:
    """What disposables of *template* start from: its template's root, the frozen copy of its private volume, a kernel.

    *paths* are those of the *volumes*.
    """

    template: Domain
    volumes: Mapping[Role, OwnVolume]
    paths: Mapping[Role, str]

    def put_into(self, document: DomainEdit) -> None:
        """Let a domain start from it, and forget at its end what it wrote; raises Refused when it lacks a disk."""
        for role, volume in ((Role.ROOT, Role.ROOT), (Role.PRIVATE, Role.FROZEN)):
            disk = document.config.disk(role)
            if disk is None:
                raise Refused(f"“{self.template.name}” has no disk for its {role.value} volume: give it that one back")
            document.set_disk_source(disk.target, self.paths[volume], self.volumes[volume].format)
            document.set_disk_transient(disk.target, True)
        kernel, initrd = (self.paths.get(role, "") for role in BOOT_ROLES)
        document.set_boot_files(kernel, initrd)
        document.metadata().set_text("template", self.template.name, uuid=self.template.key.uuid)


def disposable_xml(
    template_xml: str,
    base: DisposableBase,
    uuid: str,
    name: str,
    console_log: str,
    disposal: Disposal | None,
    *,
    internal: bool = False,
    sound: str = "",
) -> str:
    """Return the XML of a disposable of *base*, made from that of its template; raises Refused.

    *disposal* is None for one that has a name and stays in the list. An *internal* one is to wait for its use.
    *sound* is the address of the sound server that plays it; empty for none.
    """
    document = _common(template_xml, base)
    document.set_identity(uuid, name, console_log)
    if sound:
        document.put_sound(sound)
    edit = document.metadata()
    if disposal:
        edit.set_text("include_in_backups", "False")
        edit.set_disposal(disposal)
        edit.set_made_of(made_of(template_xml, base))
    if internal:
        edit.set_feature(INTERNAL, "1")
    return document.xml()


def made_of(template_xml: str, base: DisposableBase) -> str:
    """A digest of all that disposables of *base* have from it; another one as soon as they would come out otherwise."""
    return hashlib.sha256(_common(template_xml, base).xml().encode()).hexdigest()[:16]


def _common(template_xml: str, base: DisposableBase) -> DomainEdit:
    """What all disposables of *base* have."""
    document = DomainEdit(template_xml)
    # Devices of the host and discs are one domain's at a time.
    document.keep_only_disks([d.target for role in (Role.ROOT, Role.PRIVATE) if (d := document.config.disk(role))])
    base.put_into(document)
    # Each gets its own at its start, whatever its template played to last.
    document.take_sound()
    document.set_notes("")
    document.remove_title()
    config, edit = document.config, document.metadata()
    edit.set_text("class", DomainClass.DISPOSABLE.value)
    # What it opens in disposables comes from where it came from itself: nothing goes out by another network.
    edit.set_text("default_dispvm", base.template.name, uuid=base.template.key.uuid)
    for flag in ("template_for_dispvms", "include_in_backups", "job"):
        edit.set_text(flag, None)
    edit.set_volumes(())
    edit.set_favourites(())
    # Nor does it wait for devices, or hear: it gets what it is given while it runs.
    edit.set_assignments(())
    kept = inherited(config.features)
    for feature in config.features:
        if feature not in kept:
            edit.set_feature(feature[0], None)
    return document
