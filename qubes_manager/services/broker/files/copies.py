"""Copies of files that the user at this machine wants: from it, to it, and between domains."""

import posixpath
from collections.abc import Collection
from contextlib import AsyncExitStack

from qubes_manager.core.crossing.broker_messages import TransferPhase
from qubes_manager.core.crossing.file_messages import Clash
from qubes_manager.core.crossing.file_requests import CopyBegun, CopyFiles, CopyReport
from qubes_manager.core.domain import DomainState
from qubes_manager.core.errors import Refused
from qubes_manager.services.broker.files.carrying import carry, report_of
from qubes_manager.services.broker.files.ends import End, Ends
from qubes_manager.services.broker.files.file_policy import FilePolicy
from qubes_manager.services.broker.files.running_copies import RunningCopies
from qubes_manager.services.broker.requests import Requests
from qubes_manager.services.broker.transfers import Transfer
from qubes_manager.services.domains.lifecycle import Lifecycle
from qubes_manager.services.hosts.hosts import Hosts
from qubes_manager.services.hosts.store import DomainStore
from qubes_manager.services.programs.client import Client


class Copies:
    """Makes them; domains that they need are started."""

    def __init__(
        self,
        hosts: Hosts,
        store: DomainStore,
        lifecycle: Lifecycle,
        ends: Ends,
        policy: FilePolicy,
        running: RunningCopies,
    ) -> None:
        self._hosts = hosts
        self._store = store
        self._lifecycle = lifecycle
        self._ends = ends
        self._policy = policy
        self._running = running

    def serve(self, requests: Requests) -> None:
        """Let clients begin them."""
        requests.serve(CopyFiles, self._on_copy)

    async def _on_copy(self, _client: Client, request: CopyFiles) -> CopyBegun:
        source, target = await self._ends.find(request.source), await self._ends.find(request.target)
        if source == target:
            raise Refused(f"the files are in “{source.name}” already")
        if request.move and source.key:
            raise Refused("files of a domain are copied from here; to move them use qvm-move there")
        all_names = True
        if source.key:
            all_names = await self._policy.require_copy(self._store.require(source.key), target)
        return self._running.begin(
            source.name_and_uuid,
            target.name_and_uuid,
            request.paths,
            lambda transfer: self._copy(source, target, request, all_names, transfer),
        )

    async def _copy(
        self, source: End, target: End, request: CopyFiles, all_names: bool, transfer: Transfer
    ) -> CopyReport:
        async with AsyncExitStack() as stack:
            # Nothing is started for files that this machine does not have.
            if source.key:
                await self._run(transfer, source, target)
            outgoing = await self._ends.outgoing(source, request)
            stack.push_async_callback(outgoing.close)
            await outgoing.begin()
            await self._run(transfer, target)
            incoming = await self._ends.incoming(target, source, request.clash, _chosen(source, request))
            stack.push_async_callback(incoming.close)
            transfer.moved(0, outgoing.offer.size)
            taken = await carry(outgoing, incoming, transfer, all_names=all_names)
            if taken.is_proved and not taken.skipped:
                await outgoing.stored()
            return report_of(outgoing, incoming, taken, moves=request.move)

    async def _run(self, transfer: Transfer, *ends: End) -> None:
        """Have domains run; the bar says so meanwhile."""
        for key in filter(None, (end.key for end in ends)):
            domain = self._store.require(key)
            if domain.state is not DomainState.RUNNING:
                transfer.step(TransferPhase.STARTING, f"“{domain.name}” is being started")
                await self._lifecycle.start(key)
                await self._hosts.refresh(key)
                transfer.step(TransferPhase.STARTING, f"waiting for “{domain.name}”")


def _chosen(source: End, request: CopyFiles) -> Collection[str]:
    """The names of what was chosen, where a domain's files may take the place of others; it might send any besides."""
    takes_places = source.key and request.clash is Clash.REPLACE
    return frozenset(posixpath.basename(posixpath.normpath(path)) for path in request.paths) if takes_places else ()
