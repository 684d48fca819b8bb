"""Questions of DNS, carried as they are to whoever answers this machine's."""

import asyncio
import socket
from collections.abc import AsyncIterator
from pathlib import Path
from typing import cast

import pytest

from qubes_manager.network import dns_relay, host
from qubes_manager.network.dns_relay import DnsRelay
from tests.waiting import soon

# As systemd-resolved listens.
RESOLVER = "127.0.0.53"


class Resolver(asyncio.DatagramProtocol):
    """Answers by turning the question around; says nothing to “silence”."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.DatagramTransport, transport)

    def datagram_received(self, data: bytes, sender: tuple[str, int]) -> None:
        if data != b"silence":
            self.transport.sendto(data[::-1], sender)


async def turn_around(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    writer.write((await reader.read(1000))[::-1])
    await writer.drain()
    writer.close()


@pytest.fixture
async def relay(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[tuple[int, int]]:
    """The ports of a relay to a resolver of the loopback: of UDP, of TCP."""
    loop = asyncio.get_running_loop()
    transport, _protocol = await loop.create_datagram_endpoint(Resolver, (RESOLVER, 0))
    port = transport.get_extra_info("sockname")[1]
    server = await asyncio.start_server(turn_around, RESOLVER, port)
    (tmp_path / "resolv.conf").write_text(
        f"# as it is\nsearch example.org\nnameserver {RESOLVER}\nnameserver 192.0.2.1\n"
    )
    monkeypatch.setattr(host, "_RESOLVER", tmp_path / "resolv.conf")
    monkeypatch.setattr(dns_relay, "DNS_PORT", port)
    datagrams = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    datagrams.bind(("127.0.0.1", 0))
    streams = socket.create_server(("127.0.0.1", 0))
    DnsRelay([datagrams, streams]).start()
    yield datagrams.getsockname()[1], streams.getsockname()[1]
    loop.remove_reader(datagrams)
    server.close()
    transport.close()
    for opened in (datagrams, streams):
        opened.close()


async def ask(port: int, question: bytes) -> bytes:
    loop = asyncio.get_running_loop()
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK) as asking:
        asking.connect(("127.0.0.1", port))
        await loop.sock_sendall(asking, question)
        async with soon():
            return await loop.sock_recv(asking, 2000)


async def test_a_question_comes_back_answered_by_a_resolver_of_the_loopback(relay: tuple[int, int]) -> None:
    answers = await asyncio.gather(*(ask(relay[0], f"question {n}".encode()) for n in range(50)))
    assert answers == [f"question {n}".encode()[::-1] for n in range(50)]


async def test_a_long_answer_comes_by_tcp(relay: tuple[int, int]) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", relay[1])
    writer.write(b"question")
    async with soon():
        assert await reader.read() == b"noitseuq"
    writer.close()


async def test_questions_that_nobody_answers_leave_room_for_others(
    relay: tuple[int, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(dns_relay, "_PATIENCE", 0.5)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as asking:
        asking.connect(("127.0.0.1", relay[0]))
        for _ in range(600):
            asking.send(b"silence")
    async with soon():
        while True:
            try:
                async with asyncio.timeout(0.3):
                    assert await ask(relay[0], b"ab") == b"ba"
                    break
            except TimeoutError:
                continue


async def test_another_resolver_is_followed(relay: tuple[int, int], tmp_path: Path) -> None:
    (tmp_path / "resolv.conf").write_text("nameserver \nnameserver ?\n")
    assert host.nameserver() is None
    (tmp_path / "resolv.conf").unlink()
    assert host.nameserver() is None
    (tmp_path / "resolv.conf").write_text(f"nameserver {RESOLVER}%lo\n")
    assert await ask(relay[0], b"ab") == b"ba"
