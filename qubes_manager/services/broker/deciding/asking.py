"""Asking the user: one window for each question, which is a program of its own on the screen that counts now."""

import asyncio
import contextlib
import itertools
import os
import sys
from collections import defaultdict
from collections.abc import AsyncIterator, Callable, Iterator, Sequence

from qubes_manager.core.crossing.broker_messages import OfferScreen
from qubes_manager.core.crossing.question import Answer, Question, parse_answer
from qubes_manager.core.crossing.rate import Rate
from qubes_manager.core.errors import Refused
from qubes_manager.core.json_lines import MAX_LINE, BadMessage
from qubes_manager.core.text import one_line
from qubes_manager.services.broker.deciding.session_answers import SessionAnswers
from qubes_manager.services.broker.desktop.notices import environment
from qubes_manager.services.broker.desktop.screens import Screens
from qubes_manager.services.broker.lineage import Kin

# Questions of one source that wait, and of all; each is a program.
MOST, MOST_OF_ALL = 3, 12
# Questions of one source in a second, and at once, that come to nothing: no was said, or they were taken back.
_VAIN_RATE, _VAIN_BURST = 0.1, 6
_COMMAND = (sys.executable, "-m", "qubes_manager", "ask")
_END_PATIENCE = 3.0
_LAST_WORDS = 4096


class Asker:
    """Asks, and keeps what the user says for the session. *appearance* is light, dark or system."""

    def __init__(
        self,
        screens: Screens,
        session: SessionAnswers,
        appearance: Callable[[], str],
        command: Sequence[str] = _COMMAND,
    ) -> None:
        self._screens = screens
        self._session = session
        self._appearance = appearance
        self._command = command
        self._open: dict[Kin, list[_Window]] = defaultdict(list)
        self._vain: dict[Kin, Rate] = {}

    async def ask(self, question: Question, /) -> Answer:
        """The user's answer; raises Refused with why there is none. Cancelled, it takes the window away."""
        kin = self._session.kin(question.source_uuid)
        waiting, all_waiting = len(self._open.get(kin, ())), sum(map(len, self._open.values()))
        if waiting >= MOST:
            raise Refused(f"{waiting} requests of {_words(question)} wait for you already")
        if all_waiting >= MOST_OF_ALL:
            raise Refused(f"{all_waiting} requests wait for you already")
        if not (screens := self._screens.newest_first):
            raise Refused("there is no screen to ask on")
        vain = self._vain_of(kin)
        if not vain.try_spend():
            whose = _words(question)
            raise Refused(f"too many requests of {whose} came to nothing: the next one may come in some seconds")
        window = _Window(question.source_uuid, kin.origin.uuid)
        with self._listed(kin, window):
            appearance = await asyncio.to_thread(self._appearance)
            for screen in screens:
                # The newest one may be dead, as that of a login that hangs.
                answer = await window.ask(question, screen, (*self._command, appearance, str(all_waiting)))
                if answer or window.is_withdrawn:
                    break
        if answer is None:
            # The user has answered another question of the same source with a block.
            self._session.require_unblocked(question.source_uuid)
            raise Refused(f"the question could not be shown: {window.last_words or 'its window was ended'}")
        try:
            question.check(answer)
        except BadMessage as error:
            raise Refused(f"the answer is none: {error}") from error
        if answer.target:
            vain.give_back()
        self._heed(question, answer)
        return answer

    def _vain_of(self, kin: Kin) -> Rate:
        self._vain = {name: rate for name, rate in self._vain.items() if not rate.is_full}
        return self._vain.setdefault(kin, Rate(_VAIN_RATE, _VAIN_BURST))

    def _heed(self, question: Question, answer: Answer) -> None:
        if answer.grant_session:
            self._session.grant(question, answer.target)
        if answer.block_source:
            self._session.block(question.source_uuid, question.source)
            for window in itertools.chain.from_iterable(self._open.values()):
                if question.source_uuid in (window.source, window.origin):
                    window.withdraw()

    @contextlib.contextmanager
    def _listed(self, kin: Kin, window: "_Window") -> Iterator[None]:
        self._open[kin].append(window)
        try:
            yield
        finally:
            self._open[kin].remove(window)
            if not self._open[kin]:
                del self._open[kin]


class _Window:
    """A program that shows one question of *source*, which is of *origin*'s making or that itself; both are UUIDs."""

    def __init__(self, source: str, origin: str) -> None:
        self.source = source
        self.origin = origin
        self._process: asyncio.subprocess.Process | None = None
        self.is_withdrawn = False
        self.last_words = ""

    async def ask(self, question: Question, screen: OfferScreen, command: Sequence[str]) -> Answer | None:
        """The answer; None when the window ended without one. Raises Refused when there is no such program."""
        if self.is_withdrawn:
            return None
        async with self._running(screen, command) as process:
            assert process.stdin and process.stdout and process.stderr
            with contextlib.suppress(ConnectionError):
                process.stdin.write(question.to_json().encode() + b"\n")
                await process.stdin.drain()
            complaints = asyncio.create_task(_last_words(process.stderr))
            try:
                line = await process.stdout.readline()
                if not line:
                    with contextlib.suppress(TimeoutError):
                        self.last_words = await asyncio.wait_for(complaints, _END_PATIENCE)
                return parse_answer(line) if line else None
            except (ValueError, BadMessage) as error:
                raise Refused(f"the window that asks answers something that is not understood: {error}") from error
            finally:
                complaints.cancel()

    def withdraw(self) -> None:
        """Take the question away."""
        self.is_withdrawn = True
        if self._process and self._process.stdin:
            self._process.stdin.close()

    @contextlib.asynccontextmanager
    async def _running(self, screen: OfferScreen, command: Sequence[str]) -> AsyncIterator[asyncio.subprocess.Process]:
        others = {name: value for name, value in os.environ.items() if name not in environment(screen)}
        own = {name: value for name, value in environment(screen).items() if value}
        try:
            self._process = await asyncio.create_subprocess_exec(
                *command,
                stdin=asyncio.subprocess.PIPE,
                stdout=asyncio.subprocess.PIPE,
                stderr=asyncio.subprocess.PIPE,
                env={**others, **own},
                cwd="/",
                limit=MAX_LINE,
            )
        except OSError as error:
            raise Refused(f"the question could not be shown: {error.strerror}") from error
        try:
            yield self._process
        finally:
            await asyncio.shield(_end(self._process))


def _words(question: Question) -> str:
    if question.origin:
        return f"disposables that “{question.origin}” has had made"
    return f"“{question.source}”"


async def _end(process: asyncio.subprocess.Process) -> None:
    """Hang up, upon which it ends by itself; else kill it."""
    if process.stdin:
        process.stdin.close()
    try:
        async with asyncio.timeout(_END_PATIENCE):
            await process.wait()
    except TimeoutError:
        with contextlib.suppress(ProcessLookupError):
            process.kill()
        await process.wait()
    for stream in filter(None, (process.stdout, process.stderr)):
        # Its pipes are closed by reading them to their ends.
        with contextlib.suppress(TimeoutError, ValueError):
            await asyncio.wait_for(stream.read(), _END_PATIENCE)


async def _last_words(stream: asyncio.StreamReader) -> str:
    """The last line of what a program complains of; all of it is read, and little of it kept."""
    kept = b""
    while data := await stream.read(_LAST_WORDS):
        kept = (kept + data)[-_LAST_WORDS:]
    lines = kept.decode("utf-8", "replace").split("\n")
    return one_line(next((line for line in reversed(lines) if line.strip()), ""), 300)
