"""Making domains: from a template, from a disk image, or from an ISO to install."""

import asyncio
import uuid
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path

from qubes_manager.backend.domains.domain_xml import EMULATION_WORDS
from qubes_manager.backend.domains.new_domain import DiskSpec, NewDomain
from qubes_manager.backend.guests.cloud_seed import write_seed
from qubes_manager.backend.storage import volume_store
from qubes_manager.backend.storage.image_chain import local_names
from qubes_manager.backend.storage.secrets import drop_secret, hold_secret, secret_uuid
from qubes_manager.backend.user.domain_lock import domain_lock
from qubes_manager.core.creation_request import CreationRequest
from qubes_manager.core.domain import GUI_FEATURE, NO_DISPOSABLES, Domain, DomainClass, DomainConfig, DomainKey
from qubes_manager.core.errors import NotFound, QubesManagerError, Refused
from qubes_manager.core.firewall.of_domain import ON
from qubes_manager.core.interfaces import ISOLATED, OPEN
from qubes_manager.core.labels import LABELS
from qubes_manager.core.progress import SILENT, Progress
from qubes_manager.core.volumes import OwnVolume, Role, volume_name
from qubes_manager.services.files.host_paths import console_log_path, nvram_path
from qubes_manager.services.files.scratch import scratch
from qubes_manager.services.hosts.domain_access import actions_on
from qubes_manager.services.hosts.hosts import Hosts
from qubes_manager.services.hosts.image_uses import ImageUses
from qubes_manager.services.hosts.store import DomainStore
from qubes_manager.services.hosts.virt_types import VirtTypes
from qubes_manager.services.making.making import Made, make_domain, plan_empty, plan_upload
from qubes_manager.services.network.isolation import Isolation
from qubes_manager.services.network.providers import check_network, provider_named
from qubes_manager.services.volumes.image_import import ReadyImage, ready_image
from qubes_manager.services.volumes.template_roots import TemplateRoots

# The kernel's words for a system that boots from the disk of that label, and for one with a private volume.
SYSTEM_CMDLINE = "root=LABEL=root rw console=ttyS0 quiet"
PRIVATE_WORD = "qubes_manager.private"


