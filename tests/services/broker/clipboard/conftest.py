"""Three running domains, the host, and the clipboard between them."""

import asyncio
from pathlib import Path
from uuid import uuid4

import pytest

from qubes_manager.core.crossing.broker_messages import Answer, Request
from qubes_manager.core.crossing.clipboard_messages import (
    ClipboardSaid,
    ClipboardStatus,
    ReadClipboard,
)
from qubes_manager.core.crossing.question import Answer as Chosen
from qubes_manager.core.crossing.question import Question
from qubes_manager.core.crossing.services import CLIPBOARD_PASTE
from qubes_manager.core.domain import HOST_UUID, Domain, DomainConfig, DomainKey, DomainState
from qubes_manager.core.errors import GuestError
from qubes_manager.core.gui_options import GuiOptions
from qubes_manager.core.names import HOST_NAME
from qubes_manager.services.broker.clipboard.clipboard import InterDomainClipboard
from qubes_manager.services.broker.clipboard.clipboard_policy import ClipboardPolicy
from qubes_manager.services.broker.deciding.decisions import Decisions
from qubes_manager.services.broker.deciding.recording import Recorder
from qubes_manager.services.broker.deciding.session_answers import SessionAnswers
from qubes_manager.services.broker.desktop.notices import Notices
from qubes_manager.services.broker.desktop.screens import Screens
from qubes_manager.services.broker.known_domains import KnownDomains
from qubes_manager.services.broker.lineage import Lineage
from qubes_manager.services.broker.requests import Requests
from qubes_manager.services.crossing.audit import Audit
from qubes_manager.services.crossing.policy_files import PolicyFiles
from qubes_manager.services.files.global_defaults import GlobalDefaults
from qubes_manager.services.hosts.store import DomainStore
from qubes_manager.services.programs.client import Client

URI = "test:///clipboard"


class Guests:
    """The clipboards of guests, by UUID, and what was asked of them."""

    def __init__(self) -> None:
        self.holds: dict[str, bytes] = {}
        self.pictures: dict[str, bytes] = {}
        self.got: list[tuple[str, str, bytes]] = []
        self.asked: list[tuple[str, str]] = []
        self.fails = ""
        # A guest waits for its event before it answers.
        self.slow: dict[str, asyncio.Event] = {}

    async def ask(
        self, key: DomainKey, service: str, argument: str = "", data: bytes = b"", *, limit: int, timeout: float
    ) -> bytes:
        self.asked.append((key.uuid, service))
        if waited_for := self.slow.get(key.uuid):
            await waited_for.wait()
        if self.fails:
            raise GuestError(self.fails)
        if service == CLIPBOARD_PASTE:
            self.got.append((key.uuid, argument, data))
            return b""
        said = (self.pictures if argument else self.holds).get(key.uuid, b"")
        if len(said) > limit:
            raise GuestError(f"it says more than {limit} bytes")
        return said


class User:
    """Answers questions about the host's clipboard, the only ones that come."""

    def __init__(self) -> None:
        self.agrees = False
        self.has_time = asyncio.Event()
        self.has_time.set()
        self.asked = 0

    async def ask(self, question: Question, /) -> Chosen:
        assert question.service == CLIPBOARD_PASTE
        self.asked += 1
        await self.has_time.wait()
        return Chosen("@adminvm" if self.agrees else "")


class Scene:
    """Three running domains and the host, and the clipboard between them."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.store = DomainStore()
        self.work, self.vault, self.third = (self.new(name) for name in ("work", "vault", "third"))
        self.store.put([Domain(DomainKey(URI, HOST_UUID), HOST_NAME, DomainState.RUNNING)])
        self.guests = Guests()
        self.options = GuiOptions()
        self.told: list[ClipboardStatus] = []
        self.user = User()
        self.audit = Audit(folder / "audit.log")
        decisions = Decisions(
            URI,
            self.store,
            PolicyFiles(folder / "policy.d"),
            GlobalDefaults(folder / "defaults.yaml"),
            Recorder(self.audit, Lineage(self.store)),
            self.user,
            Notices(Screens(), Lineage(self.store)),
            SessionAnswers(URI, self.store, Lineage(self.store)),
        )
        policy = ClipboardPolicy(decisions)
        self.requests = Requests()
        self.clipboard = InterDomainClipboard(
            self.store,
            KnownDomains(URI, self.store),
            self.guests.ask,
            policy.require,
            lambda: self.options,
            self.told.append,
        )
        self.clipboard.serve(self.requests)
        self.store.flush()

    def new(self, name: str) -> str:
        domain = Domain(DomainKey(URI, str(uuid4())), name, DomainState.RUNNING, config=DomainConfig(gui_port=True))
        self.store.put([domain])
        return domain.key.uuid

    def rule(self, line: str) -> None:
        (self.folder / "policy.d").mkdir(exist_ok=True)
        (self.folder / "policy.d/30-user.policy").write_text(f"{line}\n")

    async def ask(self, request: Request) -> Answer:
        return await self.requests.answer(NOBODY, request)

    async def say(self, request: Request) -> str:
        """Ask for something, and return the sentence that comes of it."""
        answer = await self.ask(request)
        assert isinstance(answer, ClipboardSaid)
        return answer.text

    async def status(self) -> ClipboardStatus:
        answer = await self.ask(ReadClipboard())
        assert isinstance(answer, ClipboardStatus)
        return answer


NOBODY: Client = None  # type: ignore[assignment]  # Nothing is told to who asks but the answer.


@pytest.fixture
async def scene(tmp_path: Path) -> Scene:
    return Scene(tmp_path)
