"""What the policy lets the user do with files: where it asks, he has answered by what he does."""

from dataclasses import replace

from qubes_manager.core.crossing.file_messages import ALL_NAMES
from qubes_manager.core.crossing.guest_messages import Call
from qubes_manager.core.crossing.services import FILECOPY
from qubes_manager.core.domain import HOST_UUID, Domain, DomainKey
from qubes_manager.core.errors import Refused
from qubes_manager.services.broker.deciding.decisions import Allowed, Chosen, Decisions, Denied
from qubes_manager.services.broker.files.ends import End


class FilePolicy:
    """Decides it, and has it recorded."""

    def __init__(self, decisions: Decisions) -> None:
        self._decisions = decisions

    async def require_copy(self, source: Domain, target: End) -> bool:
        """Whether names of any kind may cross too; raises Refused when nothing of the kind may."""
        call = Call(0, FILECOPY, target=target.name)
        await self.require(source, call, target.key or DomainKey(source.key.connection, HOST_UUID))
        return await self._decisions.permits(source, replace(call, argument=ALL_NAMES))

    async def require(self, source: Domain, call: Call, only: DomainKey | None = None) -> Allowed:
        """What the policy lets *call* go to, which is *only* where that is given; raises Refused."""
        try:
            return await self._decisions.decide(source, call, Chosen(call.target), only)
        except Denied as error:
            reason = error.details or error
            raise Refused(f"the policy lets no files go from “{source.name}” to “{call.target}”: {reason}") from None
