"""The properties of domains, as data: how each is read, checked and set."""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from qubes_manager.core.domain import Domain, DomainConfig, DomainKey
from qubes_manager.core.errors import BadInput, NotFound, Refused
from qubes_manager.core.labels import LABELS
from qubes_manager.core.names import check_name
from qubes_manager.services.hosts import Hosts
from qubes_manager.services.store import DomainStore

if TYPE_CHECKING:
    from qubes_manager.backend.metadata import MetadataEdit

MAX_NOTES = 256_000
_MAX_WORD = 255
_TRUE = {"true", "yes", "on", "1"}
_FALSE = {"false", "no", "off", "0"}


def parse_bool(text: str, field: str) -> bool:
    """Return the truth that *text* means; raises BadInput."""
    word = text.strip().lower()
    if word not in _TRUE | _FALSE:
        raise BadInput(field, text[:80], "use True or False")
    return word in _TRUE


def parse_number(text: str, field: str, low: int, high: int) -> int:
    """Return the whole number that *text* means, *low* to *high*; raises BadInput."""
    if not (text.isascii() and text.isdigit() and low <= int(text) <= high):
        raise BadInput(field, text[:80], f"give a whole number from {low} to {high}")
    return int(text)


def check_word(text: str, field: str) -> str:
    """Return *text* when it can be a tag or the name of a feature; raises BadInput."""
    if not text or len(text) > _MAX_WORD or not text.isprintable() or any(c.isspace() for c in text):
        raise BadInput(field, text[:80], "use 1 to 255 characters, none of them blank")
    return text


class Properties:
    """Changes what is set of a domain. Each change is one libvirt transaction."""

    def __init__(self, hosts: Hosts, store: DomainStore) -> None:
        self._hosts = hosts
        self._store = store

    def _domain(self, key: DomainKey) -> Domain:
        domain = self._store.get(key)
        if domain is None:
            raise NotFound("the domain does not exist any more")
        if domain.is_host:
            raise Refused("dom0 is this machine; it has no properties to set")
        return domain

    async def _edit(self, key: DomainKey, change: "Callable[[MetadataEdit], None]") -> None:
        await self._hosts.actions(self._domain(key)).edit_metadata(change)
        await self._hosts.refresh(key)

    async def set_label(self, key: DomainKey, label: str) -> None:
        """Set the trust colour; a domain that this program did not make is adopted by that."""
        if label not in LABELS:
            raise BadInput("label", label[:80], f"use one of {', '.join(LABELS)}")
        await self._edit(key, lambda edit: edit.set_text("label", label))

    async def set_tags(self, key: DomainKey, tags: frozenset[str]) -> None:
        """Replace all tags."""
        for tag in tags:
            check_word(tag, "tag")
        await self._edit(key, lambda edit: edit.set_tags(tags))

    async def set_features(self, key: DomainKey, features: Mapping[str, str]) -> None:
        """Replace all features."""
        for name, value in features.items():
            check_word(name, "feature")
            if len(value) > _MAX_WORD or not value.isprintable():
                raise BadInput(f"feature {name}", value[:80], "use at most 255 printable characters")
        await self._edit(key, lambda edit: edit.set_features(features))

    async def set_default_dispvm(self, key: DomainKey, name: str) -> None:
        """Set which domain disposables opened from this one are made of; empty for none."""
        if name and not any(d.name == name for d in self._store.of_host(key.connection)):
            raise BadInput("default_dispvm", name, "name a domain that exists, or nothing")
        await self._edit(key, lambda edit: edit.set_text("default_dispvm", name or None))

    async def set_include_in_backups(self, key: DomainKey, included: bool) -> None:
        """Whether backups take the domain by default."""
        await self._edit(key, lambda edit: edit.set_text("include_in_backups", str(included)))

    async def set_autostart(self, key: DomainKey, enabled: bool) -> None:
        """Whether the domain starts with the host."""
        await self._hosts.actions(self._domain(key)).set_autostart(enabled)
        await self._hosts.refresh(key)

    async def set_memory(self, key: DomainKey, mib: int) -> None:
        """Set the memory, in MiB, from the next start on."""
        if not 16 <= mib <= 1 << 24:
            raise BadInput("memory", str(mib), "give 16 MiB or more")
        await self._hosts.actions(self._domain(key)).edit_config(lambda edit: edit.set_memory(mib * 1024))
        await self._hosts.refresh(key)

    async def set_vcpus(self, key: DomainKey, count: int) -> None:
        """Set the number of virtual CPUs from the next start on."""
        if not 1 <= count <= 512:
            raise BadInput("vcpus", str(count), "give 1 to 512")
        await self._hosts.actions(self._domain(key)).edit_config(lambda edit: edit.set_vcpus(count))
        await self._hosts.refresh(key)

    async def set_kernelopts(self, key: DomainKey, options: str) -> None:
        """Set the command line of a directly booted kernel from the next start on."""
        domain = self._domain(key)
        if not (domain.config and domain.config.kernel):
            raise Refused(f"“{domain.name}” boots by itself; only a kernel given from outside takes options")
        await self._hosts.actions(domain).edit_config(lambda edit: edit.set_kernelopts(options))
        await self._hosts.refresh(key)

    async def set_notes(self, key: DomainKey, text: str) -> None:
        """Set the notes (libvirt's description)."""
        if len(text) > MAX_NOTES:
            raise BadInput("notes", f"{len(text)} characters", f"use at most {MAX_NOTES}")
        await self._hosts.actions(self._domain(key)).set_notes(text)
        await self._hosts.refresh(key)

    async def rename(self, key: DomainKey, name: str) -> None:
        """Give a halted domain another name; raises BadInput, Refused."""
        domain = self._domain(key)
        check_name(name)
        if name == domain.name:
            return
        if domain.state.is_active:
            raise Refused(f"“{domain.name}” is running: shut it down before it is renamed")
        if any(d.name == name for d in self._store.of_host(key.connection)):
            raise Refused(f"there is a domain “{name}” already; choose another name")
        await self._hosts.actions(domain).rename(name)
        await self._hosts.refresh(key)


