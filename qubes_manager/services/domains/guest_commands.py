"""Running commands in domains."""

import asyncio
from collections.abc import Awaitable, Callable

from qubes_manager.backend.guests.guest_agent import Bounds, GuestAgent
from qubes_manager.core.domain import Domain, DomainKey, DomainState
from qubes_manager.core.errors import QubesManagerError, Refused
from qubes_manager.services.domains.lifecycle import Lifecycle
from qubes_manager.services.files.gui_options_file import GuiOptionsFile
from qubes_manager.services.hosts.hosts import Hosts
from qubes_manager.services.hosts.store import DomainStore

# Seconds for an agent that may not be there.
_SHORT = 3.0


class GuestCommands:
    """Runs commands through the guests' agents."""

    def __init__(self, hosts: Hosts, store: DomainStore, lifecycle: Lifecycle, gui_options: GuiOptionsFile) -> None:
        self._hosts = hosts
        self._store = store
        self._lifecycle = lifecycle
        self._gui_options = gui_options

    async def run(
        self,
        key: DomainKey,
        command: str,
        *,
        user: str = "",
        data: bytes = b"",
        out: Callable[[bytes], None] | None = None,
        err: Callable[[bytes], None] | None = None,
        autostart: bool = True,
        startup_timeout: float | None = None,
        bounds: Bounds | None = None,
        started: Callable[[int], Awaitable[object]] | None = None,
    ) -> int:
        """Run a shell command and return its exit code; a halted domain is started first when *autostart*.

        *bounds* are for what a program runs; what a user runs has an end when this is cancelled. *started* is told the
        number that the command has for the agent.
        Raises Refused, GuestError, NotFound.
        """
        agent = await self.ready(key, autostart=autostart, startup_timeout=startup_timeout)
        return await agent.run(command, user=user, data=data, out=out, err=err, bounds=bounds, started=started)

    async def runs(self, key: DomainKey, number: int) -> bool:
        """Whether what an agent started under that *number* runs still; raises GuestError, TimedOut, NotFound."""
        return await GuestAgent(self._hosts.connection(key.connection), self._store.require(key)).runs(number)

    async def answers(self, key: DomainKey) -> bool:
        """Whether the agent of a running domain answers now, within some seconds."""
        agent = GuestAgent(self._hosts.connection(key.connection), self._store.require(key))
        try:
            await agent.wait(_SHORT)
        except QubesManagerError:
            return False
        return True

    async def ready(
        self, key: DomainKey, *, autostart: bool = True, startup_timeout: float | None = None
    ) -> GuestAgent:
        """Return the agent of a domain when it answers; a halted domain is started first when *autostart*.

        *startup_timeout* is in seconds; without it the user's option of that name counts. Raises Refused,
        GuestError, NotFound.
        """
        domain = self._store.require(key)
        if domain.is_host:
            raise Refused("dom0 is this machine: run the command in a terminal")
        standing = domain.state in (DomainState.PAUSED, DomainState.SUSPENDED)
        if standing or not domain.state.is_active:
            if not autostart:
                raise Refused(f"“{domain.name}” is {'paused' if standing else 'not running'}")
            await self._lifecycle.start(key)
        agent = GuestAgent(self._hosts.connection(key.connection), domain)
        await agent.wait(await self.patience(domain) if startup_timeout is None else startup_timeout)
        return agent

    async def patience(self, domain: Domain) -> float:
        """Seconds that the user's options give a domain to answer after its start."""
        options, _trouble = await asyncio.to_thread(self._gui_options.load)
        return float(options.value("startup_timeout", options.source(domain)))
