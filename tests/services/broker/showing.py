"""Stands for a program that shows domains' windows on one screen, and takes note of what it is asked for."""

import asyncio

from qubes_manager.backend.user.user_folder import user_folder
from qubes_manager.core.gui_messages import AnnounceLaunch, Request, parse_request
from qubes_manager.core.service_messages import Done


class Showing:
    """The one of the screen *name*; one that hangs hears all, and *answers* nothing."""

    def __init__(self, name: str = "one", *, answers: bool = True) -> None:
        self.asked: list[Request] = []
        self._answers = answers
        self._path = user_folder() / f"gui-{name}.sock"
        self._writers: list[asyncio.StreamWriter] = []

    @property
    def announced(self) -> list[str]:
        """The domains of which it was told that something is being launched in them, by UUID."""
        return [request.uuid for request in self.asked if isinstance(request, AnnounceLaunch)]

    async def open(self) -> None:
        self._server = await asyncio.start_unix_server(self._serve, self._path)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._writers.append(writer)
        while line := await reader.readline():
            self.asked.append(parse_request(line))
            if self._answers:
                writer.write(Done().to_json().encode() + b"\n")

    async def close(self) -> None:
        self._server.close()
        for writer in self._writers:
            writer.close()
        # Newer Pythons have taken it away with the server.
        self._path.unlink(missing_ok=True)
