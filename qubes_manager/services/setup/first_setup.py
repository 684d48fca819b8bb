"""From an empty machine to a template and the first domains. Every step can be repeated: what is there stays."""

import asyncio
from dataclasses import dataclass, field
from pathlib import Path

from qubes_manager.core.creation_request import DEFAULT_MEMORY, CreationRequest
from qubes_manager.core.domain import DomainClass, DomainKey
from qubes_manager.core.progress import SILENT, Progress
from qubes_manager.core.template_recipe import SUGGESTED_PACKAGES, TemplateRecipe
from qubes_manager.services.files.global_defaults import GlobalDefaults
from qubes_manager.services.hosts.store import DomainStore
from qubes_manager.services.making.creation import Creation
from qubes_manager.services.making.template_build import TEMPLATE_LABEL, TemplateBuild

# The first domains and their colours, as users of Qubes OS know them.
FIRST_DOMAINS = {"work": "blue", "personal": "yellow", "untrusted": "red"}
TEMPLATE_NAMES = {"bookworm": "debian-12", "trixie": "debian-13"}


@dataclass(frozen=True, slots=True)
class SetupPlan:
    """What the set-up makes: a template of *recipe*, or of *image*, or domains from the template that is there."""

    recipe: TemplateRecipe | None = field(default_factory=lambda: TemplateRecipe(packages=SUGGESTED_PACKAGES))
    template: str = ""
    image: Path | None = None
    checksum: str = ""
    domains: tuple[tuple[str, str], ...] = tuple(FIRST_DOMAINS.items())
    memory: int = DEFAULT_MEMORY


@dataclass(frozen=True, slots=True)
class SetupResult:
    """The template that domains use, and the domains that were made."""

    template: str
    made: tuple[DomainKey, ...]


class FirstSetup:
    """Makes a template and domains from it."""

    def __init__(self, store: DomainStore, build: TemplateBuild, creation: Creation, defaults: GlobalDefaults) -> None:
        self._store = store
        self._build = build
        self._creation = creation
        self._defaults = defaults

    def templates(self, uri: str) -> list[str]:
        """The templates that are there, by name."""
        return sorted(d.name for d in self._store.of_host(uri) if d.klass is DomainClass.TEMPLATE)

    async def run(self, uri: str, plan: SetupPlan, *, progress: Progress = SILENT) -> SetupResult:
        """Build the template where it is not there, make it the default, and make the domains that are missing."""
        template = plan.template or (TEMPLATE_NAMES[plan.recipe.suite] if plan.recipe else "")
        if plan.recipe and template not in self.templates(uri):
            await self._build.build(uri, template, plan.recipe, memory=plan.memory, progress=progress)
        elif plan.image:
            load = CreationRequest(
                template, TEMPLATE_LABEL, DomainClass.TEMPLATE, image=plan.image, checksum=plan.checksum
            )
            await self._creation.create(uri, load, progress=progress)
        await asyncio.to_thread(self._defaults.set, "default_template", template)
        taken = {domain.name for domain in self._store.of_host(uri)}
        made = []
        for name, label in plan.domains:
            if name not in taken:
                progress.step(f"Making {name}")
                request = CreationRequest(name, label, DomainClass.APP, template=template, memory=plan.memory)
                made.append(await self._creation.create(uri, request, progress=progress))
        return SetupResult(template, tuple(made))
