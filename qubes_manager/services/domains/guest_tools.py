"""The guest tools in templates and standalone domains: which version they have, and bringing the present one."""

import asyncio
import contextlib
import hashlib
import shlex
from collections.abc import Awaitable, Iterable
from importlib import resources

from qubes_manager.backend.guests.guest_agent import Bounds
from qubes_manager.backend.guests.guest_tools import LIST, tools_digest
from qubes_manager.backend.guests.tools_archive import tools_archive
from qubes_manager.core.domain import TOOLS_FEATURE, Domain, DomainKey
from qubes_manager.core.errors import GuestError, QubesManagerError, Refused
from qubes_manager.core.operations import OPERATIONS
from qubes_manager.core.progress import SILENT, Progress
from qubes_manager.core.text import one_line
from qubes_manager.services.domains.guest_commands import GuestCommands
from qubes_manager.services.domains.guest_packages import GuestPackages
from qubes_manager.services.domains.lifecycle import Lifecycle
from qubes_manager.services.domains.tool_versions import has_own_tools
from qubes_manager.services.hosts.domain_access import actions_on
from qubes_manager.services.hosts.hosts import Hosts
from qubes_manager.services.hosts.store import DomainStore

# What the installation may say and how long it may take; in software emulation it compiles for a while.
_BOUNDS = Bounds(16 << 10, 300.0)
# Seconds between two looks whether it is to stop.
_LOOK = 0.2


class GuestTools:
    """Installs and renews them through the guests' agents."""

    def __init__(
        self,
        hosts: Hosts,
        store: DomainStore,
        lifecycle: Lifecycle,
        commands: GuestCommands,
        packages: GuestPackages,
    ) -> None:
        self._hosts = hosts
        self._store = store
        self._lifecycle = lifecycle
        self._commands = commands
        self._packages = packages

    async def notice(self, domains: Iterable[Domain]) -> str:
        """What a user is told before an update of *domains*, since it may take long; empty when there is nothing."""
        return await asyncio.to_thread(self._packages.notice, tuple(domains))

    async def update(self, key: DomainKey, progress: Progress = SILENT) -> None:
        """Bring the present tools into a template or a standalone domain, and the packages that its windows need.

        One that is halted is started for it and shut down again, so that what a template got is its current revision
        then; when it fails, nothing has changed in it. In one that runs, or that somebody else starts meanwhile, they
        are in use at once; a template keeps them when it is shut down. Raises Refused, GuestError, Cancelled,
        ShutdownTimedOut, and as a build of xpra does.
        """
        domain = self._store.require(key)
        _refuse_others(domain)
        starting: asyncio.Future[bool] | None = None
        if domain.state.is_over:
            progress.step(f"Starting “{domain.name}”")
            starting = asyncio.ensure_future(self._lifecycle.start(key))
        try:
            if starting:
                # It comes to an end in any case, and says then whether it is to be undone.
                await _unless_cancelled(asyncio.shield(starting), progress)
            await _unless_cancelled(self._commands.ready(key, autostart=False), progress)
            progress.step("Installing the guest tools")
            await _unless_cancelled(self._install(domain), progress)
            await _unless_cancelled(self._packages.complete(domain, progress), progress)
        except BaseException:
            if starting:
                await asyncio.shield(self._give_up(key, starting))
            raise
        if starting and starting.result():
            progress.step(f"Shutting “{domain.name}” down")
            await self._lifecycle.shutdown(key)
        await self.record(key, tools_digest())

    async def record(self, key: DomainKey, digest: str) -> None:
        """Keep what tools a domain has; other domains have those of their templates."""
        domain = self._store.get(key)
        if domain and has_own_tools(domain) and domain.guest_tools != digest:
            await actions_on(self._hosts, domain).edit_metadata(lambda edit: edit.set_feature(TOOLS_FEATURE, digest))
            await self._hosts.refresh(key)

    async def _install(self, domain: Domain) -> None:
        archive = await asyncio.to_thread(tools_archive)
        values = {"version": tools_digest(), "sum": hashlib.sha256(archive).hexdigest(), "list": LIST}
        head = "".join(f"{name}={shlex.quote(value)}\n" for name, value in values.items())
        script = (resources.files("qubes_manager.guest") / "install_tools.sh").read_text("utf-8")
        said = bytearray()
        code = await self._commands.run(
            domain.key, head + script, user="root", data=archive, err=said.extend, autostart=False, bounds=_BOUNDS
        )
        if code:
            why = one_line(said.decode("utf-8", "replace"), 300) or f"exit code {code}"
            raise GuestError(f"the guest tools were not installed in “{domain.name}”: {why}")

    async def _give_up(self, key: DomainKey, starting: Awaitable[bool]) -> None:
        """End what was started for it; a template forgets that run."""
        with contextlib.suppress(QubesManagerError):
            if await starting:
                await self._lifecycle.kill(key)


def _refuse_others(domain: Domain) -> None:
    if not has_own_tools(domain):
        where = f"the guest tools of “{domain.name}” come from its template: update “{domain.config.template}”"
        raise Refused(where)
    if not OPERATIONS["update-tools"].applies(domain):
        state = domain.state.value.lower()
        raise Refused(f"“{domain.name}” is {state}: its guest tools are updated while it runs or is halted")


async def _unless_cancelled(work: Awaitable[object], progress: Progress) -> None:
    """Do *work*; raises Cancelled when it is to stop."""
    task = asyncio.ensure_future(work)
    try:
        while not (await asyncio.wait({task}, timeout=_LOOK))[0]:
            progress.raise_if_cancelled()
        task.result()
    finally:
        task.cancel()
        await asyncio.wait({task})
