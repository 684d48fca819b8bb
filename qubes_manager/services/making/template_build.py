"""Templates made of Debian packages."""

import asyncio
import functools
import tempfile
import uuid
from dataclasses import replace
from pathlib import Path

from qubes_manager.backend.domains.new_domain import DiskSpec, NewDomain
from qubes_manager.backend.guests.debian_template import BuiltTemplate, build_template, recipe_digest
from qubes_manager.backend.guests.guest_tools import tools_digest
from qubes_manager.backend.guests.xpra_package import build_notice
from qubes_manager.backend.storage import volume_store
from qubes_manager.core.creation_request import DEFAULT_MEMORY, DEFAULT_VCPUS
from qubes_manager.core.domain import GUI_FEATURE, TOOLS_FEATURE, DomainClass, DomainConfig, DomainKey
from qubes_manager.core.interfaces import ISOLATED
from qubes_manager.core.labels import LABELS
from qubes_manager.core.names import check_name
from qubes_manager.core.progress import SILENT, Progress
from qubes_manager.core.template_recipe import TemplateRecipe
from qubes_manager.core.volumes import OwnVolume, Role, volume_name
from qubes_manager.services.files.host_paths import console_log_path
from qubes_manager.services.files.scratch import scratch
from qubes_manager.services.hosts.hosts import Hosts
from qubes_manager.services.hosts.store import DomainStore
from qubes_manager.services.hosts.virt_types import VirtTypes
from qubes_manager.services.making.creation import boot_words
from qubes_manager.services.making.making import Made, make_domain, plan_upload
from qubes_manager.services.network.isolation import Isolation

TEMPLATE_LABEL = "black"


class TemplateBuild:
    """Builds templates on one connection.

    What the tools say goes to *log*, which the log viewer shows; what is built from source stays in the folder *kept*.
    """

    def __init__(
        self,
        hosts: Hosts,
        store: DomainStore,
        virt_types: VirtTypes,
        isolation: Isolation,
        log: Path,
        kept: Path,
    ) -> None:
        self._hosts = hosts
        self._store = store
        self._virt_types = virt_types
        self._isolation = isolation
        self._log = log
        self._kept = kept

    def notice(self, recipe: TemplateRecipe) -> str:
        """What a user is told before a build, since it takes longer than one expects; empty when there is nothing."""
        return build_notice(recipe, self._kept)

    async def build(
        self,
        uri: str,
        name: str,
        recipe: TemplateRecipe,
        *,
        cache: Path | None = None,
        memory: int = DEFAULT_MEMORY,
        vcpus: int = DEFAULT_VCPUS,
        progress: Progress = SILENT,
    ) -> DomainKey:
        """Build a system and make a template of it; on any error nothing is left behind.

        With *cache*, a folder, all that was built of the same recipe before is taken from there, and kept. *memory* is
        in MiB. Raises BadInput, NotFound without the tools, Refused, Cancelled, QubesManagerError.
        """
        check_name(name)
        recipe.check()
        self._store.refuse_taken(uri, name)
        await volume_store.ensure_pool(self._hosts.connection(uri))
        if cache is not None:
            built = await asyncio.to_thread(self._build_cached, recipe, cache, progress)
            return await self.make(uri, name, recipe, built, memory, vcpus, progress)
        async with scratch("built") as folder:
            built = await asyncio.to_thread(self._build, recipe, folder, progress)
            return await self.make(uri, name, recipe, built, memory, vcpus, progress)

    async def make(
        self,
        uri: str,
        name: str,
        recipe: TemplateRecipe,
        built: BuiltTemplate,
        memory: int,
        vcpus: int,
        progress: Progress = SILENT,
    ) -> DomainKey:
        """Make a template of the files that were built."""
        connection = self._hosts.connection(uri)
        own = str(uuid.uuid4())

        def record(role: Role, ending: str, revision: int = 0) -> OwnVolume:
            return OwnVolume(role, volume_store.POOL, volume_name(name, own, role, ending, revision), revision)

        plans = [
            plan_upload(connection, record(role, ending, revision), source, progress)
            for role, ending, revision, source in (
                (Role.KERNEL, "vmlinuz", 0, built.kernel),
                (Role.INITRD, "img", 0, built.initrd),
                (Role.ROOT, "qcow2", 1, built.root),
            )
        ]
        netvm = await self._isolation.chosen(uri, ISOLATED)
        emulator, rules = await self._isolation.emulator_for(uri, netvm)
        draft = NewDomain(
            name=name,
            uuid=own,
            config=_config(recipe),
            memory=memory,
            vcpus=vcpus,
            netvm=netvm,
            emulator=emulator,
            rules=rules,
            console_log=await asyncio.to_thread(console_log_path, uri, own),
            gui=recipe.windows,
            virt_type=await self._virt_types.best(uri),
        )

        async def finish(made: Made) -> NewDomain:
            virt_type = await self._virt_types.best(uri, made[Role.KERNEL].path)
            return replace(
                draft,
                virt_type=virt_type,
                disks=(DiskSpec(made[Role.ROOT].path, transient=True),),
                kernel=made[Role.KERNEL].path,
                initrd=made[Role.INITRD].path,
                cmdline=boot_words(virt_type, private=False),
            )

        return await make_domain(self._hosts, uri, draft, plans, finish)

    def _build(
        self, recipe: TemplateRecipe, target: Path, progress: Progress, kept: Path | None = None
    ) -> BuiltTemplate:
        self._log.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        with self._log.open("w", encoding="utf-8", buffering=1) as log:
            sink = functools.partial(print, file=log)
            return build_template(recipe, target, kept or self._kept, progress=progress, log_line=sink)

    def _build_cached(self, recipe: TemplateRecipe, cache: Path, progress: Progress) -> BuiltTemplate:
        folder = cache / f"debian-{recipe.suite}-{recipe_digest(recipe)}"
        names = {"root": "root.qcow2", "kernel": "vmlinuz", "initrd": "initrd.img"}
        if not folder.exists():
            cache.mkdir(parents=True, exist_ok=True)
            with tempfile.TemporaryDirectory(dir=cache) as work:
                made = Path(work) / "made"
                self._build(recipe, made, progress, cache)
                made.rename(folder)
        return BuiltTemplate(**{field: folder / name for field, name in names.items()})


def _config(recipe: TemplateRecipe) -> DomainConfig:
    features = {"os": "Linux", "os-distribution": "debian", "suite": recipe.suite}
    features |= {GUI_FEATURE: "1"} if recipe.windows else {}
    features[TOOLS_FEATURE] = tools_digest()
    return DomainConfig(
        label=LABELS[TEMPLATE_LABEL],
        klass=DomainClass.TEMPLATE,
        revision=1,
        features=tuple(sorted(features.items())),
    )
