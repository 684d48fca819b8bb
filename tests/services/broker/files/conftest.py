"""Files between this machine and domains: the guests' own services on one side, the broker on the other."""

from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import cast

import libvirt_qemu
import pytest

from qubes_manager.core.crossing.broker_messages import Answer, Request, TransferStatus
from qubes_manager.core.crossing.file_requests import AwaitCopy, CopyBegun, CopyFiles, CopyReport
from qubes_manager.services.broker.files import listing, reach
from qubes_manager.services.programs.client import Client
from tests.backend.guests.shell_agent import ShellAgent
from tests.services.broker.conftest import Crossing
from tests.services.broker.serving_guest import ServingGuest

NOBODY = cast(Client, None)


class Copying:
    """A broker with guests that serve, and this machine's files in a folder."""

    def __init__(self, crossing: Crossing, folder: Path) -> None:
        self.crossing = crossing
        self.folder = folder
        self.files = folder / "files"
        self.home = folder / "host"
        for path in (self.files, self.home):
            path.mkdir(parents=True)
        crossing.broker.ends._home = self.home
        self.told: list[TransferStatus] = []
        crossing.broker.transfers.changed.connect(self.told.append)
        self.guests: list[ServingGuest] = []

    async def guest(self, name: str) -> ServingGuest:
        guest = ServingGuest(await self.crossing.guest(name), self.folder / name)
        self.guests.append(guest)
        return guest

    def file(self, name: str, data: bytes = b"content") -> Path:
        path = self.files / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
        return path

    async def answer(self, request: Request) -> Answer:
        return await self.crossing.broker.requests.answer(NOBODY, request)

    async def begin(self, source: str, target: str, *paths: Path, **more: object) -> int:
        begun = await self.answer(CopyFiles(source, target, tuple(map(str, paths)), **more))  # type: ignore[arg-type]
        assert isinstance(begun, CopyBegun)
        return begun.transfer

    async def copy(self, source: str, target: str, *paths: Path, **more: object) -> CopyReport:
        report = await self.answer(AwaitCopy(await self.begin(source, target, *paths, **more)))
        assert isinstance(report, CopyReport)
        return report

    async def close(self) -> None:
        await self.crossing.broker.running_copies.close()
        for guest in self.guests:
            await guest.close()


@pytest.fixture
async def copying(crossing: Crossing, tmp_path: Path) -> AsyncIterator[Copying]:
    copying = Copying(crossing, tmp_path / "world")
    yield copying
    await copying.close()


def landed(home: Path, source: str) -> dict[str, bytes]:
    folder = home / "QubesIncoming" / source
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.fixture
def shell(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[ShellAgent]:
    """What a guest without our tools has: an agent."""
    monkeypatch.setattr(reach, "START_LOOK", 0.1)
    monkeypatch.setattr(listing, "LOOK", 0.1)
    home = tmp_path / "plain"
    home.mkdir()
    shell = ShellAgent(home)
    monkeypatch.setattr(libvirt_qemu, "qemuAgentCommand", shell)
    yield shell
    shell.close()
