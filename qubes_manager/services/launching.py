"""Starting applications in domains."""

import asyncio
import contextlib
from collections.abc import Callable, Sequence

from qubes_manager.backend.guest_agent import GuestAgent
from qubes_manager.core.applications import check_id
from qubes_manager.core.domain import Domain, DomainKey, DomainState
from qubes_manager.core.errors import GuestError, NotFound, Refused
from qubes_manager.services.guest_commands import GuestCommands
from qubes_manager.services.lifecycle import Lifecycle
from qubes_manager.services.store import DomainStore
from qubes_manager.services.window_links import WindowLinks

# What starts things in the user's session, in guests that have one.
SESSION_RUNNER = "/usr/lib/qubes-manager/run-app"
# What the runner's exit codes say (run_app.sh), beside those of a shell that does not find it.
_NO_APPLICATION, _NO_SESSION, _NOT_STARTED = 66, 69, 65
# Seconds that an application may take to its first window before nobody waits for it any longer.
_WINDOW_PATIENCE = 60.0
Step = Callable[[str], object]


class Launching:
    """Starts an application, its domain first where it must, and sees that its window can come to the screen."""

    def __init__(self, store: DomainStore, commands: GuestCommands, lifecycle: Lifecycle, links: WindowLinks) -> None:
        self._store = store
        self._commands = commands
        self._lifecycle = lifecycle
        self._links = links

    async def application(
        self, key: DomainKey, app_id: str, *, step: Step = lambda _text: None, startup_id: str = ""
    ) -> None:
        """Start an application by its id; *step* is told what is being waited for.

        *startup_id* is the desktop's name for this launch. Raises BadInput, Refused, GuestError, and NotFound when the
        application is not there any more.
        """
        await self._launch(key, ["app", check_id(app_id)], app_id, step, startup_id)

    async def command(self, key: DomainKey, line: str, *, step: Step = lambda _text: None) -> None:
        """Start a shell line in the user's session, without waiting for its end; raises Refused, GuestError."""
        await self._launch(key, ["command", line], line[:80], step, "")

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

    async def _launch(self, key: DomainKey, words: Sequence[str], what: str, step: Step, startup_id: str) -> None:
        domain = self._store.require(key)
        _refuse_without_port(domain)
        link = self._links.link(key.connection)
        if not domain.state.is_active:
            step(f"“{domain.name}” is being started")
            await self._lifecycle.start(key)
        elif domain.state is not DomainState.RUNNING:
            await self._lifecycle.start(key)
        # The windows come to the screen by themselves as soon as both sides are there.
        opening = asyncio.get_running_loop().create_task(link.ensure())
        try:
            step(f"waiting for “{domain.name}”")
            agent = await self._commands.ready(key)
            await opening
        finally:
            opening.cancel()
        if startup_id:
            await link.ask({"do": "launching", "uuid": key.uuid, "startup_id": startup_id})
        step(f"starting {what} in “{domain.name}”")
        await self._run(domain, agent, words, what)

    async def _run(self, domain: Domain, agent: GuestAgent, words: Sequence[str], what: str) -> None:
        code = await agent.call(["/bin/sh", "-c", f'exec {SESSION_RUNNER} "$@"', "run-app", *words])
        if code == _NO_APPLICATION:
            raise NotFound(f"{what} is not in “{domain.name}” any more: refresh its applications")
        if code == _NO_SESSION:
            raise GuestError(f"the session in “{domain.name}” does not start; its console may say why")
        if code == _NOT_STARTED:
            raise GuestError(f"{what} could not be started in “{domain.name}”")
        if code:
            raise Refused(
                f"“{domain.name}” was not made for windows: open its console, or make it from a template with them"
            )


def _refuse_without_port(domain: Domain) -> None:
    if domain.is_host:
        raise Refused("dom0 is this machine: start its programs from its own menu")
    if domain.config and not domain.config.gui_port:
        raise Refused(f"“{domain.name}” was not made for windows: open its console instead")
