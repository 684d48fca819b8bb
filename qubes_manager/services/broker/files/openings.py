"""Opening files in new disposables, as the user at this machine wants it."""

from contextlib import AsyncExitStack
from pathlib import Path

from qubes_manager.backend.user.own_thread import in_own_thread
from qubes_manager.core.crossing.file_messages import VIEW_ONLY
from qubes_manager.core.crossing.file_requests import CopyBegun, CopyReport, OpenFiles
from qubes_manager.core.crossing.guest_messages import Call
from qubes_manager.core.crossing.services import OPEN_IN_VM
from qubes_manager.core.domain import Domain, DomainKey, DomainState
from qubes_manager.core.errors import Refused
from qubes_manager.core.policy.tokens import Kind
from qubes_manager.services.broker.files.ends import Ends
from qubes_manager.services.broker.files.file_policy import FilePolicy
from qubes_manager.services.broker.files.host_opening import HostOpening
from qubes_manager.services.broker.files.new_disposables import NewDisposables
from qubes_manager.services.broker.files.outgoing import Outgoing
from qubes_manager.services.broker.files.running_copies import RunningCopies
from qubes_manager.services.broker.guests.host_calls import HostCalls
from qubes_manager.services.broker.requests import Requests
from qubes_manager.services.broker.transfers import Transfer
from qubes_manager.services.crossing.subjects import policy_name
from qubes_manager.services.hosts.store import DomainStore
from qubes_manager.services.programs.client import Client


class Openings:
    """Opens them; the disposable is gone when they have been closed."""

    def __init__(
        self,
        store: DomainStore,
        disposables: NewDisposables,
        calls: HostCalls,
        ends: Ends,
        policy: FilePolicy,
        running: RunningCopies,
    ) -> None:
        self._store = store
        self._disposables = disposables
        self._calls = calls
        self._ends = ends
        self._policy = policy
        self._running = running

    def serve(self, requests: Requests) -> None:
        """Let clients open files."""
        requests.serve(OpenFiles, self._on_open)

    async def _on_open(self, _client: Client, request: OpenFiles) -> CopyBegun:
        template = await self._disposables.template(request.template)
        landing = self._ends.landing
        await in_own_thread(landing.mkdir, mode=0o700, exist_ok=True)
        source, outgoing = await self._ends.find(request.source), None
        if source.key:
            outgoing = await self._out_of(source.key, template, request)
        paths = [Path(path) for path in request.paths]
        opening = HostOpening(self._calls, paths, landing, view_only=request.view_only, outgoing=outgoing)
        return self._running.begin(
            source.name_and_uuid,
            (template.name, template.key.uuid),
            request.paths,
            lambda transfer: self._open(opening, template.key, transfer),
        )

    async def _out_of(self, source: DomainKey, template: Domain, request: OpenFiles) -> Outgoing:
        """A domain's files, for a disposable of *template*; raises Refused where the policy does not let them go."""
        domain = self._store.require(source)
        if domain.state is not DomainState.RUNNING:
            raise Refused(f"“{domain.name}” does not run: start it to open its files")
        if not request.view_only:
            raise Refused(f"what is changed goes back by “Edit in disposable” in “{domain.name}” alone: view them here")
        target = f"{Kind.NEW_OF.value}{policy_name(template)}"
        allowed = await self._policy.require(domain, Call(0, OPEN_IN_VM, VIEW_ONLY, target))
        if allowed.key != template.key:
            raise Refused(f"“{template.name}” is another domain by now: look again")
        return await self._ends.out_of(domain, request.paths)

    async def _open(self, opening: HostOpening, template: DomainKey, transfer: Transfer) -> CopyReport:
        async with AsyncExitStack() as stack:
            stack.push_async_callback(opening.close)
            await opening.begin()
            async with self._disposables.new(template, transfer) as domain:
                return await opening.run(domain.key, transfer)
