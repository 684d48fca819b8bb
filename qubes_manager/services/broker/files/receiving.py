"""Files that a domain sends by a call of its own: to this machine, or to a domain that has nothing but an agent."""

from collections.abc import Callable
from contextlib import AsyncExitStack, suppress

from qubes_manager.core.crossing.broker_messages import News
from qubes_manager.core.crossing.file_messages import MAX_REASON, Failure, Stored
from qubes_manager.core.crossing.file_requests import CopyReport, FilesArrived
from qubes_manager.core.crossing.guest_messages import Call
from qubes_manager.core.crossing.services import FILECOPY
from qubes_manager.core.domain import Domain, DomainKey
from qubes_manager.core.errors import QubesManagerError, Refused
from qubes_manager.core.sizes import format_size
from qubes_manager.core.text import one_line
from qubes_manager.guest.archive.names import shown_name
from qubes_manager.services.broker.desktop.notices import Notices, Topic
from qubes_manager.services.broker.files.carrying import carry, report_of
from qubes_manager.services.broker.files.ends import HOST_END, End, Ends
from qubes_manager.services.broker.files.file_lines import Lines
from qubes_manager.services.broker.files.outgoing import CallOutgoing
from qubes_manager.services.broker.files.reach import Reach
from qubes_manager.services.broker.guests.conversation import HostConversation, HostService, Result

# Files of which a notice says all.
_SHOWN = 3


class Receiving:
    """Takes them; whether they may come, and whether the user wants it, is decided by then. *tell* hears of them."""

    def __init__(self, ends: Ends, reach: Reach, notices: Notices, tell: Callable[[News], None]) -> None:
        self._ends = ends
        self._reach = reach
        self._notices = notices
        self._tell = tell

    async def serve_host(self, source: Domain, call: Call, conversation: HostConversation) -> Result:
        """Take what comes to this machine (``HostService``)."""
        return await self._take(HOST_END, source, call, conversation)

    async def stand_in(self, key: DomainKey, service: str) -> HostService | None:
        """What serves *service* for a domain that has nothing but an agent; None where the domain is to be asked."""
        if service != FILECOPY or await self._reach.has_tools(key):
            return None
        target = await self._ends.find(key.uuid)

        async def serve(source: Domain, call: Call, conversation: HostConversation) -> Result:
            return await self._take(target, source, call, conversation)

        return serve

    async def _take(self, target: End, source: Domain, call: Call, conversation: HostConversation) -> Result:
        lines = Lines(conversation)
        outgoing = CallOutgoing(lines, call)
        try:
            async with AsyncExitStack() as stack:
                await outgoing.begin()
                incoming = await self._ends.incoming(target, await self._ends.find(source.key.uuid))
                stack.push_async_callback(incoming.close)
                taken = await carry(outgoing, incoming, all_names=True)
                if not taken.is_proved:
                    # Who moves would delete its own.
                    raise Refused(f"“{target.name}” has the files, but no way to tell whether they are whole")
                if not target.key:
                    await self._announce(source, report_of(outgoing, incoming, taken, moves=False))
                await lines.say(Stored(taken.sha256, taken.renamed))
        except QubesManagerError as error:
            reason = one_line(str(error), MAX_REASON)
            with suppress(QubesManagerError):
                await lines.say(Failure(reason))
            return Result(1, reason)
        return Result(0)

    async def _announce(self, source: Domain, report: CopyReport) -> None:
        """Tell the user what has come to this machine: it was a domain's doing, if with his leave."""
        self._tell(FilesArrived.of_report(source.name, report))
        shown = [f"{shown_name(f.name)}, {format_size(f.size)}\nSHA-256 {f.sha256}" for f in report.files[:_SHOWN]]
        more = f"\nand {len(report.files) - _SHOWN} more" if len(report.files) > _SHOWN else ""
        title = f"{source.name}: files for this machine, in {report.folder}"
        await self._notices.show(title, "\n".join(shown) + more, source.key, Topic.FILES)
