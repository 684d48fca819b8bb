"""The two ends of a copy: what comes out of one, and what takes it in at the other."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path

from qubes_manager.backend.host.incoming_files import IncomingFiles
from qubes_manager.core.crossing.file_messages import INCOMING, Clash
from qubes_manager.core.crossing.file_requests import CopyFiles
from qubes_manager.core.domain import Domain, DomainKey
from qubes_manager.core.errors import Refused
from qubes_manager.core.names import HOST_NAME
from qubes_manager.services.broker.files.incoming import GuestIncoming, Incoming, ReceiverIncoming
from qubes_manager.services.broker.files.outgoing import AgentOutgoing, GuestOutgoing, HostOutgoing, Outgoing
from qubes_manager.services.broker.files.reach import Reach
from qubes_manager.services.broker.guests.host_calls import HostCalls
from qubes_manager.services.broker.known_domains import KnownDomains
from qubes_manager.services.crossing.subjects import policy_name
from qubes_manager.services.hosts.store import DomainStore


@dataclass(frozen=True, slots=True)
class End:
    """A domain, by the policy's name for it, or this machine, which has no key."""

    name: str
    key: DomainKey | None = None

    @property
    def name_and_uuid(self) -> tuple[str, str]:
        """As a transfer tells of it."""
        return self.name, self.key.uuid if self.key else ""


HOST_END = End(HOST_NAME)


class Ends:
    """Finds them. Files for this machine come to a folder in *home*."""

    def __init__(self, store: DomainStore, known: KnownDomains, reach: Reach, calls: HostCalls, home: Path) -> None:
        self._store = store
        self._known = known
        self._reach = reach
        self._calls = calls
        self._home = home

    @property
    def landing(self) -> Path:
        """The folder of this machine in which each domain's files have a folder."""
        return self._home / INCOMING

    async def find(self, uuid: str) -> End:
        """The domain of that UUID, or this machine for none; raises NotFound, Refused."""
        if not uuid:
            return HOST_END
        domain = await self._known.domain(uuid)
        if domain.is_host:
            return HOST_END
        # It becomes the name of a folder.
        if "/" in domain.name or domain.name in (".", ".."):
            raise Refused(f"“{domain.name}” is no name for a folder: rename the domain")
        return End(policy_name(domain), domain.key)

    async def outgoing(self, source: End, request: CopyFiles) -> Outgoing:
        """What is asked for, on its way out; raises GuestError, NotFound."""
        if not source.key:
            return HostOutgoing([Path(path) for path in request.paths], request.move, request.ignore_links)
        return await self.out_of(self._store.require(source.key), request.paths)

    async def out_of(self, domain: Domain, paths: Sequence[str]) -> Outgoing:
        """Files of a domain that runs; raises GuestError."""
        if await self._reach.has_tools(domain.key):
            return GuestOutgoing(self._calls, domain.key, paths)
        return AgentOutgoing(await self._reach.by_agent(domain), paths)

    async def incoming(
        self, target: End, source: End, clash: Clash = Clash.NUMBER, chosen: Collection[str] = ()
    ) -> Incoming:
        """Who takes what comes from *source*: beside each other what is *chosen* alone, if anything is.

        Raises GuestError, NotFound, QubesManagerError.
        """
        if not target.key:
            receiver = IncomingFiles(self.landing / source.name, f"domain:{source.name}")
            try:
                await receiver.begin()
            except BaseException:
                # Its thread would wait for ever.
                await receiver.drop()
                raise
            return ReceiverIncoming(receiver, str(receiver.folder), HOST_NAME, clash, chosen)
        domain = self._store.require(target.key)
        if await self._reach.has_tools(domain.key):
            return GuestIncoming(self._calls, domain.key, source.name, clash, chosen)
        files = await self._reach.by_agent(domain)
        folder = f"~/{INCOMING}/{source.name}"
        return ReceiverIncoming(await files.receive(source.name), folder, domain.name, clash, chosen)
