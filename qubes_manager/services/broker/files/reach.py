"""By which way a domain's files are reached: our tools in it, or its guest agent."""

import asyncio

from qubes_manager.backend.guests.agent_files import AgentFiles
from qubes_manager.core.domain import Domain, DomainKey
from qubes_manager.core.errors import GuestError
from qubes_manager.services.broker.guests.host_calls import START_PATIENCE
from qubes_manager.services.broker.guests.sessions import Sessions
from qubes_manager.services.broker.known_domains import KnownDomains
from qubes_manager.services.domains.guest_commands import GuestCommands

# Seconds for our tools to come when the agent has answered: while a domain starts, and where it has been running.
START_LOOK, LOOK = 8.0, 2.0
# Seconds between two looks.
_PAUSE = 0.1


class Reach:
    """Finds it out for domains that run."""

    def __init__(self, known: KnownDomains, sessions: Sessions, commands: GuestCommands) -> None:
        self._known = known
        self._sessions = sessions
        self._commands = commands

    async def has_tools(self, key: DomainKey, patience: float | None = None) -> bool:
        """Whether a domain answers by our tools; else it is to be asked through its agent, if that answers.

        The tools are waited for *patience* seconds when the agent has answered. Raises GuestError when neither has
        answered for as long as a start may take, or it has stopped, NotFound.
        """
        domain, agent_since = await self._known.domain(key.uuid), 0.0
        if not domain.config.crossing_ports:
            return False
        loop = asyncio.get_running_loop()
        end, patience = loop.time() + START_PATIENCE, START_LOOK if patience is None else patience
        while loop.time() < end:
            domain = await self._known.domain(key.uuid)
            if not domain.state.is_active:
                raise GuestError(f"“{domain.name}” has stopped")
            session = self._sessions.find(key)
            if session and (session.is_ready or session.is_open):
                return True
            if agent_since and loop.time() > agent_since + patience:
                return False
            if not agent_since and await self._commands.answers(key):
                agent_since = loop.time()
            await asyncio.sleep(_PAUSE)
        raise GuestError(f"neither our tools nor a guest agent answer in “{domain.name}”")

    async def by_agent(self, domain: Domain) -> AgentFiles:
        """The files of a domain, by its agent; raises GuestError."""
        return AgentFiles(await self._commands.ready(domain.key, autostart=False), domain.name)
