"""Making domains, and taking them away with all that is theirs."""

import asyncio
import contextlib
import hmac
import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from qubes_manager.backend import storage
from qubes_manager.backend.daemon_paths import daemon_paths
from qubes_manager.backend.domain_actions import define, domain_type
from qubes_manager.backend.images import Image, file_digest, inspect_image, require_system
from qubes_manager.backend.new_domain import DiskSpec, NewDomain
from qubes_manager.core.domain import Activity, Domain, DomainClass, DomainConfig, DomainKey, OwnVolume
from qubes_manager.core.errors import BadInput, QubesManagerError, Refused
from qubes_manager.core.labels import LABELS
from qubes_manager.core.names import check_name
from qubes_manager.core.sizes import format_size
from qubes_manager.core.values import check_word
from qubes_manager.services.domain_access import actions_on
from qubes_manager.services.hosts import Hosts
from qubes_manager.services.store import DomainStore

_DIGESTS = {64: "sha256", 128: "sha512"}
# A new disk to install into; it takes only what is written to it.
INSTALL_SIZE = 20 << 30
DEFAULT_MEMORY, DEFAULT_VCPUS = 2048, 2

Progress = Callable[[str, int, int], None]


@dataclass(frozen=True, slots=True)
class CreationRequest:
    """What the user wants made. *memory* is in MiB; *image* is copied (or moved), an ISO is booted from."""

    name: str
    label: str
    image: Path | None = None
    move: bool = False
    checksum: str = ""
    memory: int = DEFAULT_MEMORY
    vcpus: int = DEFAULT_VCPUS
    netvm: str = "user"
    klass: DomainClass = DomainClass.STANDALONE
    install_size: int = INSTALL_SIZE
    graphics: bool = True

    def check(self) -> None:
        """Raise BadInput for the first field that cannot be used."""
        check_name(self.name)
        if self.label not in LABELS:
            raise BadInput("label", self.label, f"use one of {', '.join(LABELS)}")
        if self.klass is not DomainClass.STANDALONE:
            raise BadInput("class", self.klass, f"only {DomainClass.STANDALONE} can be made so far")
        if self.image is None:
            raise BadInput("image", "", "name a disk image or an ISO to make the domain from")
        if self.netvm:
            check_word(self.netvm, "netvm")
        if not 64 <= self.memory <= 1 << 24:
            raise BadInput("memory", str(self.memory), "give 64 MiB or more")
        if not 1 <= self.vcpus <= 512:
            raise BadInput("vcpus", str(self.vcpus), "give 1 to 512")
        if self.checksum:
            parse_checksum(self.checksum)


def parse_checksum(text: str) -> tuple[str, str]:
    """Return algorithm and digest of a SHA-256 or SHA-512 as it is pasted; raises BadInput."""
    word = (text.split() or [""])[0].lower()
    word = re.sub(r"^sha(256|512):", "", word)
    if not re.fullmatch(r"[0-9a-f]+", word) or len(word) not in _DIGESTS:
        raise BadInput("checksum", text[:80], "give a SHA-256 or SHA-512 in hexadecimal digits")
    return _DIGESTS[len(word)], word


