"""The clients' side of the gui service's wire, against a service that says what a test lets it say."""

import asyncio
import contextlib
from collections.abc import AsyncIterator

import pytest

from qubes_manager.core.errors import QubesManagerError
from qubes_manager.core.gui_messages import (
    Answer,
    ApplicationsRead,
    News,
    Reload,
    StatusGone,
    parse_request,
)
from qubes_manager.core.gui_status import GuiPhase, GuiStatus
from qubes_manager.core.json_lines import MAX_LINE
from qubes_manager.core.service_messages import Done, Failed, Follow, Notice
from qubes_manager.services.gui.address import socket_path
from qubes_manager.services.gui.link import GuiLink
from tests.waiting import until

pytestmark = pytest.mark.usefixtures("own_screen")
URI = "test:///link"
UUID = "1f2e3d4c-0000-4000-8000-aabbccddeeff"
STATUS = GuiStatus(UUID, GuiPhase.SHOWN, 2, 5, "text")


@contextlib.asynccontextmanager
async def service_that_says(*lines: str | Answer | News) -> AsyncIterator[list[bytes]]:
    """Says its lines to each request, and hangs up; yields the requests."""
    requests: list[bytes] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if line := await reader.readline():
            requests.append(line)
            for reply in lines:
                text = reply if isinstance(reply, str) else reply.to_json()
                writer.write(text.encode() + b"\n")
        writer.close()

    path = socket_path(URI)
    path.unlink(missing_ok=True)
    server = await asyncio.start_unix_server(serve, path)
    try:
        yield requests
    finally:
        server.close()
        path.unlink(missing_ok=True)


async def test_a_request_is_done_when_the_service_says_so() -> None:
    async with service_that_says(Done()) as requests:
        await GuiLink(URI).ask(Reload())
    assert [parse_request(line) for line in requests] == [Reload()]


@pytest.mark.parametrize(
    ("reply", "said"),
    [
        (Failed("unknown request 'dance'"), "^unknown request 'dance'$"),
        ('{"done": true}', "type is missing"),
        ('{"type": "maybe"}', "unknown message 'maybe'"),
        ("x" * MAX_LINE * 2, "sent more than"),
        (None, "ended before it answered"),
    ],
)
async def test_what_is_not_done_is_raised_with_the_reason(reply: str | Failed | None, said: str) -> None:
    async with service_that_says(*([reply] if reply else [])):
        with pytest.raises(QubesManagerError, match=said):
            await GuiLink(URI).ask(Reload())


async def test_news_come_to_who_asked_for_them_and_what_is_unknown_is_passed_over(
    caplog: pytest.LogCaptureFixture,
) -> None:
    link = GuiLink(URI)
    notices: list[str] = []
    lists: list[bool] = []
    changes: list[tuple[str, GuiStatus | None]] = []
    link.changed.connect(lambda uuid, status: changes.append((uuid, status)))
    link.noticed.connect(notices.append)
    link.list_read.connect(lambda: lists.append(True))
    news = (STATUS, Done(), '{"type": "weather"}', "nonsense", ApplicationsRead(UUID), Notice("oh"), StatusGone(UUID))
    async with service_that_says(*news) as requests:
        following = asyncio.create_task(link.follow())
        await until(lambda: len(changes) == 2)
        following.cancel()
    assert changes == [(UUID, STATUS), (UUID, None)]
    assert notices == ["oh"]
    assert lists == [True]
    assert [parse_request(line) for line in requests] == [Follow()]
    assert "unknown message 'weather'" in caplog.text
    assert "no JSON: b'nonsense" in caplog.text


async def test_when_the_service_ends_nothing_is_known_any_more() -> None:
    link = GuiLink(URI)
    changes: list[GuiStatus | None] = []
    link.changed.connect(lambda _uuid, status: changes.append(status))
    async with service_that_says(STATUS):
        following = asyncio.create_task(link.follow())
        await until(lambda: len(changes) == 2)
        following.cancel()
    assert changes == [STATUS, None]
    assert link.status(UUID) is None
