"""From an empty machine to a template and the first domains. Every step can be repeated: what is there stays."""

import asyncio
from dataclasses import dataclass, field
from pathlib import Path

from qubes_manager.core.creation_request import DEFAULT_MEMORY, CreationRequest
from qubes_manager.core.domain import DomainClass, DomainKey
from qubes_manager.core.progress import SILENT, Progress
from qubes_manager.core.template_recipe import SUGGESTED_PACKAGES, SUITES, TemplateRecipe
from qubes_manager.services.files.global_defaults import GlobalDefaults
from qubes_manager.services.hosts.store import DomainStore
from qubes_manager.services.making.creation import Creation
from qubes_manager.services.making.template_build import TEMPLATE_LABEL, TemplateBuild

# The first domains and their colours, as users of Qubes OS know them.
FIRST_DOMAINS = {"work": "blue", "personal": "yellow", "untrusted": "red"}
# What disposables are made of; whatever is opened in one is trusted least.
DISPOSABLE_TEMPLATE, DISPOSABLE_LABEL = "default-dvm", "red"
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
    # Whether there is to be something that disposables are made of.
    disposables: bool = True

    @property
    def template_name(self) -> str:
        """The template that domains are to use."""
        return self.template or (TEMPLATE_NAMES[self.recipe.suite] if self.recipe else "")


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

    def usual_suite(self, uri: str) -> str:
        """The release that is set up where nothing else is said: one that is there, so that nothing is built."""
        there = self.templates(uri)
        return next((suite for suite in SUITES if TEMPLATE_NAMES[suite] in there), SUITES[0])

    def notice(self, uri: str, plan: SetupPlan) -> str:
        """What a user is told before, since it takes longer than one expects; empty when there is nothing."""
        recipe = self._to_build(uri, plan)
        return self._build.notice(recipe) if recipe else ""

    def _to_build(self, uri: str, plan: SetupPlan) -> TemplateRecipe | None:
        return None if plan.template_name in self.templates(uri) else plan.recipe

    async def run(self, uri: str, plan: SetupPlan, *, progress: Progress = SILENT) -> SetupResult:
        """Build the template where it is not there, make it the default, and make the domains that are missing."""
        template = plan.template_name
        if recipe := self._to_build(uri, plan):
            await self._build.build(uri, template, recipe, memory=plan.memory, progress=progress)
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
        if plan.disposables:
            await self._make_disposable_template(uri, template, plan, progress)
        return SetupResult(template, tuple(made))

    async def _make_disposable_template(self, uri: str, template: str, plan: SetupPlan, progress: Progress) -> None:
        """Make what disposables are made of, and let it be what counts where nothing else is said."""
        if self._store.named(uri, DISPOSABLE_TEMPLATE) is None:
            progress.step(f"Making {DISPOSABLE_TEMPLATE}")
            request = CreationRequest(
                DISPOSABLE_TEMPLATE,
                DISPOSABLE_LABEL,
                DomainClass.APP,
                template=template,
                memory=plan.memory,
                template_for_dispvms=True,
            )
            await self._creation.create(uri, request, progress=progress)
        if not await asyncio.to_thread(self._defaults.get, "default_dispvm"):
            await asyncio.to_thread(self._defaults.set, "default_dispvm", DISPOSABLE_TEMPLATE)
