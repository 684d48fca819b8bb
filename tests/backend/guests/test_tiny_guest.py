"""When the tiny guest is built; that it boots is seen by all tests that use it."""

import platform
from pathlib import Path

import pytest

from qubes_manager.backend.guests.tiny_guest import build_tiny_guest, recipe_digest
from qubes_manager.core.errors import Cancelled, NotFound
from tests.heard_progress import HeardProgress


def tool(folder: Path, name: str, script: str) -> None:
    path = folder / name
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(0o755)


@pytest.fixture
def tools(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of programs that stand before the system's own."""
    folder = tmp_path / "tools"
    folder.mkdir()
    tool(folder, "apt-get", "exit 0")
    monkeypatch.setenv("PATH", f"{folder}:/usr/bin:/bin")
    monkeypatch.setattr(platform, "machine", lambda: "x86_64")
    return folder


@pytest.mark.usefixtures("tools")
def test_one_that_was_built_by_the_same_recipe_is_taken_from_the_cache(tmp_path: Path) -> None:
    folder = tmp_path / f"tiny-guest-{recipe_digest()}"
    folder.mkdir()
    (folder / "kernel").touch()
    (folder / "initrd.gz").touch()
    progress = HeardProgress()
    guest = build_tiny_guest(tmp_path, progress)
    assert (guest.kernel, guest.initrd) == (folder / "kernel", folder / "initrd.gz")
    assert progress.steps == []


def test_a_machine_that_cannot_build_it_says_why(tools: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tool(tools, "apt-cache", "echo 'linux-image-amd64'; echo '  Depends: <linux-image-amd64>'")
    with pytest.raises(NotFound, match="apt knows no Debian kernel: run “apt-get update” as root"):
        build_tiny_guest(tmp_path)
    monkeypatch.setattr(platform, "machine", lambda: "aarch64")
    with pytest.raises(NotFound, match="needs an x86-64 machine with apt"):
        build_tiny_guest(tmp_path)
    monkeypatch.setattr(platform, "machine", lambda: "x86_64")
    monkeypatch.setenv("PATH", "/nonexistent")
    with pytest.raises(NotFound, match="needs an x86-64 machine with apt"):
        build_tiny_guest(tmp_path)


def test_kernel_and_libraries_are_fetched_and_what_only_the_installer_needs_is_not(tools: Path, tmp_path: Path) -> None:
    tool(
        tools,
        "apt-cache",
        """case $* in
        *recurse*) printf 'busybox-static\\n  Depends: libc6\\nlibc6\\nlibglib2.0-0\\nlibperl5.36\\ndebconf\\n';;
        *) printf 'linux-image-amd64\\n  Depends: linux-image-6.1.0-9-amd64\\n';;
        esac""",
    )
    tool(tools, "apt-get", f'echo "$@" >{tmp_path}/asked; exit 1')
    with pytest.raises(Exception, match="apt-get failed"):
        build_tiny_guest(tmp_path / "cache")
    packages = (tmp_path / "asked").read_text().split("download ")[1].split()
    assert packages == ["linux-image-6.1.0-9-amd64", "busybox-static", "libc6", "libglib2.0-0"]
    assert list((tmp_path / "cache").iterdir()) == []


def test_a_build_that_is_cancelled_leaves_nothing(tools: Path, tmp_path: Path) -> None:
    tool(tools, "apt-cache", "echo 'nothing is to be asked for any more' >&2; exit 1")
    progress = HeardProgress(stop_at="")
    progress.step("")
    with pytest.raises(Cancelled):
        build_tiny_guest(tmp_path / "cache", progress)
    assert list((tmp_path / "cache").iterdir()) == []
