"""Clean copies of files of this machine, as its user wants them."""

from collections.abc import Sequence
from functools import partial
from pathlib import Path

from qubes_manager.core.crossing.file_requests import ConvertFiles, CopyBegun, CopyReport
from qubes_manager.core.crossing.remarks import Remarks
from qubes_manager.core.domain import DomainKey
from qubes_manager.core.errors import QubesManagerError
from qubes_manager.guest.archive.names import shown_name
from qubes_manager.services.broker.files.ends import HOST_END
from qubes_manager.services.broker.files.host_converting import HostConverting, sentence
from qubes_manager.services.broker.files.new_disposables import NewDisposables
from qubes_manager.services.broker.files.running_copies import RunningCopies
from qubes_manager.services.broker.guests.host_calls import HostCalls
from qubes_manager.services.broker.requests import Requests
from qubes_manager.services.broker.transfers import Transfer
from qubes_manager.services.programs.client import Client


class Conversions:
    """Makes them, each in a disposable of its own."""

    def __init__(self, disposables: NewDisposables, calls: HostCalls, running: RunningCopies) -> None:
        self._disposables = disposables
        self._calls = calls
        self._running = running

    def serve(self, requests: Requests) -> None:
        """Let clients have files made clean."""
        requests.serve(ConvertFiles, self._on_convert)

    async def _on_convert(self, _client: Client, request: ConvertFiles) -> CopyBegun:
        template = await self._disposables.template(request.template)
        paths = [Path(path) for path in request.paths]
        return self._running.begin(
            HOST_END.name_and_uuid,
            (template.name, template.key.uuid),
            request.paths,
            lambda transfer: self._convert(paths, template.key, transfer),
        )

    async def _convert(self, paths: Sequence[Path], template: DomainKey, transfer: Transfer) -> CopyReport:
        """Make a clean copy of each; one that cannot be made keeps no other from it."""
        converting = HostConverting(self._calls, partial(self._disposables.new, template))
        remarks, made, size = Remarks(), 0, 0
        for path in paths:
            try:
                clean, count = await converting.convert(path, transfer)
            except QubesManagerError as error:
                trouble = f"“{shown_name(path.name)}”: {error}"
                if len(paths) == 1:
                    raise QubesManagerError(trouble, error.details) from error
                remarks.add(trouble)
            else:
                made, size = made + 1, size + count
                remarks.add(sentence(path, clean))
        return CopyReport.telling("", made, size, made < len(paths), remarks)