class Creation:
    """Makes domains."""

    def __init__(
        self,
        hosts: Hosts,
        store: DomainStore,
        uses: ImageUses,
        roots: TemplateRoots,
        virt_types: VirtTypes,
        isolation: Isolation,
    ) -> None:
        self._hosts = hosts
        self._store = store
        self._uses = uses
        self._roots = roots
        self._virt_types = virt_types
        self._isolation = isolation

    async def create(self, uri: str, request: CreationRequest, *, progress: Progress = SILENT) -> DomainKey:
        """Make a domain; on any error nothing is left behind.

        *progress* is told from threads too. Raises BadInput, Refused, NotFound, HostCallFailed, Cancelled.
        """
        request.check()
        self._store.refuse_taken(uri, request.name)
        connection = self._hosts.connection(uri)
        provider = provider_named(self._store, uri, request.netvm)
        netvm = await self._isolation.chosen(uri, ISOLATED if provider else request.netvm)
        await check_network(connection, self._store, netvm)
        if not (provider and netvm):
            request = replace(request, netvm=netvm)
        await volume_store.ensure_pool(connection)
        if request.template:
            template = self._find(uri, request.template, DomainClass.TEMPLATE)
            await self._roots.settle(template.key)
            # Nobody removes it, or puts another root in the place of its own, before the domain's record names it.
            async with domain_lock(template.key.uuid, template.name, shared=True):
                await self._hosts.refresh(template.key)
                key = await self._from_template(uri, request, self._store.require(template.key), progress)
        else:
            image = await asyncio.to_thread(lambda: (request.image or Path()).expanduser().absolute())
            await self._uses.refuse_source(image, moved=request.move)
            taken = await asyncio.to_thread(local_names, str(image))
            async with ready_image(
                image, request.checksum, discs=True, limit=request.unpack_limit, progress=progress
            ) as ready:
                key = await self._from_image(uri, request, ready, progress)
        if request.autostart:
            await actions_on(self._hosts, self._store.require(key)).set_autostart(True)
            await self._hosts.refresh(key)
        if request.move and not request.template and ready.path is None:
            await self._take_away(image, taken, request.name)
        return key

    async def _take_away(self, image: Path, taken: set[str], name: str) -> None:
        """Delete an image that was moved into a domain; raises Refused when it is another by now, or in use."""
        if await asyncio.to_thread(local_names, str(image)) != taken:
            raise Refused(f"“{name}” was made, but “{image}” is not the same file any more: it stays")
        try:
            await self._uses.refuse_source(image, moved=True)
            await asyncio.to_thread(image.unlink)
        except (QubesManagerError, OSError) as error:
            raise Refused(f"“{name}” was made, but “{image}” stays: {error}") from error

    def _find(self, uri: str, name: str, klass: DomainClass | None = None) -> Domain:
        domain = self._store.named(uri, name)
        if domain is None or (klass and domain.klass is not klass):
            raise NotFound(f"there is no {klass or 'domain'} “{name}”")
        return domain

    # From a template.

    async def _from_template(
        self, uri: str, request: CreationRequest, template: Domain, progress: Progress
    ) -> DomainKey:
        current = template.config.volume(Role.ROOT)
        if current is None:
            raise Refused(f"the template “{request.template}” has no root that is whole yet")
        connection = self._hosts.connection(uri)
        boot = [v for role in (Role.KERNEL, Role.INITRD) if (v := template.config.volume(role))]
        paths = await volume_store.volume_paths(connection, [current, *boot])
        progress.step("Creating the domain")
        draft = await self._draft(uri, request, template, paths.get(Role.KERNEL, ""))
        if request.klass is DomainClass.APP:
            return await self._app(uri, request, draft, paths, current.format)
        name = volume_name(request.name, draft.uuid, Role.ROOT, "qcow2")
        record = OwnVolume(Role.ROOT, request.pool or current.pool, name, backing=current.name)
        if record.pool != current.pool:
            raise Refused(f"a system above its template's lies in the same pool, “{current.pool}”")

        async def finish(made: Made) -> NewDomain:
            return replace(
                draft,
                disks=(DiskSpec(made[Role.ROOT].path),),
                kernel=paths.get(Role.KERNEL, ""),
                initrd=paths.get(Role.INITRD, ""),
            )

        return await make_domain(self._hosts, uri, draft, [plan_empty(connection, record, 0)], finish)

    async def _app(
        self, uri: str, request: CreationRequest, draft: NewDomain, paths: dict[Role, str], image_format: str
    ) -> DomainKey:
        connection = self._hosts.connection(uri)
        pool = request.private_pool or request.pool or volume_store.POOL
        record = OwnVolume(Role.PRIVATE, pool, volume_name(request.name, draft.uuid, Role.PRIVATE, "qcow2"))
        secret = secret_uuid(draft.uuid) if request.passphrase else ""

        async def finish(made: Made) -> NewDomain:
            disks = (
                DiskSpec(paths[Role.ROOT], image_format, transient=True),
                DiskSpec(made[Role.PRIVATE].path, serial=Role.PRIVATE.value, secret=secret),
            )
            return replace(draft, disks=disks, kernel=paths.get(Role.KERNEL, ""), initrd=paths.get(Role.INITRD, ""))

        plan = plan_empty(connection, record, request.private_size, secret)
        async with self._passphrase(uri, draft.uuid, request.passphrase):
            return await make_domain(self._hosts, uri, draft, [plan], finish)

    @asynccontextmanager
    async def _passphrase(self, uri: str, domain: str, passphrase: str) -> AsyncIterator[None]:
        """Let libvirt know the passphrase while the block runs."""
        if not passphrase:
            yield
            return
        connection = self._hosts.connection(uri)
        await hold_secret(connection, domain, passphrase)
        try:
            yield
        finally:
            await asyncio.shield(drop_secret(connection, domain))

    # From an image.

    async def _from_image(self, uri: str, request: CreationRequest, ready: ReadyImage, progress: Progress) -> DomainKey:
        image, connection = ready.image, self._hosts.connection(uri)
        if image.is_iso and request.klass is DomainClass.TEMPLATE:
            raise Refused("install from the ISO into a StandaloneVM first, then make that a template")
        draft = await self._draft(uri, request, None, "")
        revision = draft.config.revision
        pool = request.pool or volume_store.POOL

        def record(role: Role, ending: str, revision: int = 0, verified: str = "") -> OwnVolume:
            name = volume_name(request.name, draft.uuid, role, ending, revision)
            return OwnVolume(role, pool, name, revision, verified=verified)

        if image.is_iso:
            plans = [plan_empty(connection, record(Role.ROOT, "qcow2", revision), request.install_size)]
            if ready.path is None:
                medium = record(Role.MEDIUM, "iso", verified=ready.verified)
                plans.append(plan_upload(connection, medium, ready.file, progress))
        else:
            root = record(Role.ROOT, "qcow2", revision, ready.verified)
            plans = [plan_upload(connection, root, ready.file, progress, checksum=ready.checksum)]

        async def finish(made: Made) -> NewDomain:
            disc = made.get(Role.MEDIUM) or made.get(Role.SEED)
            # Without a disc the drive is empty, for those that are inserted later.
            path = disc.path if disc else str(ready.path or "")
            # What a template writes goes to a revision of its own, which only a start by this program makes.
            is_template = request.klass is DomainClass.TEMPLATE
            disks = (
                DiskSpec(made[Role.ROOT].path, boot_order=1, transient=is_template),
                DiskSpec(path, "raw", cdrom=True, boot_order=2 if image.is_iso else 0),
            )
            return replace(draft, disks=disks)

        async with self._seed(request, draft.uuid) as seed:
            if seed and not image.is_iso:
                plans.append(plan_upload(connection, record(Role.SEED, "iso"), seed, SILENT))
            return await make_domain(self._hosts, uri, draft, plans, finish)

    @asynccontextmanager
    async def _seed(self, request: CreationRequest, domain: str) -> AsyncIterator[Path | None]:
        """The disc for a cloud image, as a file that is there while the block runs."""
        if not request.seed:
            yield None
            return
        async with scratch("seed") as folder:
            seed = folder / "seed.iso"
            await asyncio.to_thread(write_seed, seed, domain)
            yield seed

    # What all have.

    async def _draft(self, uri: str, request: CreationRequest, template: Domain | None, kernel: str) -> NewDomain:
        """The domain but for its disks."""
        dispvm = None
        if request.default_dispvm not in ("", NO_DISPOSABLES):
            dispvm = self._find(uri, request.default_dispvm)
        provider = provider_named(self._store, uri, request.netvm)
        netvm, via = (ISOLATED, provider.key.uuid) if provider else (request.netvm, "")
        config = DomainConfig(
            label=LABELS[request.label],
            klass=request.klass,
            template=template.name if template and request.klass is DomainClass.APP else "",
            template_uuid=template.key.uuid if template and request.klass is DomainClass.APP else "",
            default_dispvm=request.default_dispvm,
            default_dispvm_uuid=dispvm.key.uuid if dispvm else "",
            template_for_dispvms=request.template_for_dispvms,
            provides_network=request.provides_network,
            network=provider.name if provider else OPEN if netvm == OPEN else "",
            network_uuid=via,
            firewall=request.firewall.lines if request.firewall else None,
            home_network=ON if request.firewall and request.firewall.home else "",
            include_in_backups=request.include_in_backups,
            revision=1 if request.klass is DomainClass.TEMPLATE else 0,
        )
        virt_type = request.virt_mode or await self._virt_types.best(uri, kernel)
        gui = bool(template and dict(template.config.features).get(GUI_FEATURE))
        own = str(uuid.uuid4())
        emulator, rules = await self._isolation.emulator_for(uri, netvm, via, request.firewall)
        return NewDomain(
            name=request.name,
            uuid=own,
            config=config,
            memory=request.memory,
            max_memory=request.max_memory,
            vcpus=request.vcpus,
            virt_type=virt_type,
            netvm=netvm,
            console_log=await asyncio.to_thread(console_log_path, uri, own),
            cmdline=request.kernelopts or boot_words(virt_type, private=request.klass is DomainClass.APP)
            if kernel
            else "",
            graphics=request.graphics,
            uefi=request.uefi,
            nvram=await asyncio.to_thread(nvram_path, uri, own) if request.uefi else "",
            gui=gui,
            emulator=emulator,
            rules=rules,
        )


def boot_words(virt_type: str, *, private: bool) -> str:
    """The command line for a kernel that is booted directly."""
    words = [SYSTEM_CMDLINE]
    words += [EMULATION_WORDS] if virt_type == "qemu" else []
    words += [PRIVATE_WORD] if private else []
    return " ".join(words)
