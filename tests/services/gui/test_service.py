"""The program that shows windows, as others talk to it; on the test driver, where no domain has any."""

import asyncio
import json
import socket
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from qubes_manager.core.errors import QubesManagerError
from qubes_manager.core.gui_messages import (
    AnnounceLaunch,
    Answer,
    ConsoleKind,
    News,
    OpenConsole,
    Reload,
    parse_reply,
)
from qubes_manager.core.json_lines import MAX_LINE
from qubes_manager.core.service_messages import Done, Failed, Follow
from qubes_manager.services.gui import service as gui_service
from qubes_manager.services.gui.address import socket_path
from qubes_manager.services.gui.link import GuiLink
from tests.services.gui.conftest import NOBODY, URI, service, until_it_listens
from tests.waiting import soon, until

pytestmark = pytest.mark.usefixtures("own_screen")


@pytest.fixture
async def serving(own_screen: None) -> AsyncIterator[Path]:
    """The socket of a service that runs."""
    running = service(60)
    task = asyncio.create_task(running.run())
    await until_it_listens()
    yield socket_path(URI)
    running.stop()
    async with soon():
        assert await task is True


class Talk:
    """A client that may say anything."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer

    @classmethod
    async def open(cls, path: Path) -> "Talk":
        return cls(*await asyncio.open_unix_connection(path))

    def say(self, text: str) -> None:
        self._writer.write(text.encode())

    async def ask(self, line: str) -> Answer | News:
        self.say(f"{line}\n")
        async with soon():
            return parse_reply(await self._reader.readline())

    async def hung_up(self) -> bool:
        async with soon():
            return await self._reader.read() == b""

    def close(self) -> None:
        self._writer.close()


async def test_one_that_nobody_needs_ends_by_itself() -> None:
    async with soon():
        assert await service(0.1).run() is True
    assert not socket_path(URI).exists()


async def test_one_serves_and_says_what_it_could_not_do(monkeypatch: pytest.MonkeyPatch) -> None:
    running = service(60)
    serving = asyncio.create_task(running.run())
    await until_it_listens()
    assert await service(20).run() is False
    link = GuiLink(URI)
    await link.ask(Reload())
    with pytest.raises(QubesManagerError, match="the domain does not exist any more"):
        await link.ask(OpenConsole(NOBODY, ConsoleKind.SCREEN, take_over=False))
    monkeypatch.setattr(running._serving, "_grace", 0.1)
    running._serving.end_when_idle()
    async with soon():
        assert await serving is True
    assert not socket_path(URI).exists()
    # One that does not run has nothing to be told.
    await link.ask(Reload())


async def test_who_follows_keeps_it(monkeypatch: pytest.MonkeyPatch) -> None:
    running = service(60)
    serving = asyncio.create_task(running.run())
    await until_it_listens()
    following = asyncio.create_task(GuiLink(URI).follow())
    await until(lambda: running._serving._clients)
    monkeypatch.setattr(running._serving, "_grace", 0.1)
    running._serving.end_when_idle()
    await asyncio.sleep(0.3)
    assert not serving.done()
    following.cancel()
    async with soon():
        assert await serving is True


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ('{"do": "dance"}', "type is missing"),
        ('{"type": "dance"}', "unknown request 'dance'"),
        ('{"type": "console", "uuid": "x", "kind": "screen"}', "uuid is none of a domain: 'x'"),
        (f'{{"type": "console", "uuid": "{NOBODY}", "kind": "smell"}}', "kind is none of screen, serial: 'smell'"),
        ("dance", "no JSON: b'dance"),
        ("[]", "no JSON object: a list"),
        (OpenConsole(NOBODY, ConsoleKind.SERIAL, take_over=False).to_json(), "the domain does not exist any more"),
    ],
)
async def test_what_it_cannot_do_is_answered_with_the_reason(serving: Path, line: str, reason: str) -> None:
    talk = await Talk.open(serving)
    answer = await talk.ask(line)
    assert isinstance(answer, Failed)
    assert reason in answer.reason
    # It goes on listening to the same client.
    assert await talk.ask(Reload().to_json()) == Done()
    talk.close()


async def test_each_request_is_answered_once(serving: Path) -> None:
    talk = await Talk.open(serving)
    for request in (Follow(), Follow(), AnnounceLaunch(NOBODY, "id"), Reload()):
        assert await talk.ask(request.to_json()) == Done()
    talk.close()


async def test_a_host_that_cannot_be_read_is_said_to_be_the_reason(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(gui_service, "_READ_PATIENCE", 1.0)
    uri = f"test://{tmp_path}/missing.xml"
    running = service(60, uri)
    task = asyncio.create_task(running.run())
    await until_it_listens(uri)
    talk = await Talk.open(socket_path(uri))
    answer = await talk.ask(OpenConsole(NOBODY, ConsoleKind.SCREEN, take_over=False).to_json())
    assert answer == Failed(f"the domains of {uri} could not be read within 1 s")
    talk.close()
    running.stop()
    async with soon():
        await task


async def test_a_line_without_end_ends_the_talk(serving: Path) -> None:
    talk = await Talk.open(serving)
    talk.say("x" * MAX_LINE * 4)
    assert await talk.hung_up()


async def test_a_client_that_reads_nothing_is_dropped(serving: Path) -> None:
    """Its answers would be kept for it without end."""
    deaf = socket.socket(socket.AF_UNIX)
    deaf.setblocking(False)
    loop = asyncio.get_running_loop()
    await loop.sock_connect(deaf, str(serving))
    request = json.dumps({"type": "x" * 40}).encode() + b"\n"
    with pytest.raises(ConnectionError):
        async with soon():
            while True:
                await loop.sock_sendall(deaf, request * 100)
    deaf.close()
    talk = await Talk.open(serving)
    assert await talk.ask(Reload().to_json()) == Done()
    talk.close()