class Creation:
    """Makes and removes domains on one connection."""

    def __init__(self, hosts: Hosts, store: DomainStore) -> None:
        self._hosts = hosts
        self._store = store

    async def create(
        self,
        uri: str,
        request: CreationRequest,
        *,
        progress: Progress = lambda _step, _done, _total: None,
        cancelled: Callable[[], bool] = lambda: False,
    ) -> DomainKey:
        """Make a domain from an image or ISO; on any error nothing is left behind.

        *progress* gets the step, bytes done and bytes in all, from a thread. Raises BadInput, Refused, NotFound,
        HostCallFailed, storage.Cancelled.
        """
        request.check()
        self.refuse_taken_name(uri, request.name)
        image = await asyncio.to_thread(inspect_image, request.image or Path())
        require_system(image)
        if request.checksum:
            progress("Checking the image’s checksum", 0, 0)
            await self._verify(image, request.checksum, cancelled)
        connection = self._hosts.connection(uri)
        await storage.ensure_pool(connection)
        volume = await self._root_volume(uri, request, image, progress, cancelled)
        try:
            progress("Creating the domain", 0, 0)
            uuid = await define(connection, request.name, await self._xml(uri, request, image, volume))
        except BaseException:
            with contextlib.suppress(QubesManagerError):
                await asyncio.shield(storage.delete_volume(connection, volume.pool, volume.name))
            raise
        if request.move and not image.is_iso:
            await asyncio.to_thread(image.path.unlink)
        await self._hosts.refresh(DomainKey(uri, uuid))
        return DomainKey(uri, uuid)

    def refuse_taken_name(self, uri: str, name: str) -> None:
        """Raise Refused when the connection has a domain of that name."""
        if any(domain.name == name for domain in self._store.of_host(uri)):
            raise Refused(f"there is a domain “{name}” already; choose another name")

    async def _verify(self, image: Image, checksum: str, cancelled: Callable[[], bool]) -> None:
        algorithm, wanted = parse_checksum(checksum)
        found = await asyncio.to_thread(file_digest, image.path, algorithm, cancelled)
        if not hmac.compare_digest(found, wanted):
            raise Refused(
                f"“{image.path.name}” is not the image that the checksum belongs to: "
                f"expected {wanted}, found {found}; nothing was created"
            )

    async def _root_volume(
        self,
        uri: str,
        request: CreationRequest,
        image: Image,
        progress: Progress,
        cancelled: Callable[[], bool],
    ) -> storage.Volume:
        connection = self._hosts.connection(uri)
        if image.is_iso:
            return await storage.create_volume(connection, f"{request.name}-root.qcow2", request.install_size)
        volume, _digest = await storage.upload_volume(
            connection,
            f"{request.name}-root.{'img' if image.format == 'raw' else image.format}",
            image.path,
            progress=lambda done, total: progress("Copying the image", done, total),
            cancelled=cancelled,
        )
        return volume

    async def _xml(self, uri: str, request: CreationRequest, image: Image, volume: storage.Volume) -> str:
        if image.is_iso:
            disks = (DiskSpec(volume.path, boot_order=1), DiskSpec(str(image.path), "raw", cdrom=True, boot_order=2))
        else:
            disks = (DiskSpec(volume.path, image.format, boot_order=1), DiskSpec("", "raw", cdrom=True))
        config = DomainConfig(
            label=LABELS[request.label],
            klass=request.klass,
            volumes=(OwnVolume("root", volume.pool, volume.name),),
        )
        return NewDomain(
            name=request.name,
            config=config,
            memory=request.memory,
            vcpus=request.vcpus,
            virt_type=await domain_type(self._hosts.connection(uri)),
            disks=disks,
            netvm=request.netvm,
            console_log=await asyncio.to_thread(console_log_path, uri, request.name),
            graphics=request.graphics,
        ).xml()

    async def describe_loss(self, domain: Domain) -> str:
        """Say in words what removing a domain destroys, and what stays."""
        connection = self._hosts.connection(domain.key.connection)
        volumes = domain.config.volumes if domain.config else ()
        taken = [await storage.volume_allocation(connection, volume.pool, volume.name) for volume in volumes]
        if volumes:
            return f"Its disks go with it: {format_size(sum(taken))} of data are lost."
        return "Its disk images, which this program did not make, stay where they are."

    async def remove(self, key: DomainKey) -> None:
        """Remove a halted domain and the volumes that were made for it; raises Refused, NotFound."""
        domain = self._store.require(key)
        refuse_removal(domain, self._store.of_host(key.connection))
        with self._store.activity(key, Activity.REMOVING):
            await actions_on(self._hosts, domain).undefine()
            for volume in domain.config.volumes if domain.config else ():
                await storage.delete_volume(self._hosts.connection(key.connection), volume.pool, volume.name)
            await self._hosts.refresh(key)


def refuse_removal(domain: Domain, others: list[Domain]) -> None:
    """Raise Refused when *domain* runs, or when some of *others* need it, naming them."""
    if domain.is_host:
        raise Refused("dom0 is this machine; it cannot be removed")
    if domain.state.is_active:
        raise Refused(f"“{domain.name}” is running: shut it down first")
    users = {
        role: sorted(other.name for other in others if other.config and getattr(other.config, role) == domain.name)
        for role in ("template", "netvm", "default_dispvm")
    }
    for role, names in users.items():
        if names:
            words = role.replace("_", " ")
            raise Refused(f"“{domain.name}” is the {words} of {', '.join(names)}: give them another one first")


def console_log_path(uri: str, name: str) -> str:
    """Return where a new domain's serial console is logged; empty where the host's folders are unknown. Blocks."""
    paths = daemon_paths(uri)
    if paths is None:
        return ""
    # libvirt makes this folder only when the first domain has started.
    with contextlib.suppress(OSError):
        paths.qemu_logs.mkdir(parents=True, exist_ok=True)
    return str(paths.qemu_logs / f"{name}-console.log")


def netvm_users(domain: Domain, others: list[Domain]) -> list[str]:
    """The names of running domains whose network goes through *domain*."""
    return [d.name for d in others if d.config and d.config.netvm == domain.name and d.state.is_active]
