"""The properties that qvm-prefs and qvm-ls show, as data: how each is read, checked and set."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from qubes_manager.core.domain import NO_DISPOSABLES, Domain, DomainConfig, DomainKey
from qubes_manager.core.errors import BadInput
from qubes_manager.core.interfaces import SPELLINGS
from qubes_manager.core.sound import HEARD, SILENT
from qubes_manager.core.values import MAX_MEMORY_MIB, MAX_VCPUS, parse_bool, parse_number

if TYPE_CHECKING:
    # Only commands that set something need the services behind this table.
    from qubes_manager.services.domains.properties import Properties

Reader = Callable[[Domain, DomainConfig], str]
Setter = Callable[["Properties", DomainKey, str], Awaitable[None]]


@dataclass(frozen=True, slots=True)
class Property:
    """One property: its name, how it is read, and how it is set (None: read-only)."""

    name: str
    read: Reader
    write: Setter | None = None
    default: str | None = None
    about: str = ""
    # The property of no domain that holds where this one is not set.
    of_all: str = ""
    # How it is set where the user has said that more may be lost than was named (None: as ever).
    force: Setter | None = None


def _name(text: str) -> str:
    return "" if text in ("", "none", "None") else text


PROPERTIES: dict[str, Property] = {
    p.name: p
    for p in (
        Property(
            "audiovm",
            lambda d, c: c.audiovm,
            lambda s, key, text: s.set_audiovm(key, SILENT if text == "None" else text),
            "",
            f"what plays its sound, from the next start on: {HEARD} or {SILENT}; empty: {HEARD} for AppVMs, "
            "disposables",
        ),
        Property("auto_cleanup", lambda d, c: str(d.is_disposable), about="gone when it stops"),
        Property(
            "autostart",
            lambda d, c: str(d.autostart),
            lambda s, key, text: s.set_autostart(key, parse_bool(text, "autostart")),
            "False",
            "start with the host",
        ),
        Property("class", lambda d, c: c.klass.value, about="what part the domain plays"),
        Property(
            "default_dispvm",
            lambda d, c: c.default_dispvm,
            lambda s, key, text: s.set_default_dispvm(key, NO_DISPOSABLES if text == "None" else text),
            "",
            f"what disposables that it asks for are made of; {NO_DISPOSABLES}: it may ask for none; empty: the default",
            of_all="default_dispvm",
        ),
        Property(
            "devices_denied",
            lambda d, c: " ".join(c.devices_denied),
            lambda s, key, text: s.set_devices_denied(key, text),
            "",
            "kinds of devices that it never gets, by the codes of their interfaces: u03**** are keyboards and mice",
        ),
        Property(
            "include_in_backups",
            lambda d, c: str(c.include_in_backups),
            lambda s, key, text: s.set_include_in_backups(key, parse_bool(text, "include_in_backups")),
            "True",
            "backups take it by default",
        ),
        Property("kernel", lambda d, c: c.kernel, about="a kernel given from outside"),
        Property(
            "kernelopts", lambda d, c: c.kernelopts, lambda s, key, text: s.set_kernelopts(key, text), "", "its options"
        ),
        Property(
            "label",
            lambda d, c: c.label.name if c.label else "",
            lambda s, key, text: s.set_label(key, text),
            about="trust colour",
        ),
        Property(
            "maxmem",
            lambda d, c: str(c.maximum_memory_kib // 1024),
            lambda s, key, text: s.set_maximum_memory(key, parse_number(text, "maxmem", 1, MAX_MEMORY_MIB)),
            about="most memory, in MiB, from the next start on",
        ),
        Property(
            "memory",
            lambda d, c: str(c.initial_memory_kib // 1024),
            lambda s, key, text: s.set_memory(key, parse_number(text, "memory", 1, MAX_MEMORY_MIB)),
            about="memory, in MiB, from the next start on",
        ),
        Property(
            "muted",
            lambda d, c: str(c.muted),
            lambda s, key, text: s.set_muted(key, parse_bool(text, "muted")),
            "False",
            "nothing of its sound is heard; at once",
        ),
        Property("name", lambda d, c: d.name, lambda s, key, text: s.rename(key, text), about="what it is called"),
        Property(
            "netvm",
            lambda d, c: c.netvm,
            lambda s, key, text: s.set_netvm(key, _name(text)),
            about=f"what its (first) network interface connects to: {SPELLINGS}; between the first two at once, else "
            "from the next start on",
            force=lambda s, key, text: s.set_netvm(key, _name(text), all_interfaces=True),
        ),
        Property(
            "provides_network",
            lambda d, c: str(c.provides_network),
            lambda s, key, text: s.set_provides_network(key, parse_bool(text, "provides_network")),
            "False",
            "others may have its network, from its next start on",
        ),
        Property("qid", lambda d, c: str(d.id), about="libvirt's number of the running domain"),
        Property(
            "template",
            lambda d, c: c.template,
            lambda s, key, text: s.set_template(key, text),
            about="where its system comes from, from the next start on",
        ),
        Property(
            "template_for_dispvms",
            lambda d, c: str(c.template_for_dispvms),
            lambda s, key, text: s.set_template_for_dispvms(key, parse_bool(text, "template_for_dispvms")),
            "False",
            "disposables may be made of it",
        ),
        Property(
            "title",
            lambda d, c: d.title,
            lambda s, key, text: s.set_title(key, text),
            about="what a disposable is shown as, with its name behind",
        ),
        Property("uuid", lambda d, c: d.key.uuid, about="what tells it from all others"),
        Property(
            "vcpus",
            lambda d, c: str(c.vcpus),
            lambda s, key, text: s.set_vcpus(key, parse_number(text, "vcpus", 1, MAX_VCPUS)),
            about="virtual CPUs, from the next start on",
        ),
        Property(
            "virt_mode",
            lambda d, c: c.virt_type,
            lambda s, key, text: s.set_virt_mode(key, text),
            about="kvm, or qemu for software emulation, from the next start on",
        ),
    )
}


def find_property(name: str) -> Property:
    """Return a property by name; raises BadInput."""
    if name not in PROPERTIES:
        raise BadInput("property", name[:80], f"use one of {', '.join(PROPERTIES)}")
    return PROPERTIES[name]
