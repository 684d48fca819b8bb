"""How the broker hears of windows."""

import asyncio

from qubes_manager.backend.user.user_folder import user_folder
from qubes_manager.core.gui_status import GuiPhase, GuiStatus
from qubes_manager.services.broker.disposables.windows import OpenWindows
from tests.waiting import until

UUID = "11111111-1111-4111-8111-111111111111"


class Screen:
    """What shows windows on one screen."""

    def __init__(self, name: str) -> None:
        self._path = user_folder() / f"gui-{name}.sock"
        self._writers: list[asyncio.StreamWriter] = []

    async def open(self) -> None:
        self._server = await asyncio.start_unix_server(self._serve, self._path)

    async def _serve(self, _reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._writers.append(writer)

    async def say(self, windows: int, phase: GuiPhase = GuiPhase.SHOWN) -> None:
        await until(lambda: self._writers)
        self._writers[-1].write(GuiStatus(UUID, phase, windows).to_json().encode() + b"\nnonsense\n")

    async def close(self) -> None:
        self._server.close()
        for writer in self._writers:
            writer.close()
        # Newer Pythons have taken it away with the server.
        self._path.unlink(missing_ok=True)


async def test_windows_of_all_screens_are_heard_of_and_stay_open_when_who_shows_them_is_gone() -> None:
    windows, one, two = OpenWindows(), Screen("one"), Screen("two")
    await one.open()
    task = asyncio.create_task(windows.run())
    try:
        await one.say(2)
        await until(lambda: windows.count(UUID) == 2)
        await one.close()
        await two.open()
        await two.say(0, GuiPhase.CONNECTING)
        await two.say(1)
        await until(lambda: windows.count(UUID) == 1)
        await two.say(0, GuiPhase.FAILED)
        await two.say(0)
        await until(lambda: windows.count(UUID) == 0)
    finally:
        task.cancel()
        await two.close()
