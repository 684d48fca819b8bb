"""Finishing or undoing what a program that died had begun on a domain."""

import contextlib
import logging

from qubes_manager.backend.storage import volume_store
from qubes_manager.backend.user.domain_lock import domain_lock
from qubes_manager.backend.user.owner import owner
from qubes_manager.core.domain import Domain
from qubes_manager.core.errors import QubesManagerError, Refused
from qubes_manager.core.volume_use import may_carry_others, needed_by_others
from qubes_manager.services.domains.undoing import take_away
from qubes_manager.services.hosts.domain_access import actions_on
from qubes_manager.services.hosts.hosts import Hosts
from qubes_manager.services.hosts.store import DomainStore
from qubes_manager.services.volumes.template_roots import TemplateRoots, needs_settling
from qubes_manager.services.volumes.volume_records import drop

log = logging.getLogger(__name__)


def needs_recovery(domain: Domain) -> bool:
    """Whether something was begun on this domain, by this user of this machine, and is not finished."""
    config = domain.config
    if not domain.is_read or domain.stale or domain.state.is_active:
        return False
    if config.job:
        return config.job_by in ("", owner())
    return any(volume.unfinished and volume.maker == owner() for volume in config.volumes)


class Recovery:
    """Puts domains in order that a crash left half changed. What a living program is doing is left alone."""

    def __init__(self, hosts: Hosts, store: DomainStore, roots: TemplateRoots) -> None:
        self._hosts = hosts
        self._store = store
        self._roots = roots

    async def recover_all(self, uri: str) -> list[str]:
        """Recover all domains of a connection, and settle its templates; returns the names of those changed."""
        found = []
        for domain in self._store.of_host(uri):
            if needs_settling(domain) or needs_recovery(domain):
                with contextlib.suppress(QubesManagerError):
                    if await self.recover(domain):
                        found.append(domain.name)
        return found

    async def recover(self, domain: Domain) -> bool:
        """Undo a creation, finish a removal, delete volumes that never got whole, settle a template's run.

        Returns whether anything was changed; False when another program is at work on the domain.
        """
        key = domain.key
        changed = False
        if needs_recovery(domain):
            try:
                async with (
                    domain_lock(f"{key.uuid}.tidy", domain.name, 0),
                    domain_lock(key.uuid, domain.name, 0),
                ):
                    await self._hosts.refresh(key)
                    now = self._store.get(key)
                    changed = bool(now and needs_recovery(now)) and await self._recover(now)  # type: ignore[arg-type]
            except Refused:
                return False
            await self._hosts.refresh(key)
        rest = self._store.get(key)
        if rest and needs_settling(rest):
            changed |= await self._roots.settle(key) is not None
        return changed

    async def _recover(self, domain: Domain) -> bool:
        config = domain.config
        connection = self._hosts.connection(domain.key.connection)
        if may_carry_others(config.volumes):
            await self._hosts.refresh_host(domain.key.connection)
        needed = needed_by_others(domain, self._store.of_host(domain.key.connection))
        if config.job:
            log.warning("“%s”: a change that was interrupted (%s) is cleaned up", domain.name, config.job.value)
            volumes = [v for v in config.volumes if v.name not in needed]
            await take_away(connection, domain.key.uuid, domain.name, volumes)
            return True
        unfinished = [v for v in config.volumes if v.unfinished and v.name not in needed]
        log.warning("“%s”: %d volumes that never got whole are deleted", domain.name, len(unfinished))
        for volume in unfinished:
            await volume_store.delete_volume(connection, volume.pool, volume.name)
        await actions_on(self._hosts, domain).edit_config(drop(v.name for v in unfinished))
        return bool(unfinished)
