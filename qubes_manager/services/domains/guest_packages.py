"""Packages that application windows need, in templates from before they were needed."""

import asyncio
import shlex
from collections.abc import Iterable
from importlib import resources
from pathlib import Path

from qubes_manager.backend.guests.guest_agent import Bounds
from qubes_manager.backend.guests.xpra_package import build_notice, xpra_package
from qubes_manager.core.domain import GUI_FEATURE, Domain
from qubes_manager.core.errors import GuestError
from qubes_manager.core.progress import Progress
from qubes_manager.core.template_recipe import SUITES, WINDOW_PACKAGES, TemplateRecipe
from qubes_manager.core.text import one_line
from qubes_manager.services.domains.guest_commands import GuestCommands

# What the installation may say and how long it may take, downloads and all.
_BOUNDS = Bounds(16 << 10, 1200.0)


class GuestPackages:
    """Brings them into templates that this program built; what is built from source is kept in the folder *kept*."""

    def __init__(self, commands: GuestCommands, kept: Path) -> None:
        self._commands = commands
        self._kept = kept

    def notice(self, domains: Iterable[Domain]) -> str:
        """What a user is told before, since it takes longer than one expects; empty when there is nothing. Blocks."""
        recipes = dict.fromkeys(recipe for domain in domains if (recipe := _recipe(domain)))
        notices = [notice for recipe in recipes if (notice := build_notice(recipe, self._kept))]
        return " ".join((*notices, "Where that version is there already nothing is built.")) if notices else ""

    async def complete(self, domain: Domain, progress: Progress) -> None:
        """Install in a running guest what its windows need and it lacks; raises GuestError, and as a build does."""
        recipe = _recipe(domain)
        if recipe is None:
            return
        progress.step("Looking for packages that are missing")
        version = await self._install(domain, recipe)
        build = recipe.source_build
        if build and version != build.version:
            package = await asyncio.to_thread(xpra_package, recipe, self._kept, progress=progress)
            progress.step(f"Installing {build.title}")
            await self._install(domain, recipe, await asyncio.to_thread(package.read_bytes))

    async def _install(self, domain: Domain, recipe: TemplateRecipe, package: bytes = b"") -> str:
        """Install what is missing, and *package*; returns the version of xpra that is there then."""
        script = (resources.files("qubes_manager.guest") / "install_packages.sh").read_text("utf-8")
        head = f"packages={shlex.quote(' '.join(WINDOW_PACKAGES[recipe.suite]))}\n"
        said, version = bytearray(), bytearray()
        code = await self._commands.run(
            domain.key,
            head + script,
            user="root",
            data=package,
            out=version.extend,
            err=said.extend,
            autostart=False,
            bounds=_BOUNDS,
        )
        if code:
            why = one_line(said.decode("utf-8", "replace"), 300) or f"exit code {code}"
            raise GuestError(f"packages that windows need were not installed in “{domain.name}”: {why}")
        return version.decode("utf-8", "replace").strip()


def _recipe(domain: Domain) -> TemplateRecipe | None:
    """What it was built of, as far as windows go; None for what was not built by this program, or without windows."""
    features = dict(domain.config.features)
    suite = features.get("suite", "")
    is_ours = features.get("os-distribution") == "debian" and suite in SUITES
    # Domains that are made from it show windows if it has the feature, whether it has a port itself or not.
    has_windows = domain.config.gui_port or features.get(GUI_FEATURE)
    return TemplateRecipe(suite) if is_ours and has_windows else None
