"""What happens when the policy is to be seen or changed, from wherever the user asks for it."""

import asyncio
from collections.abc import Callable

from PySide6.QtWidgets import QWidget

from qubes_manager.core.errors import QubesManagerError
from qubes_manager.core.policy.subject import System
from qubes_manager.services.assembly import Services
from qubes_manager.services.crossing.subjects import subjects
from qubes_manager.ui.dialogs.hint_dialog import Spawn
from qubes_manager.ui.feedback.confirm import finished


class PolicyCommands:
    """Opens the policy above a window or another dialog. *find_uri* says whose domains are shown, and may raise."""

    def __init__(self, services: Services, spawn: Spawn) -> None:
        self._services = services
        self._spawn = spawn

    def start(self, parent: QWidget, find_uri: Callable[[], str]) -> None:
        """Open it, and do not wait until it is closed."""
        self._spawn(self.show(parent, find_uri))

    async def show(self, parent: QWidget, find_uri: Callable[[], str]) -> None:
        """Open it, and wait until it is closed."""
        services = self._services
        # Of ten modules, which few windows need.
        from qubes_manager.ui.dialogs.policy.policy_dialog import PolicyDialog

        async def system() -> System:
            fallback = await asyncio.to_thread(services.defaults.get, "default_dispvm")
            try:
                return subjects(services.store.of_host(find_uri()), fallback)
            except QubesManagerError:
                # Rules can be written without a connection.
                return {}

        try:
            broker = services.broker_links.link(find_uri())
        except QubesManagerError:
            broker = None
        await finished(PolicyDialog(parent, services.policy_files, services.audit, system, self._spawn, broker))
