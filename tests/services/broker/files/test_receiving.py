"""Files that domains send by calls of their own."""

import json
import os
from collections.abc import Mapping
from pathlib import Path

import pytest

from qubes_manager.guest.archive.packing import pack
from qubes_manager.guest.archive.walking import survey
from qubes_manager.services.broker.guests import patience
from tests.backend.guests.shell_agent import ShellAgent
from tests.services.broker.fake_guest import FakeGuest
from tests.services.broker.files.conftest import Copying, landed
from tests.waiting import until


async def test_a_guest_sends_here_by_its_own_call(copying: Copying) -> None:
    copying.crossing.let("qubes.Filecopy * work @adminvm allow\n")
    guest = await copying.crossing.guest("work")
    await guest.ask(3, "qubes.Filecopy", "dom0", count=1, size=100_000)
    port = await guest.accepted(3)
    path = copying.file("report.pdf", os.urandom(100_000))
    answers = await sent_by_call(copying, guest, port, path)
    assert b'"stored"' in answers
    assert landed(copying.home, "work") == {"report.pdf": path.read_bytes()}


async def test_a_guest_that_sends_here_what_may_not_come_hears_why(copying: Copying) -> None:
    copying.crossing.let("qubes.Filecopy * work @adminvm allow\n")
    guest = await copying.crossing.guest("work")
    await guest.ask(3, "qubes.Filecopy", "dom0", count=1, size=100_000)
    port = await guest.accepted(3)
    path = copying.file("\u202etxt.exe")
    answers = await sent_by_call(copying, guest, port, path)
    assert b"unusual characters" in answers
    assert landed(copying.home, "work") == {}


@pytest.mark.parametrize(
    ("told", "offer", "reason"),
    [
        ({}, (5, 1), "it was not told how many files were to come"),
        ({"size": 5}, (5, 1), "it was not told how many files were to come"),
        ({"size": 5, "count": 1}, (1 << 53, 1), "asked about 1 file of 5 B, and then came 1 file of 8192 TiB"),
        ({"size": 5, "count": 1}, (5, 1 << 53), "9,007,199,254,740,992 files of 5"),
    ],
    ids=["nothing", "no number", "more bytes", "more files"],
)
async def test_a_guest_that_offers_more_than_was_asked_about_is_refused(
    copying: Copying, told: Mapping[str, int], offer: tuple[int, int], reason: str
) -> None:
    copying.crossing.let("qubes.Filecopy * work @adminvm allow\n")
    guest = await copying.crossing.guest("work")
    await guest.ask(3, "qubes.Filecopy", "dom0", **told)
    port = await guest.accepted(3)
    await port.write(b'{"type": "offer", "size": %d, "count": %d}\n' % offer)
    assert reason in json.loads(await port.read(4096))["reason"]
    port.close()
    await until(lambda: copying.told[-1].is_over)
    assert not (copying.home / "QubesIncoming").exists()


async def test_a_guest_that_asks_to_send_and_offers_nothing_is_left(
    copying: Copying, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(patience, "STALL", 0.5)
    copying.crossing.let("qubes.Filecopy * work @adminvm allow\n")
    guest = await copying.crossing.guest("work")
    await guest.ask(3, "qubes.Filecopy", "dom0", count=1, size=5)
    port = await guest.accepted(3)
    assert "has not sent anything for" in json.loads(await port.read(4096))["reason"]
    port.close()


async def test_a_guest_sends_by_its_own_call_to_one_that_has_only_an_agent(copying: Copying, shell: ShellAgent) -> None:
    guest = await copying.crossing.guest("work")
    await copying.crossing.guest("plain", begin=False)
    copying.crossing.let("qubes.Filecopy * work plain allow\n")
    await guest.ask(3, "qubes.Filecopy", "plain", count=1, size=300_000)
    port = await guest.accepted(3)
    path = copying.file("report.pdf", os.urandom(300_000))
    assert b'"stored"' in await sent_by_call(copying, guest, port, path)
    assert landed(shell.home, "work") == {"report.pdf": path.read_bytes()}
    assert copying.told[-1].target == "plain"


async def sent_by_call(copying: Copying, guest: FakeGuest, port: object, path: Path) -> bytes:
    """Send a file as qvm-copy does; returns what the host answers to the archive."""
    from tests.services.broker.fake_guest import FakePort

    assert isinstance(port, FakePort)
    found, archive = survey([path]), bytearray()
    await port.write(f'{{"type": "offer", "size": {found.size}, "count": {found.count}}}\n'.encode())
    assert await port.read_exactly(len(b'{"type": "go"}\n')) == b'{"type": "go"}\n'
    pack(found, archive.extend, problem=lambda _path, _reason: None)
    await port.write(bytes(archive))
    answer = b""
    while b"\n" not in answer:
        answer += await port.read(4096)
    port.close()
    await until(lambda: copying.told[-1].is_over)
    return answer
