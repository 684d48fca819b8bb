"""What becomes of the inter-domain clipboard's keys: the broker acts, and the user is told where he pressed them."""

from qubes_manager.core.background import Background
from qubes_manager.core.crossing.clipboard_messages import ClipboardSaid, CopyClipboard, PasteClipboard
from qubes_manager.core.domain import DomainKey
from qubes_manager.core.errors import QubesManagerError
from qubes_manager.core.viewer_messages import Crossing, Pressed
from qubes_manager.services.crossing.link import BrokerLink
from qubes_manager.services.gui.notices import Notice

# Keys that wait for the broker. More of them no person presses, but a guest may have got at its viewer.
_MOST = 4


class ClipboardKeys:
    """Hands keys over windows of domains to the broker of their connection."""

    def __init__(self, link: BrokerLink, background: Background) -> None:
        self._link = link
        self._background = background
        self._waiting = 0
        self._notice = Notice("Clipboard")

    def on_pressed(self, key: DomainKey, pressed: Pressed) -> None:
        """Keys were pressed over a domain's window."""
        if self._waiting < _MOST:
            self._waiting += 1
            self._background.spawn(self._do(key, pressed))

    async def _do(self, key: DomainKey, pressed: Pressed) -> None:
        # 0 would be a choice by name, and that is none.
        when = max(pressed.when, 1)
        request: CopyClipboard | PasteClipboard = CopyClipboard(key.uuid, when)
        if pressed.what is Crossing.PASTE:
            request = PasteClipboard(key.uuid, when, pressed.focused)
        try:
            said = await self._link.ask(request, ClipboardSaid)
        except (QubesManagerError, OSError) as error:
            await self._notice.say(f"{error}", urgent=True)
        else:
            await self._notice.say(said.text)
        finally:
            self._waiting -= 1
