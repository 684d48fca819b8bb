"""One connection to a program that serves, on a socket of its own."""

import asyncio
from pathlib import Path

from qubes_manager.core.service_messages import Notice
from qubes_manager.services.programs.client import MAX_UNREAD, Client


async def test_what_a_client_does_not_read_is_bounded_and_others_are_served(tmp_path: Path) -> None:
    arrived: asyncio.Queue[tuple[Client, asyncio.StreamWriter]] = asyncio.Queue()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        client = Client(reader, writer)
        await arrived.put((client, writer))
        async for _line in client.lines():
            pass
        await client.close()

    server = await asyncio.start_unix_server(serve, tmp_path / "s")
    # What is not read fills the reader's own buffer, then the kernel's, then the service's.
    _deaf_reader, deaf_writer = await asyncio.open_unix_connection(tmp_path / "s", limit=1024)
    deaf, its_writer = await arrived.get()
    good_reader, good_writer = await asyncio.open_unix_connection(tmp_path / "s")
    good, _writer = await arrived.get()
    notice, most = Notice("x" * 900), 0
    for _ in range(2000):
        deaf.send(notice)
        good.send(notice)
        most = max(most, its_writer.transport.get_write_buffer_size())
        assert await good_reader.readline() == notice.to_json().encode() + b"\n"
    assert MAX_UNREAD < most <= MAX_UNREAD + 2000
    assert its_writer.is_closing()
    assert its_writer.transport.get_write_buffer_size() == 0
    for writer in (deaf_writer, good_writer):
        writer.close()
    server.close()
