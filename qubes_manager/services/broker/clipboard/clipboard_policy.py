"""Whether the policy lets the inter-domain clipboard go from one domain to another."""

from qubes_manager.core.crossing.guest_messages import Call
from qubes_manager.core.crossing.services import CLIPBOARD_PASTE
from qubes_manager.core.domain import Domain
from qubes_manager.core.errors import Refused
from qubes_manager.services.broker.deciding.decisions import Chosen, Decisions, Denied
from qubes_manager.services.crossing.subjects import policy_name


class ClipboardPolicy:
    """Decides pastes. Only before something goes to the host is the user asked once more."""

    def __init__(self, decisions: Decisions) -> None:
        self._decisions = decisions

    async def require(self, source: Domain, target: Domain) -> None:
        """Raise Refused unless what is on the clipboard of *source* may go to *target*. It is recorded."""
        name = policy_name(target)
        call = Call(0, CLIPBOARD_PASTE, target=name)
        try:
            await self._decisions.decide(source, call, None if target.is_host else Chosen(name), target.key)
        except Denied as error:
            reason = error.details or error
            raise Refused(
                f"nothing on the clipboard of “{source.name}” goes to “{target.name}”: {reason}; it is still there"
            ) from None
