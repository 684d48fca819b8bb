"""Starting applications in domains."""

import asyncio
import contextlib
import logging
import secrets

from qubes_manager.backend.guests.guest_agent import GuestAgent
from qubes_manager.core.applications import check_id
from qubes_manager.core.background import Background
from qubes_manager.core.domain import Domain, DomainKey, DomainState
from qubes_manager.core.errors import GuestError, NotFound, QubesManagerError, Refused, TimedOut
from qubes_manager.core.gui_messages import AnnounceLaunch
from qubes_manager.core.json_lines import MAX_STARTUP_ID
from qubes_manager.core.progress import SILENT, Progress
from qubes_manager.services.disposables.disposables import Disposables
from qubes_manager.services.domains.guest_commands import GuestCommands
from qubes_manager.services.domains.lifecycle import Lifecycle
from qubes_manager.services.gui.links import GuiLinks
from qubes_manager.services.hosts.store import DomainStore

log = logging.getLogger(__name__)

# In guests that have a session: what runs a shell line in it, and where its launcher takes orders and answers.
SESSION_RUNNER = "/usr/lib/qubes-manager/in-session"
_ORDERS = "/run/qubes-manager-gui/launch"
_ANSWER = "/run/qubes-manager-gui/answer-"
# Seconds between two looks at what nothing tells of, and for which a session may take to come or to answer, at least.
_PAUSE = 0.02
_LONG_PAUSE = 0.25
_ANSWER_PATIENCE = 60.0
# Seconds that an application may take to its first window before nobody waits for it any longer.
_WINDOW_PATIENCE = 60.0


class Launching:
    """Starts an application, its domain first where it must, and sees that its window can come to the screen."""

    def __init__(
        self,
        store: DomainStore,
        commands: GuestCommands,
        lifecycle: Lifecycle,
        links: GuiLinks,
        disposables: Disposables,
    ) -> None:
        self._store = store
        self._commands = commands
        self._lifecycle = lifecycle
        self._links = links
        self._disposables = disposables

    async def application(
        self, key: DomainKey, app_id: str, *, progress: Progress = SILENT, startup_id: str = ""
    ) -> None:
        """Start an application by its id; *progress* is told what is being waited for.

        *startup_id* is the desktop's name for this launch. Raises BadInput, Refused, GuestError, and NotFound when the
        application is not there any more.
        """
        check_id(app_id)
        domain = self._store.require(key)
        _refuse_without_port(domain)
        if domain.state is not DomainState.RUNNING:
            progress.step(f"“{domain.name}” is being started")
            await self._lifecycle.start(key)
        progress.step(f"waiting for “{domain.name}”")
        agent = await self._both_sides(key)
        await self.announce(key, startup_id)
        progress.step(f"starting {app_id} in “{domain.name}”")
        await _order(domain, agent, app_id, max(_ANSWER_PATIENCE, await self._commands.patience(domain)))

    async def in_disposable(
        self, template: DomainKey, app_id: str, *, progress: Progress = SILENT, startup_id: str = ""
    ) -> tuple[DomainKey, bool]:
        """Start an application in a disposable of its own, which ends with its last window.

        Returns the disposable, and whether a window has come: one without stays until somebody ends it, since nobody
        knows what it is doing. Raises as ``application``, and as making a disposable does.
        """
        _refuse_without_port(self._store.require(template))
        following = Background()
        following.spawn(self._links.link(template.connection).follow())
        try:
            async with self._disposables.new(template, progress=progress) as key:
                await self.application(key, app_id, progress=progress, startup_id=startup_id)
                progress.step(f"waiting for the window of {app_id}")
                has_come = await self.window(key, 0)
                if not has_come:
                    await self._disposables.keep(key)
        finally:
            await following.close()
        return key, has_come

    async def announce(self, key: DomainKey, startup_id: str = "") -> None:
        """Let the next window have the keyboard, and end the desktop's sign of a start.

        Without it what was launched starts all the same.
        """
        is_name = startup_id.isprintable() and len(startup_id) <= MAX_STARTUP_ID
        try:
            await self._links.link(key.connection).ask(AnnounceLaunch(key.uuid, startup_id if is_name else ""))
        except QubesManagerError as error:
            log.warning("a launch could not be announced: %s", error)

    async def _both_sides(self, key: DomainKey) -> GuestAgent:
        """Wait for the guest and for what shows its windows, which come to the screen by themselves then."""
        try:
            async with asyncio.TaskGroup() as sides:
                sides.create_task(self._links.link(key.connection).ensure())
                return await self._commands.ready(key)
        except ExceptionGroup as group:
            # The first one ended the other.
            raise group.exceptions[0] from group

    async def window(self, key: DomainKey, before: int, timeout: float = _WINDOW_PATIENCE) -> bool:
        """Wait until a domain has shown more windows than *before*; returns whether it has after *timeout* seconds."""
        with contextlib.suppress(TimeoutError):
            await self._links.link(key.connection).wait(key.uuid, lambda status: status.mapped > before, timeout)
            return True
        return False

    def mapped(self, key: DomainKey) -> int:
        """How many windows a domain has shown so far, as far as was heard."""
        status = self._links.link(key.connection).status(key.uuid)
        return status.mapped if status else 0


async def _order(domain: Domain, agent: GuestAgent, app_id: str, patience: float) -> None:
    """Let the session's launcher start an application, as soon as there is one; raises NotFound, GuestError."""
    token = secrets.token_hex(8)
    try:
        # The agent answers long before the session is there.
        async with asyncio.timeout(patience):
            while not await agent.write_pipe(_ORDERS, f"{token} {app_id}"):  # noqa: ASYNC110 - no event tells
                await asyncio.sleep(_LONG_PAUSE)
        async with asyncio.timeout(_ANSWER_PATIENCE):
            while not (answer := await _answer(agent, token)):  # noqa: ASYNC110
                await asyncio.sleep(_PAUSE)
    except TimeoutError:
        raise GuestError(f"the session in “{domain.name}” does not answer; its console may say why") from None
    if answer == b"missing":
        raise NotFound(f"{app_id} is not in “{domain.name}” any more: refresh its applications")
    if answer != b"started":
        raise GuestError(f"{app_id} could not be started in “{domain.name}”")


async def _answer(agent: GuestAgent, token: str) -> bytes | None:
    """What the launcher has said, if anything; an agent that is slow for once is asked again."""
    try:
        return await agent.read_small_file(f"{_ANSWER}{token}")
    except (GuestError, TimedOut):
        return None


def _refuse_without_port(domain: Domain) -> None:
    if domain.is_host:
        raise Refused("dom0 is this machine: start its programs from its own menu")
    if domain.is_read and not domain.config.gui_port:
        raise Refused(f"“{domain.name}” was not made for windows: open its console instead")
