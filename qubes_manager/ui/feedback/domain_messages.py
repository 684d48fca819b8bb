"""Messages about the state of a domain, for as long as it has that state."""

from collections.abc import Callable, Sequence

from qubes_manager.core.domain import Domain, DomainKey
from qubes_manager.services.hosts.store import Batch, DomainStore
from qubes_manager.ui.feedback.message_bar import Button, Level, MessageBar

Holds = Callable[[Domain], bool]


class DomainMessages:
    """Shows at most one message for each domain, and takes it away when it is no longer true of it."""

    def __init__(self, store: DomainStore, messages: MessageBar) -> None:
        self._messages = messages
        self._shown: dict[DomainKey, Holds] = {}
        store.on_batch(self._on_batch)

    def show(self, key: DomainKey, holds: Holds, level: Level, text: str, buttons: Sequence[Button]) -> None:
        """Show *text* while *holds* is true of the domain."""
        self._shown[key] = holds
        self._messages.show_message(level, text, buttons=buttons, key=f"state-{key}")

    def _on_batch(self, batch: Batch) -> None:
        if not self._shown:
            return
        over = [d.key for d in batch.changed if d.key in self._shown and not self._shown[d.key](d)]
        for key in (*over, *batch.removed):
            if self._shown.pop(key, None):
                self._messages.dismiss(f"state-{key}")
