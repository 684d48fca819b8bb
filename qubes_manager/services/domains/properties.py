"""Changing what is set of a domain."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Collection, Iterable, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from qubes_manager.backend.user.domain_lock import domain_lock
from qubes_manager.core.applications import check_id
from qubes_manager.core.devices.interfaces import parse_denied
from qubes_manager.core.disposables import MOST_PRELOADED, PRELOAD_MAX, parse_count
from qubes_manager.core.domain import NO_DISPOSABLES, Domain, DomainClass, DomainKey
from qubes_manager.core.errors import BadInput, Overtaken, QubesManagerError, Refused, TimedOut
from qubes_manager.core.labels import LABELS
from qubes_manager.core.names import check_name, check_title
from qubes_manager.core.sound import HEARD, SILENT
from qubes_manager.core.values import MAX_MEMORY_MIB, MAX_VCPUS, MAX_WORD, check_word
from qubes_manager.services.domains.network_properties import NetworkProperties
from qubes_manager.services.domains.property_edits import Aim
from qubes_manager.services.domains.sound import Sound
from qubes_manager.services.files.gui_options_file import GuiOptionsFile
from qubes_manager.services.hosts.domain_access import actions_on
from qubes_manager.services.hosts.hosts import Hosts
from qubes_manager.services.hosts.store import DomainStore, refuse_running, refuse_saved
from qubes_manager.services.network.firewalls import Firewalls
from qubes_manager.services.network.isolation import Isolation
from qubes_manager.services.volumes.frozen_copies import FrozenCopies

if TYPE_CHECKING:
    from qubes_manager.backend.domains.metadata import MetadataEdit

MAX_NOTES = 256_000


class Properties(NetworkProperties):
    """Changes what is set of a domain. Each change is one libvirt transaction, and is there when it returns.

    All setters raise NotFound, BadInput, and Refused when the domain cannot have the value, which says why.
    """

    def __init__(
        self,
        hosts: Hosts,
        store: DomainStore,
        gui_options: GuiOptionsFile,
        copies: FrozenCopies,
        sound: Sound,
        isolation: Isolation,
        firewalls: Firewalls,
    ) -> None:
        super().__init__(hosts, store, isolation, firewalls)
        self._copies = copies
        self._sound = sound
        self._gui_options = gui_options

    async def set_label(self, key: DomainKey, label: str) -> None:
        """Set the trust colour; a domain that this program did not make is adopted by that."""
        if label not in LABELS:
            raise BadInput("label", label[:80], f"use one of {', '.join(LABELS)}")
        aim = Aim("label", LABELS[label], lambda config: config.label)
        await self._edit(key, lambda edit: edit.set_text("label", label), aim)

    async def set_devices_denied(self, key: DomainKey, text: str) -> None:
        """Set which kinds of devices it never gets, whoever asks."""
        denied = parse_denied(text)
        aim = Aim("devices_denied", denied, lambda config: config.devices_denied)
        await self._edit(key, lambda edit: edit.set_text("devices_denied", " ".join(denied) or None), aim)

    async def change_tags(self, key: DomainKey, added: Collection[str], removed: Collection[str] = ()) -> None:
        """Add and take away tags; those that others gave it stay."""
        for tag in added:
            check_word(tag, "tag")

        def change(edit: "MetadataEdit") -> None:
            edit.add_tags(added)
            edit.remove_tags(removed)

        await self._edit(key, change)

    async def set_feature(self, key: DomainKey, name: str, value: str | None) -> None:
        """Set a feature; None takes it away."""
        if value is not None:
            check_word(name, "feature")
            if len(value) > MAX_WORD or not value.isprintable():
                raise BadInput(f"feature {name}", value[:80], "use at most 255 printable characters")
            if name == PRELOAD_MAX and value:
                self._check_preload(self._domain(key), value)
        await self._edit(key, lambda edit: edit.set_feature(name, value))

    def _check_preload(self, domain: Domain, value: str) -> None:
        if parse_count(value) is None:
            raise BadInput(f"feature {PRELOAD_MAX}", value[:80], f"give 0 to {MOST_PRELOADED}")
        if not domain.config.template_for_dispvms:
            raise Refused(f"no disposables are made of “{domain.name}”: allow that first (template_for_dispvms)")

    async def set_menu(self, key: DomainKey, menu: Iterable[str] | None) -> None:
        """Set which applications the domain's menu shows; None for all of them."""
        chosen = None if menu is None else [check_id(app) for app in menu]
        await self._edit(key, lambda edit: edit.set_menu(chosen))

    async def change_menu(self, key: DomainKey, shown: Sequence[str] | None, menu: Sequence[str] | None) -> None:
        """Set which applications the domain's menu shows: what *menu* has otherwise than *shown*, the one seen before.

        None stands for all of them.
        """
        if shown is None or menu is None:
            await self.set_menu(key, menu)
            return
        added = [check_id(app) for app in menu if app not in shown]
        removed = set(shown) - set(menu)

        def change(edit: "MetadataEdit") -> None:
            now = edit.menu()
            kept = [app for app in (menu if now is None else now) if app not in removed]
            edit.set_menu([*kept, *(app for app in added if app not in kept)])

        await self._edit(key, change)

    async def set_favourite(self, key: DomainKey, application: str, value: bool) -> None:
        """Whether an application is among those that come first; a new one is the last of them."""
        check_id(application)

        def change(edit: "MetadataEdit") -> None:
            others = [app for app in edit.favourites() if app != application]
            if value == (application not in edit.favourites()):
                edit.set_favourites([*others, application] if value else others)

        await self._edit(key, change)

    async def set_default_dispvm(self, key: DomainKey, name: str) -> None:
        """Set which domain disposables that this one asks for are made of.

        Empty for the system's default; NO_DISPOSABLES forbids it to ask for any.
        """
        uuid = self._named(key.connection, name, "default_dispvm").key.uuid if name not in ("", NO_DISPOSABLES) else ""
        aim = Aim("default_dispvm", uuid or name, lambda config: config.default_dispvm_uuid or config.default_dispvm)
        await self._edit(key, lambda edit: edit.set_text("default_dispvm", name or None, uuid=uuid), aim)

    async def set_template(self, key: DomainKey, name: str) -> None:
        """Let a domain start from another template; a running one does at its next start."""
        domain = self._domain(key)
        if domain.klass is DomainClass.DISPOSABLE:
            await self._set_disposable_template(domain, name)
            return
        if domain.klass is not DomainClass.APP:
            raise Refused(f"“{domain.name}” owns its system; only an AppVM has a template")
        template = self._named(key.connection, name, "template")
        if template.klass is not DomainClass.TEMPLATE:
            raise BadInput("template", name, "name a TemplateVM")
        await self._refuse_saved(key)
        async with self._without_disposables(domain, "its template cannot be changed"):
            await self._point_at(key, template)

    async def _point_at(self, key: DomainKey, template: Domain) -> None:
        # What the domain boots is looked up at each start.
        aim = Aim("template", template.key.uuid, lambda config: config.template_uuid)
        await self._edit(key, lambda edit: edit.set_text("template", template.name, uuid=template.key.uuid), aim)

    async def _set_disposable_template(self, domain: Domain, name: str) -> None:
        """Let a disposable that has a name be one of another AppVM, from its next start on."""
        template = self._named(domain.key.connection, name, "template")
        if not template.config.template_for_dispvms:
            raise BadInput("template", name, "name an AppVM that disposables may be made of")
        refuse_running(domain)
        await self._refuse_saved(domain.key)
        await self._point_at(domain.key, template)

    @contextlib.asynccontextmanager
    async def _without_disposables(self, domain: Domain, what: str) -> AsyncIterator[None]:
        """Raise Refused, saying *what* it forbids, when disposables of *domain* run; none is made in the block.

        Those that nobody uses yet do not count: the broker makes them anew.
        """
        if not domain.config.template_for_dispvms:
            yield
            return
        async with domain_lock(domain.key.uuid, domain.name):
            await self._hosts.refresh_host(domain.key.connection)
            running = sorted(
                d.name
                for d in self._store.of_host(domain.key.connection)
                if d.klass is DomainClass.DISPOSABLE
                and d.config.template_uuid == domain.key.uuid
                and d.state.is_active
                and not d.only_waits
            )
            if running:
                raise Refused(f"disposables of “{domain.name}” run, so {what}: end {', '.join(running)} first")
            yield

    def _named(self, uri: str, name: str, field: str) -> Domain:
        if domain := self._store.named(uri, name):
            return domain
        raise BadInput(field, name[:80], "name a domain that exists")

    async def set_include_in_backups(self, key: DomainKey, included: bool) -> None:
        """Whether backups take the domain by default."""
        await self._edit(key, lambda edit: edit.set_text("include_in_backups", str(included)))

    async def set_autostart(self, key: DomainKey, enabled: bool) -> None:
        """Whether the domain starts with the host; raises Refused for a template, whose changes nobody would keep."""
        domain = self._domain(key)
        if enabled and domain.klass is DomainClass.TEMPLATE:
            raise Refused(f"“{domain.name}” is a template: domains start without it, so it cannot start with the host")
        await actions_on(self._hosts, domain).set_autostart(enabled)
        await self._hosts.refresh(key)

    async def set_memory(self, key: DomainKey, mib: int) -> None:
        """Set the memory, in MiB, from the next start on."""
        _check_memory(mib, "memory")
        aim = Aim("memory", mib, lambda config: config.initial_memory_kib // 1024)
        await self._configure(key, aim, lambda edit: edit.set_initial_memory(mib * 1024))

    async def set_maximum_memory(self, key: DomainKey, mib: int) -> None:
        """Set the most memory that the domain may get, in MiB, from the next start on."""
        _check_memory(mib, "maxmem")
        aim = Aim("maxmem", mib, lambda config: config.maximum_memory_kib // 1024)
        await self._configure(key, aim, lambda edit: edit.set_maximum_memory(mib * 1024))

    async def set_virt_mode(self, key: DomainKey, mode: str) -> None:
        """Set kvm, or qemu for software emulation, from the next start on."""
        if mode not in ("kvm", "qemu"):
            raise BadInput("virt_mode", mode[:80], "use kvm or qemu")
        aim = Aim("virt_mode", mode, lambda config: config.virt_type)
        await self._configure(key, aim, lambda edit: edit.set_virt_type(mode))

    async def set_audiovm(self, key: DomainKey, name: str) -> None:
        """Set what plays the domain's sound from its next start on; empty for what its class has by default."""
        if name not in ("", HEARD, SILENT):
            raise BadInput("audiovm", name[:80], f"use {HEARD} for this machine, {SILENT}, or nothing for the default")
        aim = Aim("audiovm", name, lambda config: config.audiovm)
        await self._edit(key, lambda edit: edit.set_text("audiovm", name or None), aim)

    async def set_muted(self, key: DomainKey, muted: bool) -> None:
        """Let nothing be heard of the domain, or let it be heard again: at once, and at its later starts.

        Raises HostCallFailed when it is set for later starts, and the sound server does not answer now.
        """
        await self.set_flag(key, "muted", muted)
        await self._sound.mute(key, muted)

    async def set_template_for_dispvms(self, key: DomainKey, value: bool) -> None:
        """Whether disposables may be made of an AppVM."""
        domain = self._domain(key)
        if value and domain.klass is not DomainClass.APP:
            raise Refused(f"“{domain.name}” is no AppVM: only an AppVM can be the template of disposables")
        if value:
            await self.set_flag(key, "template_for_dispvms", True)
            return
        async with self._without_disposables(domain, "it stays allowed to make them"):
            await self.set_flag(key, "template_for_dispvms", False)
        await self._copies.tidy(key)

    async def set_vcpus(self, key: DomainKey, count: int) -> None:
        """Set the number of virtual CPUs from the next start on."""
        most = await self.most_vcpus(key)
        if not 1 <= count <= most:
            raise BadInput("vcpus", str(count), f"its machine takes 1 to {most}")
        aim = Aim("vcpus", count, lambda config: config.vcpus)
        await self._configure(key, aim, lambda edit: edit.set_vcpus(count))

    async def most_vcpus(self, key: DomainKey) -> int:
        """Return how many processors the domain's machine takes, as far as libvirt knows it and says so in time."""
        try:
            return await actions_on(self._hosts, self._domain(key)).most_vcpus() or MAX_VCPUS
        except TimedOut:
            return MAX_VCPUS

    async def set_kernelopts(self, key: DomainKey, options: str) -> None:
        """Set the command line of a directly booted kernel from the next start on."""
        domain = self._domain(key)
        if not domain.config.kernel:
            raise Refused(f"“{domain.name}” boots by itself; only a kernel given from outside takes options")
        aim = Aim("kernelopts", options, lambda config: config.kernelopts)
        await self._configure(key, aim, lambda edit: edit.set_kernelopts(options))

    async def set_notes(self, key: DomainKey, text: str) -> None:
        """Set the notes (libvirt's description); the details of an error have what was written."""
        domain, aim = self._domain(key), Aim("notes", text, lambda config: config.notes)

        def check(present: str) -> None:
            self._refuse_overtaken(domain, aim, replace(domain.config, notes=present))

        try:
            if len(text) > MAX_NOTES:
                raise BadInput("notes", f"{len(text)} characters", f"use at most {MAX_NOTES}")
            await actions_on(self._hosts, domain).set_notes(text, check)
        except QubesManagerError as error:
            # The form that it was typed into is closed by now.
            error.details = f"{error.details}\n\n{text}".strip()
            raise
        await self._hosts.refresh(key)

    async def set_title(self, key: DomainKey, title: str) -> None:
        """Have a disposable shown under a title, with its name behind; empty is none. Raises BadInput, Refused."""
        domain = self._domain(key)
        if not domain.is_disposable:
            raise Refused(f"“{domain.name}” needs no title: give it another name while it is halted")
        other = self._store.named(key.connection, check_title(title)) if title else None
        if other and other.key != key:
            raise Refused(f"there is a domain “{title}” already; choose another title")
        await actions_on(self._hosts, domain).set_title("" if title == domain.name else title)
        await self._hosts.refresh(key)

    async def rename(self, key: DomainKey, name: str) -> None:
        """Give a halted domain another name; raises BadInput, Refused."""
        domain = self._domain(key)
        if name == domain.name:
            return
        if self._shown and domain.name != self._shown.name:
            raise Overtaken(
                f"“{self._shown.name}” is called “{domain.name}” now: somebody else has renamed it; look again"
            )
        check_name(name)
        if domain.is_disposable:
            raise Refused(
                f"“{domain.name}” keeps its name: libvirt renames no domain that runs, and a disposable is gone when "
                "it stops; give it a title instead, or a new one a name when it is made"
            )
        refuse_running(domain)
        refuse_saved(domain)
        self._store.refuse_taken(key.connection, name)
        # What stands there by its present name is bound to it.
        await asyncio.to_thread(self._gui_options.load)
        await actions_on(self._hosts, domain).rename(name)
        # For who reads that file; it goes by UUIDs.
        with contextlib.suppress(QubesManagerError, OSError):
            await asyncio.to_thread(self._gui_options.rename, key.uuid, name)
        await self._hosts.refresh(key)


def _check_memory(mib: int, field: str) -> None:
    if not 1 <= mib <= MAX_MEMORY_MIB:
        raise BadInput(field, str(mib), f"give 1 to {MAX_MEMORY_MIB} MiB")
