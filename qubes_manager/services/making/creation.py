"""Making domains: from a template, from a disk image, or from an ISO to install."""

import asyncio
import contextlib
import uuid
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path

from qubes_manager.backend.domains.new_domain import DiskSpec, NewDomain
from qubes_manager.backend.guests.cloud_seed import write_seed
from qubes_manager.backend.host.daemon_paths import daemon_paths
from qubes_manager.backend.storage import volume_store
from qubes_manager.backend.storage.secrets import drop_secret, hold_secret, secret_uuid
from qubes_manager.core.creation_request import CreationRequest
from qubes_manager.core.domain import Domain, DomainClass, DomainConfig, DomainKey
from qubes_manager.core.errors import NotFound, Refused
from qubes_manager.core.labels import LABELS
from qubes_manager.core.progress import SILENT, Progress
from qubes_manager.core.volumes import OwnVolume, Role, volume_name
from qubes_manager.services.files.scratch import scratch
from qubes_manager.services.hosts.domain_access import actions_on
from qubes_manager.services.hosts.hosts import Hosts
from qubes_manager.services.hosts.store import DomainStore
from qubes_manager.services.hosts.virt_types import VirtTypes
from qubes_manager.services.making.making import Made, make_domain, plan_empty, plan_upload
from qubes_manager.services.volumes.image_import import ReadyImage, ready_image
from qubes_manager.services.volumes.template_roots import TemplateRoots

# The kernel's words for a system that boots from the disk of that label, and for one with a private volume.
SYSTEM_CMDLINE = "root=LABEL=root rw console=ttyS0 quiet"
PRIVATE_WORD = "qubes_manager.private"
# A template with this feature has the agent that application windows come from.
GUI_FEATURE = "gui"
# In software emulation these cost seconds of a start, and keep nobody out of anything.
EMULATION_WORDS = "mitigations=off nokaslr tsc=reliable no_timer_check"


class Creation:
    """Makes domains."""

    def __init__(self, hosts: Hosts, store: DomainStore, roots: TemplateRoots, virt_types: VirtTypes) -> None:
        self._hosts = hosts
        self._store = store
        self._roots = roots
        self._virt_types = virt_types

    async def create(self, uri: str, request: CreationRequest, *, progress: Progress = SILENT) -> DomainKey:
        """Make a domain; on any error nothing is left behind.

        *progress* is told from threads too. Raises BadInput, Refused, NotFound, HostCallFailed, Cancelled.
        """
        request.check()
        self._store.refuse_taken(uri, request.name)
        connection = self._hosts.connection(uri)
        await volume_store.ensure_pool(connection)
        if request.template:
            key = await self._from_template(uri, request, progress)
        else:
            async with ready_image(
                request.image or Path(),
                request.checksum,
                as_qcow2=request.klass is DomainClass.TEMPLATE,
                progress=progress,
            ) as ready:
                key = await self._from_image(uri, request, ready, progress)
            if request.move and request.image and not ready.image.is_iso:
                await asyncio.to_thread(request.image.expanduser().unlink)
        if request.autostart:
            await actions_on(self._hosts, self._store.require(key)).set_autostart(True)
            await self._hosts.refresh(key)
        return key

    def _find(self, uri: str, name: str, klass: DomainClass | None = None) -> Domain:
        domain = self._store.named(uri, name)
        if domain is None or (klass and domain.klass is not klass):
            raise NotFound(f"there is no {klass or 'domain'} “{name}”")
        return domain

    # From a template.

    async def _from_template(self, uri: str, request: CreationRequest, progress: Progress) -> DomainKey:
        key = self._find(uri, request.template, DomainClass.TEMPLATE).key
        await self._roots.settle(key)
        template = self._store.require(key)
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
        ending = "qcow2" if image.is_iso or image.format == "qcow2" else "img"
        name = volume_name(request.name, draft.uuid, Role.ROOT, ending, revision)
        record = OwnVolume(Role.ROOT, pool, name, revision, verified=ready.verified)
        if image.is_iso:
            plans = [plan_empty(connection, replace(record, verified=""), request.install_size)]
        else:
            plans = [plan_upload(connection, record, image.path, progress)]
        image_format = "qcow2" if image.is_iso else image.format

        async def finish(made: Made) -> NewDomain:
            disks = [DiskSpec(made[Role.ROOT].path, image_format, boot_order=1)]
            if image.is_iso:
                disks.append(DiskSpec(str(image.path), "raw", cdrom=True, boot_order=2))
            else:
                # Without a seed the drive is empty, for discs that are inserted later.
                disks.append(DiskSpec(made[Role.SEED].path if request.seed else "", "raw", cdrom=True))
            return replace(draft, disks=tuple(disks))

        async with self._seed(request, draft.uuid) as seed:
            if seed and not image.is_iso:
                record = OwnVolume(Role.SEED, pool, volume_name(request.name, draft.uuid, Role.SEED, "iso"))
                plans.append(plan_upload(connection, record, seed, SILENT))
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
        dispvm = self._find(uri, request.default_dispvm) if request.default_dispvm else None
        config = DomainConfig(
            label=LABELS[request.label],
            klass=request.klass,
            template=template.name if template and request.klass is DomainClass.APP else "",
            template_uuid=template.key.uuid if template and request.klass is DomainClass.APP else "",
            default_dispvm=request.default_dispvm,
            default_dispvm_uuid=dispvm.key.uuid if dispvm else "",
            template_for_dispvms=request.template_for_dispvms,
            provides_network=request.provides_network,
            include_in_backups=request.include_in_backups,
            revision=1 if request.klass is DomainClass.TEMPLATE else 0,
        )
        virt_type = request.virt_mode or await self._virt_types.best(uri, kernel)
        gui = bool(template and dict(template.config.features).get(GUI_FEATURE))
        return NewDomain(
            name=request.name,
            uuid=str(uuid.uuid4()),
            config=config,
            memory=request.memory,
            max_memory=request.max_memory,
            vcpus=request.vcpus,
            virt_type=virt_type,
            netvm=request.netvm,
            console_log=await asyncio.to_thread(console_log_path, uri, request.name),
            cmdline=request.kernelopts or boot_words(virt_type, private=request.klass is DomainClass.APP)
            if kernel
            else "",
            graphics=request.graphics,
            uefi=request.uefi,
            gui=gui,
        )


def boot_words(virt_type: str, *, private: bool) -> str:
    """The command line for a kernel that is booted directly."""
    words = [SYSTEM_CMDLINE]
    words += [EMULATION_WORDS] if virt_type == "qemu" else []
    words += [PRIVATE_WORD] if private else []
    return " ".join(words)


def console_log_path(uri: str, name: str) -> str:
    """Return where a new domain's serial console is logged; empty where the host's folders are unknown. Blocks."""
    paths = daemon_paths(uri)
    if paths is None:
        return ""
    # libvirt makes this folder only when the first domain has started.
    with contextlib.suppress(OSError):
        paths.qemu_logs.mkdir(parents=True, exist_ok=True)
    return str(paths.qemu_logs / f"{name}-console.log")
