"""Reading and changing the options of domains' windows, so that open windows follow."""

import asyncio
from collections.abc import Mapping

from qubes_manager.core.domain import Domain
from qubes_manager.core.errors import QubesManagerError
from qubes_manager.core.gui_options import GuiOptions, Value
from qubes_manager.services.files.gui_options_file import GuiOptionsFile
from qubes_manager.services.gui.links import GuiLinks


class GuiSettings:
    """The user's options, off the caller's thread."""

    def __init__(self, links: GuiLinks, file: GuiOptionsFile) -> None:
        self._links = links
        self._file = file

    async def load(self) -> GuiOptions:
        """Return the options; what makes no sense in the file counts as not set."""
        options, _trouble = await asyncio.to_thread(self._file.load)
        return options

    async def put(self, values: Mapping[str, Value | None], domain: Domain | None = None) -> None:
        """Set options, for a domain or for all; None takes back what was set. Raises BadInput, QubesManagerError."""
        try:
            await asyncio.to_thread(self._file.put, dict(values), domain)
        except OSError as error:
            raise QubesManagerError(f"the window options cannot be written: {error.strerror}") from error
        await self._links.reload_options()
