"""Who may open a USB device, and the program that lets users do so.

The programs here speak as Spice's does (seen with 0.42); that one needs a polkit that knows who sits at the machine.
"""

import asyncio
import os
from pathlib import Path

import pytest

from qubes_manager.backend.host import usb_access
from qubes_manager.backend.host.usb_access import find_helper, needs_access
from qubes_manager.core.errors import NotFound, QubesManagerError, Refused, TimedOut
from tests.waiting import wait_until

SESSION = "qemu:///session"


@pytest.fixture
def nodes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A /dev/bus/usb with the device 1.4, which the user may not open; the tests' user may be root, who always may."""
    node = tmp_path / "nodes/001/004"
    node.parent.mkdir(parents=True)
    node.touch()
    monkeypatch.setattr(os, "access", lambda path, _mode: Path(path) != node)
    return tmp_path / "nodes"


def helper(folder: Path, *lines: str) -> Path:
    program = folder / "helper"
    program.write_text("\n".join(["#!/bin/sh", "read -r bus number", *lines, ""]))
    program.chmod(0o755)
    return program


def opening(nodes: Path, program: Path, uri: str = SESSION, number: int = 4):  # type: ignore[no-untyped-def]
    return usb_access.usb_access(uri, 1, number, "“Ultra”", nodes=nodes, helper=program)


async def test_the_node_is_the_user_s_as_long_as_the_block(nodes: Path, tmp_path: Path) -> None:
    said, ended = tmp_path / "said", tmp_path / "ended"
    program = helper(tmp_path, f"echo $bus $number > {said}", "echo SUCCESS", "cat > /dev/null", f"touch {ended}")
    async with opening(nodes, program):
        assert said.read_text() == "1 4\n"
        assert not ended.exists()
    assert ended.exists()


@pytest.mark.parametrize(
    ("answer", "error", "reason"),
    [
        ("Not authorized", Refused, "polkit did not let you have it. Do it from this machine’s own desktop"),
        (
            "Error PoliciKit error: GDBus.Error:org.freedesktop.PolicyKit1.Error.Failed: Action "
            "org.spice-space.lowlevelusbaccess is not registered",
            Refused,
            "polkit does not know spice-client-glib-usb-acl-helper",
        ),
        ("CANCELED", Refused, "the question whether you may have it was turned down"),
        ("Error PoliciKit error: no bus", Refused, "polkit, which is to say whether you may have it, does not answer"),
        ("Error setting facl: Operation not permitted", Refused, "has not root’s rights: install its package anew"),
        ("Error statting /dev/bus/usb/001/004: No such file", Refused, "it is not plugged in any more"),
        ("Error of\x1b[2J a new kind", QubesManagerError, "says “Error of a new kind”"),
        ("", QubesManagerError, "says “”"),
    ],
)
async def test_each_refusal_says_what_to_do(
    nodes: Path, tmp_path: Path, answer: str, error: type[QubesManagerError], reason: str
) -> None:
    program = helper(tmp_path, f"printf '%s\\n' '{answer}'", "exit 1")
    with pytest.raises(error, match="you may not open “Ultra”: ") as caught:
        async with opening(nodes, program):
            pytest.fail("nobody let it")
    assert reason in str(caught.value)
    assert type(caught.value) is error


async def test_a_question_that_nobody_answers_ends(
    nodes: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ended = tmp_path / "ended"
    program = helper(tmp_path, "cat > /dev/null", f"touch {ended}")
    asked = usb_access._Asked(program)
    with pytest.raises(TimedOut, match="nobody said within 0 s whether you may open “Ultra”"):
        asked.ask(1, 4, "“Ultra”", timeout=0.2)
    asked.end()
    assert ended.exists()
    # One that does not end by itself is ended.
    monkeypatch.setattr(usb_access, "_END_TIMEOUT", 0.2)
    program = helper(tmp_path, "echo SUCCESS", "exec sleep 1000")
    async with opening(nodes, program):
        pass


async def test_who_gives_up_leaves_nothing_behind(nodes: Path, tmp_path: Path) -> None:
    started, ended = tmp_path / "started", tmp_path / "ended"
    program = helper(tmp_path, f"touch {started}", "cat > /dev/null", f"touch {ended}")

    async def give() -> None:
        async with opening(nodes, program):
            pytest.fail("nobody let it")

    giving = asyncio.create_task(give())
    await asyncio.to_thread(wait_until, started.exists, "the program runs")
    giving.cancel()
    with pytest.raises(asyncio.CancelledError):
        await giving
    assert ended.exists()


async def test_nobody_is_asked_in_vain(nodes: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    program = helper(tmp_path, f"touch {tmp_path}/asked", "echo Not authorized")
    async with opening(nodes, program, "qemu:///system"), opening(nodes, program, "qemu+ssh://far/session"):
        pass
    with pytest.raises(NotFound, match="“Ultra” is not plugged in any more"):
        async with opening(nodes, program, number=5):
            pytest.fail("there is no such device")
    (nodes / "001/006").touch()
    async with opening(nodes, program, number=6):
        pass
    assert not (tmp_path / "asked").exists()
    monkeypatch.setattr(usb_access, "find_helper", lambda: None)
    with pytest.raises(Refused, match="install spice-client-glib-usb-acl-helper"):
        async with usb_access.usb_access(SESSION, 1, 4, "“Ultra”", nodes=nodes):
            pytest.fail("nobody let it")


def test_only_a_user_s_own_qemu_needs_the_node() -> None:
    wanted = [SESSION, "qemu+unix:///session?socket=/run/x", "qemu:///embed?root=/x"]
    others = ["qemu:///system", "qemu+ssh://far/session", "test:///default", "qemu+tcp://far/session"]
    assert [uri for uri in (*wanted, *others) if needs_access(uri)] == wanted


def test_the_program_is_found_where_distributions_have_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path / "none"))
    assert find_helper(root=tmp_path) is None
    for folder in ("usr/lib/x86_64-linux-gnu", "usr/libexec/spice-gtk-x86_64", "usr/libexec"):
        place = tmp_path / folder / usb_access.HELPER
        place.parent.mkdir(parents=True, exist_ok=True)
        place.touch(mode=0o755)
        assert find_helper(root=tmp_path) == place
    monkeypatch.setenv("PATH", str(place.parent.parent / "lib/x86_64-linux-gnu"))
    assert find_helper(root=tmp_path / "none") == tmp_path / "usr/lib/x86_64-linux-gnu" / usb_access.HELPER
