"""What happens to domains without anybody having asked for it, as messages in the window."""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from qubes_manager.core.domain import Domain, DomainClass, DomainKey
from qubes_manager.services.domains.tool_versions import tools_text
from qubes_manager.services.hosts.store import Batch, DomainStore
from qubes_manager.ui.feedback.message_bar import Level, MessageBar

Trigger = Callable[[str, Sequence[Domain]], object]
# Seconds in which a start by this program tells itself from one by another: the state may come before the XML.
_PATIENCE = 1.0


@dataclass(frozen=True, slots=True)
class Notice:
    """A line, and the action that its button offers, by id and text."""

    text: str
    action: str
    button: str


def notice_of(domain: Domain) -> Notice | None:
    """What people should know of a domain as it is now; None when all is as somebody wanted it."""
    name = f"“{domain.name}”"
    if domain.pause and domain.pause.is_trouble:
        room = "Make room on its host, then resume it." if any(e.is_full for e in domain.disk_errors) else ""
        return Notice(f"{name} is paused: {domain.reason}. {room}".strip(), "start", "Resume")
    if domain.stray_run:
        how = "Shut it down, and start it here to change it."
        return Notice(
            f"Another program started the template {name}: {domain.stray_run}. {how}", "shutdown", "Shut down"
        )
    if domain.klass is DomainClass.TEMPLATE and domain.autostart:
        what = f"The template {name} starts with the host, and what it changes then is not kept."
        return Notice(what, "autostart", "Turn off autostart")
    is_built = domain.klass is DomainClass.TEMPLATE and "os-distribution" in dict(domain.config.features)
    if is_built and (tools := tools_text(domain)) in ("none", "older"):
        has = "no guest tools" if tools == "none" else "older guest tools than this program"
        what = f"The template {name} has {has}, which copying between domains needs."
        return Notice(what, "update-tools", "Update guest tools…")
    return None


class DomainNotices:
    """Shows a message for each domain that needs one, once, and takes it away when it is no longer true."""

    def __init__(self, store: DomainStore, messages: MessageBar, trigger: Trigger) -> None:
        self._store = store
        self._messages = messages
        self._trigger = trigger
        self._told: dict[DomainKey, Notice] = {}
        store.on_batch(self._on_batch)

    def _on_batch(self, batch: Batch) -> None:
        for domain in (*batch.added, *batch.changed):
            notice = None if domain.stale else notice_of(domain)
            if notice is None:
                self._take_back(domain.key)
            elif self._told.get(domain.key) != notice:
                asyncio.get_running_loop().call_later(_PATIENCE if domain.stray_run else 0, self._tell, domain.key)
        for key in batch.removed:
            self._take_back(key)

    def _tell(self, key: DomainKey) -> None:
        domain = self._store.get(key)
        notice = notice_of(domain) if domain else None
        if domain is None or notice is None or self._told.get(key) == notice:
            return
        self._told[key] = notice
        act = (notice.button, lambda: self._trigger(notice.action, [self._store.get(key) or domain]))
        self._messages.show_message(Level.WARNING, notice.text, buttons=[act], key=f"notice-{key}")

    def _take_back(self, key: DomainKey) -> None:
        if self._told.pop(key, None):
            self._messages.dismiss(f"notice-{key}")
