"""Console logs that earlier versions named after their domains."""

import asyncio
import contextlib
from pathlib import Path

from qubes_manager.core.domain import Domain
from qubes_manager.core.volume_use import are_known
from qubes_manager.services.files.host_paths import console_log_path
from qubes_manager.services.hosts.domain_access import actions_on
from qubes_manager.services.hosts.hosts import Hosts
from qubes_manager.services.hosts.store import DomainStore


async def bind_console_log(hosts: Hosts, store: DomainStore, domain: Domain) -> None:
    """Let a halted domain log where no later domain of its name will; what it has logged goes along."""
    uri, present = domain.key.connection, Path(domain.config.console_log)
    if not present.name.endswith("-console.log") or present.name.startswith(domain.key.uuid):
        return
    wanted = Path(await asyncio.to_thread(console_log_path, uri, domain.key.uuid))
    # A log that somebody has put elsewhere stays there.
    if present.parent != wanted.parent:
        return
    await actions_on(hosts, domain).edit_config(lambda document: document.set_console_log(str(wanted)))
    others = [other for other in store.of_host(uri) if other.key != domain.key]
    if are_known(others) and not any(other.config.console_log == str(present) for other in others):
        with contextlib.suppress(OSError):
            await asyncio.to_thread(present.rename, wanted)
