"""Changing what is set of a domain."""

import asyncio
from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING

from qubes_manager.core.applications import check_id
from qubes_manager.core.domain import Domain, DomainClass, DomainKey
from qubes_manager.core.errors import BadInput, Refused
from qubes_manager.core.labels import LABELS
from qubes_manager.core.names import check_name
from qubes_manager.core.values import MAX_WORD, check_word
from qubes_manager.services.files.gui_options_file import GuiOptionsFile
from qubes_manager.services.hosts.domain_access import actions_on
from qubes_manager.services.hosts.hosts import Hosts
from qubes_manager.services.hosts.store import DomainStore

if TYPE_CHECKING:
    from qubes_manager.backend.domains.domain_xml import DomainEdit
    from qubes_manager.backend.domains.metadata import MetadataEdit

MAX_NOTES = 256_000


class Properties:
    """Changes what is set of a domain. Each change is one libvirt transaction."""

    def __init__(self, hosts: Hosts, store: DomainStore, gui_options: GuiOptionsFile) -> None:
        self._hosts = hosts
        self._store = store
        self._gui_options = gui_options

    def _domain(self, key: DomainKey) -> Domain:
        domain = self._store.require(key)
        if domain.is_host:
            raise Refused("dom0 is this machine; it has no properties to set")
        return domain

    async def _edit(self, key: DomainKey, change: "Callable[[MetadataEdit], None]") -> None:
        await actions_on(self._hosts, self._domain(key)).edit_metadata(change)
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
            if len(value) > MAX_WORD or not value.isprintable():
                raise BadInput(f"feature {name}", value[:80], "use at most 255 printable characters")
        await self._edit(key, lambda edit: edit.set_features(features))

    async def set_menu(self, key: DomainKey, menu: Iterable[str] | None, favourites: Iterable[str] = ()) -> None:
        """Set which applications the domain's menu shows (None: all of them), and which of them come first."""
        chosen = None if menu is None else [check_id(app) for app in menu]
        first = [check_id(app) for app in favourites]
        await self._edit(key, lambda edit: edit.set_menu(chosen, first))

    async def set_default_dispvm(self, key: DomainKey, name: str) -> None:
        """Set which domain disposables opened from this one are made of; empty for none."""
        uuid = self._named(key.connection, name, "default_dispvm").key.uuid if name else ""
        await self._edit(key, lambda edit: edit.set_text("default_dispvm", name or None, uuid=uuid))

    async def set_template(self, key: DomainKey, name: str) -> None:
        """Let a domain start from another template; a running one does at its next start."""
        domain = self._domain(key)
        if domain.klass is not DomainClass.APP:
            raise Refused(f"“{domain.name}” owns its system; only an AppVM has a template")
        template = self._named(key.connection, name, "template")
        if template.klass is not DomainClass.TEMPLATE:
            raise BadInput("template", name, "name a TemplateVM")
        # What the domain boots is looked up at each start.
        await self._edit(key, lambda edit: edit.set_text("template", template.name, uuid=template.key.uuid))

    def _named(self, uri: str, name: str, field: str) -> Domain:
        if domain := self._store.named(uri, name):
            return domain
        raise BadInput(field, name[:80], "name a domain that exists")

    async def set_include_in_backups(self, key: DomainKey, included: bool) -> None:
        """Whether backups take the domain by default."""
        await self._edit(key, lambda edit: edit.set_text("include_in_backups", str(included)))

    async def set_autostart(self, key: DomainKey, enabled: bool) -> None:
        """Whether the domain starts with the host."""
        await actions_on(self._hosts, self._domain(key)).set_autostart(enabled)
        await self._hosts.refresh(key)

    async def set_memory(self, key: DomainKey, mib: int) -> None:
        """Set the memory, in MiB, from the next start on."""
        if not 16 <= mib <= 1 << 24:
            raise BadInput("memory", str(mib), "give 16 MiB or more")
        await self._configure(key, lambda edit: edit.set_initial_memory(mib * 1024))

    async def set_maximum_memory(self, key: DomainKey, mib: int) -> None:
        """Set the most memory that the domain may get, in MiB, from the next start on."""
        await self._configure(key, lambda edit: edit.set_maximum_memory(mib * 1024))

    async def set_netvm(self, key: DomainKey, netvm: str) -> None:
        """Set what the network interface connects to from the next start on.

        ``user`` is user networking, another word a libvirt network, and nothing no interface at all.
        """
        if netvm:
            check_word(netvm, "netvm")
        await self._configure(key, lambda edit: edit.set_interface(netvm))

    async def set_virt_mode(self, key: DomainKey, mode: str) -> None:
        """Set kvm, or qemu for software emulation, from the next start on."""
        if mode not in ("kvm", "qemu"):
            raise BadInput("virt_mode", mode[:80], "use kvm or qemu")
        await self._configure(key, lambda edit: edit.set_virt_type(mode))

    async def set_flag(self, key: DomainKey, name: str, value: bool) -> None:
        """Set a property of ours that is off by default."""
        await self._edit(key, lambda edit: edit.set_text(name, "True" if value else None))

    async def set_template_for_dispvms(self, key: DomainKey, value: bool) -> None:
        """Whether disposables may be made of an AppVM."""
        domain = self._domain(key)
        if value and domain.klass is not DomainClass.APP:
            raise Refused(f"“{domain.name}” is no AppVM: only an AppVM can be the template of disposables")
        await self.set_flag(key, "template_for_dispvms", value)

    async def _configure(self, key: DomainKey, change: "Callable[[DomainEdit], None]") -> None:
        await actions_on(self._hosts, self._domain(key)).edit_config(change)
        await self._hosts.refresh(key)

    async def set_vcpus(self, key: DomainKey, count: int) -> None:
        """Set the number of virtual CPUs from the next start on."""
        if not 1 <= count <= 512:
            raise BadInput("vcpus", str(count), "give 1 to 512")
        await self._configure(key, lambda edit: edit.set_vcpus(count))

    async def set_kernelopts(self, key: DomainKey, options: str) -> None:
        """Set the command line of a directly booted kernel from the next start on."""
        domain = self._domain(key)
        if not domain.config.kernel:
            raise Refused(f"“{domain.name}” boots by itself; only a kernel given from outside takes options")
        await self._configure(key, lambda edit: edit.set_kernelopts(options))

    async def set_notes(self, key: DomainKey, text: str) -> None:
        """Set the notes (libvirt's description)."""
        if len(text) > MAX_NOTES:
            raise BadInput("notes", f"{len(text)} characters", f"use at most {MAX_NOTES}")
        await actions_on(self._hosts, self._domain(key)).set_notes(text)
        await self._hosts.refresh(key)

    async def rename(self, key: DomainKey, name: str) -> None:
        """Give a halted domain another name; raises BadInput, Refused."""
        domain = self._domain(key)
        check_name(name)
        if name == domain.name:
            return
        if domain.state.is_active:
            raise Refused(f"“{domain.name}” is running: shut it down before it is renamed")
        self._store.refuse_taken(key.connection, name)
        await actions_on(self._hosts, domain).rename(name)
        await asyncio.to_thread(self._gui_options.rename, domain.name, name)
        await self._hosts.refresh(key)
