"""What a viewer may say to the service that started it; the viewer is a shell script here."""

import asyncio
import logging
from pathlib import Path

import pytest

from qubes_manager.backend.viewers import viewer_process
from qubes_manager.backend.viewers.viewer_process import ViewerProcess
from qubes_manager.core.json_lines import MAX_LINE
from qubes_manager.core.viewer_messages import Connected, Go, Mapped, ViewerEvent, Windows


@pytest.fixture
def viewer_is(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each viewer is the shell script that stands in the program's place."""
    monkeypatch.setattr(viewer_process, "viewer_command", lambda script, _arguments: ["/bin/sh", "-c", script])


async def heard(script: str, log: Path) -> tuple[list[ViewerEvent], ViewerProcess]:
    viewer = await ViewerProcess.start(script, [], log)
    async with asyncio.timeout(30):
        events = [event async for event in viewer.events()]
    return events, viewer


@pytest.mark.usefixtures("viewer_is")
async def test_what_is_unknown_is_logged_and_passed_over(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    script = f"""
        echo '{{"type": "connected"}}'
        echo '{{"type": "selfie"}}'
        echo '{{"type": "windows", "count": "many"}}'
        head -c {MAX_LINE * 3} /dev/zero; echo
        echo '{{"type": "mapped", "managed": true}}'
    """
    events, viewer = await heard(script, tmp_path / "log")
    assert events == [Connected(), Mapped(True)]
    assert await viewer.end() == 0
    assert "unknown event 'selfie'" in caplog.text
    assert "count is no whole number from 0 to 10000: 'many'" in caplog.text
    assert f"a line of more than {MAX_LINE} bytes" in caplog.text


@pytest.mark.usefixtures("viewer_is")
async def test_a_viewer_that_babbles_does_not_fill_the_log(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    script = """
        n=0; while [ $n -lt 3000 ]; do echo "babble $n"; n=$((n + 1)); done
        echo '{"type": "windows", "count": 3}'
    """
    with caplog.at_level(logging.WARNING):
        events, viewer = await heard(script, tmp_path / "log")
    assert events == [Windows(3)]
    await viewer.end()
    assert len(caplog.records) == 10


@pytest.mark.usefixtures("viewer_is")
async def test_orders_reach_the_viewer_and_its_complaints_the_log(tmp_path: Path) -> None:
    viewer = await ViewerProcess.start('read line; echo "got $line" >&2; exit 3', [], tmp_path / "log")
    viewer.send(Go())
    async with asyncio.timeout(30):
        assert [event async for event in viewer.events()] == []
    assert await viewer.end() == 3
    assert viewer.last_line == 'got {"type": "go"}'
    # One that has ended hears nothing.
    viewer.send(Go())
