"""Keeps the desktop's menu true to the domains and their lists of applications."""

import asyncio
import logging

from qubes_manager.core.domain import Domain, DomainClass, DomainKey
from qubes_manager.core.errors import QubesManagerError
from qubes_manager.services.applications.app_lists import AppLists, selected
from qubes_manager.services.applications.app_menus import AppMenus
from qubes_manager.services.hosts.store import Batch, DomainStore

log = logging.getLogger(__name__)
# Changes that come within this many seconds are handled together.
_PAUSE = 0.5


async def update_menu(menus: AppMenus, lists: AppLists, domain: Domain) -> int:
    """Let the desktop's menu show what a domain's menu is to show; returns how many files changed."""
    applications = selected(domain, lists.of(domain))
    if domain.klass is DomainClass.TEMPLATE and domain.config.menu is None:
        # One works in domains; a template's programs are in the manager, and in the menu of who asks for them.
        applications = []
    if domain.is_disposable or domain.is_internal:
        # It is gone before its pictures are drawn; more is started in it from the panel and the tray.
        applications = []
    return await menus.update(domain, applications)


class MenuKeeper:
    """Watches store and lists."""

    def __init__(self, store: DomainStore, lists: AppLists, menus: AppMenus) -> None:
        self._store = store
        self._lists = lists
        self._menus = menus
        self._waiting: dict[DomainKey, None] = {}
        self._seen: dict[DomainKey, object] = {}
        self._woken = asyncio.Event()
        store.on_batch(self._on_batch)
        lists.changed.connect(self._on_lists)

    def _on_batch(self, batch: Batch) -> None:
        for domain in (*batch.added, *batch.changed):
            if domain.is_read and not domain.is_host and self._seen.get(domain.key) != _what_shows(domain):
                self._seen[domain.key] = _what_shows(domain)
                self._waiting[domain.key] = None
        for key in batch.removed:
            if self._seen.pop(key, None):
                self._waiting[key] = None
        if self._waiting:
            self._woken.set()

    def _on_lists(self) -> None:
        self._waiting.update(dict.fromkeys(k for k, d in self._store.domains.items() if d.is_read and not d.is_host))
        self._woken.set()

    async def run(self) -> None:
        """Work until cancelled."""
        while True:
            await self._woken.wait()
            await asyncio.sleep(_PAUSE)
            self._woken.clear()
            waiting, self._waiting = self._waiting, {}
            for key in waiting:
                try:
                    await self._update(key)
                except QubesManagerError as error:
                    log.warning("%s", error)

    async def _update(self, key: DomainKey) -> None:
        if domain := self._store.get(key):
            await update_menu(self._menus, self._lists, domain)
        else:
            await self._menus.remove(key.uuid)


def _what_shows(domain: Domain) -> object:
    config = domain.config
    return (domain.name, domain.label, domain.klass, config.menu, config.template_uuid, config.template_for_dispvms)
