"""What a viewer may say to the service that started it; the viewer is a shell script here."""

import asyncio
import contextlib
import logging
import signal
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from qubes_manager.backend.viewers import viewer_process
from qubes_manager.backend.viewers.programs import ViewerProgram
from qubes_manager.backend.viewers.sandbox import SandboxCommand
from qubes_manager.backend.viewers.viewer_process import ViewerProcess
from qubes_manager.core.json_lines import MAX_LINE
from qubes_manager.core.viewer_messages import Connected, Go, Mapped, ViewerEvent, Windows
from tests.waiting import PATIENCE, soon, until


@pytest.fixture
def viewer_is(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each viewer is the shell script that stands in the program's place."""

    @contextlib.contextmanager
    def command(program: ViewerProgram, _arguments: Sequence[str], readers: object) -> Iterator[SandboxCommand]:
        yield SandboxCommand(["/bin/sh", "-c", program.module])

    monkeypatch.setattr(viewer_process, "viewer_command", command)


async def heard(script: str, log: Path) -> tuple[list[ViewerEvent], ViewerProcess]:
    viewer = await ViewerProcess.start(ViewerProgram(script, is_ours=False), [], log)
    async with soon():
        events = [event async for event in viewer.events()]
    return events, viewer


@pytest.mark.usefixtures("viewer_is")
async def test_what_is_unknown_is_logged_and_passed_over(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    script = f"""
        echo '{{"type": "connected"}}'
        echo '{{"type": "selfie"}}'
        echo '{{"type": "windows", "count": "many"}}'
        head -c {MAX_LINE * 3} /dev/zero; echo
        echo '{{"type": "mapped"}}'
    """
    events, viewer = await heard(script, tmp_path / "log")
    assert events == [Connected(), Mapped()]
    assert await viewer.end() == 0
    assert "unknown event 'selfie'" in caplog.text
    assert "count is no whole number from 0 to 10000: 'many'" in caplog.text
    assert f"a line of more than {MAX_LINE} bytes" in caplog.text


@pytest.mark.usefixtures("viewer_is")
async def test_lists_in_lists_without_end_end_nothing_here(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    script = f"""
        head -c {MAX_LINE - 1} /dev/zero | tr '\\0' '['; echo
        head -c 60000 /dev/zero | tr '\\0' '['; echo
        printf '{{"type": "windows", "count": '; head -c {MAX_LINE // 2} /dev/zero | tr '\\0' '['; echo
        echo '{{"type": "windows", "count": 3}}'
    """
    events, viewer = await heard(script, tmp_path / "log")
    assert events == [Windows(3)]
    assert await viewer.end() == 0
    assert "no JSON: b'[[[[" in caplog.text


@pytest.mark.usefixtures("viewer_is")
async def test_a_viewer_that_babbles_does_not_fill_the_log(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    script = """
        n=0; while [ $n -lt 150 ]; do echo "babble $n"; n=$((n + 1)); done
        echo '{"type": "windows", "count": 3}'
    """
    with caplog.at_level(logging.WARNING):
        events, viewer = await heard(script, tmp_path / "log")
    assert events == [Windows(3)]
    await viewer.end()
    assert len(caplog.records) == 10


@pytest.mark.usefixtures("viewer_is")
async def test_orders_reach_the_viewer_and_its_complaints_the_log(tmp_path: Path) -> None:
    program = ViewerProgram('read line; echo "got $line" >&2; exit 3', is_ours=False)
    viewer = await ViewerProcess.start(program, [], tmp_path / "log")
    viewer.send(Go())
    async with soon():
        assert [event async for event in viewer.events()] == []
    assert await viewer.end() == 3
    assert viewer.last_line == 'got {"type": "go"}'
    # One that has ended hears nothing.
    viewer.send(Go())


# Says one thing as fast as it can and hears nothing; without a shell between, since that is what is ended.
FLOOD = """exec yes '{"type": "connected"}'"""


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(viewer_process, "_END_PATIENCE", 0.1)


@pytest.mark.usefixtures("viewer_is", "impatient")
async def test_a_viewer_that_says_too_much_is_heard_a_little_and_can_be_ended(tmp_path: Path) -> None:
    viewer = await ViewerProcess.start(ViewerProgram(FLOOD, is_ours=False), [], tmp_path / "log")
    loop = asyncio.get_running_loop()
    begun, count = loop.time(), 0
    async with soon():
        async for _event in viewer.events():
            count += 1
            if count == 240:
                break
        # Of the burst there are 200, then one in 20 ms.
        assert loop.time() - begun > 0.5
        assert await viewer.end() == -signal.SIGKILL


@pytest.mark.usefixtures("viewer_is", "impatient")
async def test_a_viewer_whose_words_nobody_reads_can_be_ended(tmp_path: Path) -> None:
    viewer = await ViewerProcess.start(ViewerProgram(FLOOD, is_ours=False), [], tmp_path / "log")
    async with soon():
        async for _event in viewer.events():
            break
        assert await viewer.end() == -signal.SIGKILL


@pytest.mark.usefixtures("viewer_is", "impatient")
async def test_a_viewer_that_complains_without_end_waits_for_its_log(tmp_path: Path) -> None:
    log = tmp_path / "log"
    viewer = await ViewerProcess.start(ViewerProgram("exec yes complaint >&2", is_ours=False), [], log)
    loop = asyncio.get_running_loop()
    begun = loop.time()
    await until(lambda: log.exists() and log.stat().st_size > (256 + 24) << 10)
    assert loop.time() - begun > 0.4
    async with soon():
        assert await viewer.end() == -signal.SIGKILL
    assert viewer.last_line == "complaint"


@pytest.mark.usefixtures("viewer_is", "impatient")
async def test_a_viewer_whose_log_cannot_be_written_is_shown_and_ended_all_the_same(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "file").touch()
    flood = """yes complaint | head -c 200000 >&2; exec yes '{"type": "connected"}'"""
    viewer = await ViewerProcess.start(ViewerProgram(flood, is_ours=False), [], tmp_path / "file" / "log")
    async with soon():
        assert await anext(viewer.events()) == Connected()
        assert await viewer.end() == -signal.SIGKILL
    assert "log cannot be written: " in caplog.text


@pytest.mark.usefixtures("viewer_is")
@pytest.mark.parametrize(
    ("script", "patience", "code"),
    [("exec cat", PATIENCE, 0), (FLOOD, 0.1, -signal.SIGKILL)],
    ids=["hears", "floods"],
)
async def test_one_that_is_still_listened_to_can_be_ended(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, script: str, patience: float, code: int
) -> None:
    monkeypatch.setattr(viewer_process, "_END_PATIENCE", patience)
    viewer = await ViewerProcess.start(ViewerProgram(script, is_ours=False), [], tmp_path / "log")
    listener = asyncio.create_task(drained(viewer))
    await asyncio.sleep(0)
    async with soon():
        assert await viewer.end() == code
        await listener


async def drained(viewer: ViewerProcess) -> None:
    async for _event in viewer.events():
        pass


@pytest.mark.usefixtures("viewer_is")
async def test_one_whose_end_is_cancelled_is_killed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(viewer_process, "_END_PATIENCE", 600.0)
    stays = ViewerProgram("cat >/dev/null; echo stays >&2; exec sleep 600", is_ours=False)
    viewer = await ViewerProcess.start(stays, [], tmp_path / "log")
    ending = asyncio.create_task(viewer.end())
    await until(lambda: viewer.last_line == "stays")
    ending.cancel()
    async with soon():
        assert await viewer.end() == -signal.SIGKILL
