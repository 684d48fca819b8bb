"""Running commands in domains."""

import asyncio
from collections.abc import Callable

from qubes_manager.backend.guests.guest_agent import GuestAgent
from qubes_manager.core.domain import DomainKey, DomainState
from qubes_manager.core.errors import Refused
from qubes_manager.services.domains.lifecycle import Lifecycle
from qubes_manager.services.files.gui_options_file import GuiOptionsFile
from qubes_manager.services.hosts.hosts import Hosts
from qubes_manager.services.hosts.store import DomainStore


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
    ) -> int:
        """Run a shell command and return its exit code; a halted domain is started first when *autostart*.

        Raises Refused, GuestError, NotFound.
        """
        agent = await self.ready(key, autostart=autostart, startup_timeout=startup_timeout)
        return await agent.run(command, user=user, data=data, out=out, err=err)

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
        if startup_timeout is None:
            options, _trouble = await asyncio.to_thread(self._gui_options.load)
            startup_timeout = float(options.value("startup_timeout", domain.name))
        await agent.wait(startup_timeout)
        return agent
