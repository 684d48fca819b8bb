"""The lists of applications: one of each template and of each domain that owns its system."""

import asyncio
import logging
from collections.abc import Iterable, Mapping
from pathlib import Path

from qubes_manager.backend.guests.guest_agent import Bounds
from qubes_manager.backend.user.small_files import write_whole
from qubes_manager.core.applications import (
    MAX_LIST,
    Application,
    ApplicationList,
    dump_applications,
    parse_applications,
)
from qubes_manager.core.domain import Domain, DomainClass, DomainKey
from qubes_manager.core.errors import GuestError, QubesManagerError
from qubes_manager.core.signal import Signal
from qubes_manager.services.domains.guest_commands import GuestCommands
from qubes_manager.services.hosts.store import DomainStore

log = logging.getLogger(__name__)

_LISTER = "/usr/lib/qubes-manager/list-apps"
# A guest without KVM takes some seconds for some hundred applications.
_BOUNDS = Bounds(MAX_LIST, 120)
_MAX_DETAILS = 4000
_FROM_TEMPLATE = (DomainClass.APP, DomainClass.DISPOSABLE)


def selected(domain: Domain, applications: Iterable[Application]) -> list[Application]:
    """Those applications that the domain's menu shows; all where nothing was chosen."""
    chosen = domain.config.menu
    return [app for app in applications if chosen is None or app.id in chosen]


class AppLists:
    """Keeps the lists, in files in *folder*, and reads them anew from running guests.

    A domain shows its template's list. It is never read from a domain for others: what one domain says of its
    applications must not stand in the menu of another. A domain whose template was not asked yet shows its own.
    """

    def __init__(self, store: DomainStore, commands: GuestCommands, folder: Path) -> None:
        self._store = store
        self._commands = commands
        self._folder = folder
        self._lists: dict[str, ApplicationList] = {}
        # A list was read.
        self.changed = Signal[()]()

    async def load(self) -> None:
        """Read what is kept; files that make no sense are passed over."""
        self._lists = dict(await asyncio.to_thread(_load_now, self._folder))
        self.changed.emit()

    def of(self, domain: Domain) -> tuple[Application, ...]:
        """The applications of a domain, as last heard of."""
        return self._of(domain).applications

    def notice(self, domain: Domain) -> str:
        """What to say of applications that are not shown; empty when all are."""
        return self._of(domain).notice

    def _of(self, domain: Domain) -> ApplicationList:
        return self._lists.get(self.source(domain), ApplicationList())

    def source(self, domain: Domain) -> str:
        """The UUID of the domain whose list this one shows."""
        template = self._store.system_uuid(domain) if domain.klass in _FROM_TEMPLATE else ""
        return template if template in self._lists else domain.key.uuid

    def wants(self, domain: Domain) -> bool:
        """Whether a running domain should be asked: those that others start from, and who has no list yet."""
        return domain.klass not in _FROM_TEMPLATE or self.source(domain) == domain.key.uuid

    async def refresh(self, key: DomainKey) -> tuple[Application, ...]:
        """Ask a running domain for its applications and keep the list; raises GuestError, Refused."""
        domain = self._store.require(key)
        output, errors = bytearray(), bytearray()
        code = await self._commands.run(
            key, _LISTER, out=output.extend, err=errors.extend, autostart=False, bounds=_BOUNDS
        )
        if code:
            details = errors[:_MAX_DETAILS].decode("utf-8", "replace")
            raise GuestError(f"“{domain.name}” cannot list its applications: it was not made for windows", details)
        found = await asyncio.to_thread(parse_applications, bytes(output))
        if found.notice:
            log.warning("applications of “%s”: %s", domain.name, found.notice)
        await self._keep(key.uuid, found)
        return found.applications

    async def _keep(self, uuid: str, found: ApplicationList) -> None:
        try:
            await asyncio.to_thread(write_whole, list_path(self._folder, uuid), dump_applications(found))
        except OSError as error:
            raise QubesManagerError(f"the list of applications cannot be kept: {error.strerror}") from error
        self._lists[uuid] = found
        self.changed.emit()


def list_path(folder: Path, uuid: str) -> Path:
    """Where the list of a domain is kept."""
    return folder / f"{uuid}.json"


def _load_now(folder: Path) -> Mapping[str, ApplicationList]:
    lists = {}
    for path in sorted(folder.glob("*.json")):
        try:
            lists[path.stem] = parse_applications(path.read_bytes())
        except (OSError, GuestError):
            continue
    return lists
