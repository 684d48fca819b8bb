"""Services that domains ask of this machine itself (dom0)."""

import time

from qubes_manager.core.crossing.guest_messages import Call
from qubes_manager.core.crossing.services import GET_DATE, MAX_NOTICE, NOTIFICATIONS
from qubes_manager.core.domain import Domain
from qubes_manager.core.text import one_line, strip_escapes
from qubes_manager.services.broker.deciding.decisions import Denied
from qubes_manager.services.broker.desktop.notices import Notices, Topic
from qubes_manager.services.broker.guests.conversation import HostConversation, HostService, Result

_MAX_TITLE = 80


class HostServices:
    """Which there are; other parts of the broker may add theirs."""

    def __init__(self, notices: Notices) -> None:
        self._notices = notices
        self._services: dict[str, HostService] = {
            GET_DATE: self._get_date,
            NOTIFICATIONS: self._show_notice,
        }

    def serve(self, service: str, handler: HostService) -> None:
        """Let *handler* serve; it gets who asks, its call, and the conversation, which it may leave unfinished."""
        self._services[service] = handler

    def find(self, service: str) -> HostService:
        """Who serves; raises Denied."""
        if handler := self._services.get(service):
            return handler
        raise Denied(f"dom0 has no service {service}")

    async def _get_date(self, _source: Domain, _call: Call, conversation: HostConversation) -> Result:
        # As “date -u -Iseconds” says it, which is what guests read.
        now = time.strftime("%Y-%m-%dT%H:%M:%S+00:00\n", time.gmtime())
        await conversation.write(now.encode("ascii"))
        return Result(0)

    async def _show_notice(self, source: Domain, _call: Call, conversation: HostConversation) -> Result:
        said = bytearray()
        while piece := await conversation.read(MAX_NOTICE):
            said += piece
            if len(said) > MAX_NOTICE:
                return Result(1, f"a notice has at most {MAX_NOTICE} bytes")
        title, _, text = strip_escapes(said.decode("utf-8", "replace")).partition("\n")
        # In words that no notice of ours begins with.
        title = f"Message from {source.name}: {one_line(title, _MAX_TITLE)}"
        was_shown = await self._notices.show(title, text.strip(), source.key, Topic.MESSAGE)
        return Result(0) if was_shown else Result(1, "it was not shown: there is no screen, or there were too many")
