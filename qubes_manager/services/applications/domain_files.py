"""What the user's own files hold of a domain beside libvirt, and must not hold of one that is gone."""

import asyncio
import contextlib

from qubes_manager.core.domain import Domain
from qubes_manager.core.errors import QubesManagerError
from qubes_manager.services.applications.app_lists import list_path
from qubes_manager.services.applications.app_menus import AppMenus
from qubes_manager.services.files.gui_options_file import GuiOptionsFile
from qubes_manager.services.files.logs import gui_log_path


async def forget_domain(domain: Domain) -> None:
    """Take away the options of its windows, its menu, its list of applications and its windows' log."""
    with contextlib.suppress(QubesManagerError):
        await AppMenus().remove(domain.key.uuid)
    await asyncio.to_thread(_forget_now, domain)


def _forget_now(domain: Domain) -> None:
    # A file that cannot be removed keeps nobody from anything.
    with contextlib.suppress(OSError):
        GuiOptionsFile().rename(domain.name, None)
        log = gui_log_path(domain.key.uuid)
        for path in (list_path(domain.key.uuid), log, log.with_name(f"{log.name}.1")):
            path.unlink(missing_ok=True)
