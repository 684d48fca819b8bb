"""What folders of domains hold, for the user at this machine."""

from qubes_manager.core.crossing.file_requests import FileList, ListFiles, file_list
from qubes_manager.core.crossing.listing import LIST_SERVICE, MAX_ANSWER, read_listing
from qubes_manager.core.domain import DomainState
from qubes_manager.core.errors import Refused
from qubes_manager.services.broker.files.reach import LOOK, Reach
from qubes_manager.services.broker.guests.host_calls import HostCalls
from qubes_manager.services.broker.known_domains import KnownDomains
from qubes_manager.services.broker.requests import Requests
from qubes_manager.services.programs.client import Client


class Listing:
    """Lists them, by the domain's tools or its agent."""

    def __init__(self, known: KnownDomains, reach: Reach, calls: HostCalls) -> None:
        self._known = known
        self._reach = reach
        self._calls = calls

    def serve(self, requests: Requests) -> None:
        """Let clients look."""
        requests.serve(ListFiles, self._on_list)

    async def _on_list(self, _client: Client, request: ListFiles) -> FileList:
        domain = await self._known.domain(request.uuid)
        if domain.state is not DomainState.RUNNING:
            raise Refused(f"“{domain.name}” does not run: start it to see its files")
        if await self._reach.has_tools(domain.key, LOOK):
            path = request.path.encode("utf-8", "surrogateescape")
            answer = await self._calls.ask(domain.key, LIST_SERVICE, data=path, limit=MAX_ANSWER)
            return file_list(read_listing(answer))
        return file_list(await (await self._reach.by_agent(domain)).listing(request.path))
