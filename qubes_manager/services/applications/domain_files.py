"""What the user's own files hold of a domain beside libvirt, and must not hold of one that is gone."""

import asyncio
import contextlib
from pathlib import Path

from qubes_manager.core.domain import Domain
from qubes_manager.core.errors import QubesManagerError
from qubes_manager.services.applications.app_lists import list_path
from qubes_manager.services.applications.app_menus import AppMenus
from qubes_manager.services.files.gui_options_file import GuiOptionsFile
from qubes_manager.services.files.host_paths import console_log_path
from qubes_manager.services.files.log_paths import LogPaths


class DomainFiles:
    """Domains' menus, lists of applications (in the folder *lists*), options and logs of windows."""

    def __init__(self, menus: AppMenus, lists: Path, options: GuiOptionsFile, logs: LogPaths) -> None:
        self._menus = menus
        self._lists = lists
        self._options = options
        self._logs = logs

    async def forget(self, domain: Domain) -> None:
        """Take away what there is of a domain that is gone."""
        with contextlib.suppress(QubesManagerError):
            await self._menus.remove(domain.key.uuid)
        await asyncio.to_thread(self._forget_now, domain)

    def _forget_now(self, domain: Domain) -> None:
        # A file that cannot be changed keeps nobody from anything.
        with contextlib.suppress(OSError, QubesManagerError):
            self._options.forget(domain)
        with contextlib.suppress(OSError):
            log = self._logs.gui(domain.key.uuid)
            for path in (list_path(self._lists, domain.key.uuid), log, log.with_name(f"{log.name}.1")):
                path.unlink(missing_ok=True)
            # Where we put it, whatever the XML names, which others write; libvirt may have begun new files (.0, .1).
            if console := console_log_path(domain.key.connection, domain.key.uuid):
                for path in Path(console).parent.glob(f"{Path(console).name}*"):
                    path.unlink(missing_ok=True)
