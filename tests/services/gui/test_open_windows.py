"""How many windows there are at a moment."""

import asyncio

from qubes_manager.backend.user.user_folder import user_folder
from qubes_manager.core.gui_status import GuiPhase, GuiStatus
from qubes_manager.core.json_lines import Message
from qubes_manager.core.service_messages import Done
from qubes_manager.services.gui.open_windows import open_windows

ONE, TWO = "11111111-1111-4111-8111-111111111111", "22222222-2222-4222-8222-222222222222"


async def serve(name: str, *says: Message) -> asyncio.Server:
    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readline()
        writer.writelines(message.to_json().encode() + b"\n" for message in says)
        await reader.read()
        writer.close()

    return await asyncio.start_unix_server(answer, user_folder() / f"gui-{name}.sock")


async def test_all_screens_tell_what_they_show_and_one_that_is_gone_keeps_nobody() -> None:
    (user_folder() / "gui-gone.sock").touch()
    shown, connecting = GuiStatus(ONE, GuiPhase.SHOWN, 2), GuiStatus(TWO, GuiPhase.CONNECTING, 3)
    servers = [
        await serve("one", shown, Done(), GuiStatus(ONE, GuiPhase.SHOWN, 9)),
        await serve("two", connecting, GuiStatus(TWO, GuiPhase.SHOWN, 1), Done()),
    ]
    try:
        assert await open_windows() == {ONE: 2, TWO: 1}
    finally:
        for server in servers:
            server.close()
        for path in user_folder().glob("gui-*.sock"):
            path.unlink()
    assert await open_windows() == {}