Reader = Callable[[Domain, DomainConfig], str]
Setter = Callable[[Properties, DomainKey, str], Awaitable[None]]


@dataclass(frozen=True, slots=True)
class Property:
    """One property: its name, how it is read, and how it is set (None: read-only)."""

    name: str
    read: Reader
    write: Setter | None = None
    default: str | None = None
    about: str = ""


PROPERTIES: dict[str, Property] = {
    p.name: p
    for p in (
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
            lambda s, key, text: s.set_default_dispvm(key, "" if text in ("", "none", "None") else text),
            "",
            "what disposables opened from here are made of",
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
            Properties.set_label,
            about="trust colour",
        ),
        Property("maxmem", lambda d, c: str(c.memory // 1024), about="most memory, in MiB"),
        Property(
            "memory",
            lambda d, c: str(c.memory // 1024),
            lambda s, key, text: s.set_memory(key, parse_number(text, "memory", 16, 1 << 24)),
            about="memory, in MiB, from the next start on",
        ),
        Property("name", lambda d, c: d.name, Properties.rename, about="what it is called"),
        Property("netvm", lambda d, c: c.netvm, about="what its network interface connects to"),
        Property("qid", lambda d, c: str(d.id), about="libvirt's number of the running domain"),
        Property("template", lambda d, c: c.template, about="where its system comes from"),
        Property("uuid", lambda d, c: d.key.uuid, about="what tells it from all others"),
        Property(
            "vcpus",
            lambda d, c: str(c.vcpus),
            lambda s, key, text: s.set_vcpus(key, parse_number(text, "vcpus", 1, 512)),
            about="virtual CPUs, from the next start on",
        ),
        Property("virt_mode", lambda d, c: c.virt_type, about="kvm, or qemu for software emulation"),
    )
}


def find_property(name: str) -> Property:
    """Return a property by name; raises BadInput."""
    if name not in PROPERTIES:
        raise BadInput("property", name[:80], f"use one of {', '.join(PROPERTIES)}")
    return PROPERTIES[name]
