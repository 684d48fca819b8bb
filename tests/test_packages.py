"""scripts/packages, with tools that stand for machines which are not to be had: what is there, offered and allowed."""

import os
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.waiting import PATIENCE

SCRIPT = Path(__file__).parents[1] / "scripts/packages"
Machine = Callable[..., subprocess.CompletedProcess[str]]
# Names that Debian 13 spells otherwise, has no more, and has as ever.
RENAMED, GONE, PLAIN = "libglib2.0-0", "xpra", "gcc"


def wanted() -> list[str]:
    """All names in the script."""
    text = SCRIPT.read_text()
    lists = text[text.index("libvirt=") : text.index("wanted=")]
    quoted = " ".join(part for part in lists.split('"')[1::2])
    return [*quoted.split(), "xvfb", "xauth"]


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    """Runs the script as a user of a machine with these packages, as dpkg-query tells them; apt offers *offered*."""

    def run(*, there: list[str], offered: list[str], sudo: bool = False) -> subprocess.CompletedProcess[str]:
        (tmp_path / "there").write_text("".join(f"installed|{line}\n" for line in there) + "not-installed|x, \n")
        (tmp_path / "offered").write_text("\n".join([*offered, "dpkg"]) + "\n")
        tools = {
            "dpkg-query": f"cat {tmp_path}/there",
            "apt-cache": f'grep -qx "$3" {tmp_path}/offered && printf "Package: $3\\nFilename: x\\n"',
            "apt-get": f'echo "apt-get $*" >>{tmp_path}/said',
            "id": "echo 1000",
            **({"sudo": f'echo sudo >>{tmp_path}/said; exec "$@"'} if sudo else {}),
        }
        return run_with(tools, tmp_path)

    return run


def run_with(tools: dict[str, str], folder: Path) -> subprocess.CompletedProcess[str]:
    """Run the script where there is nothing but the plainest programs and *tools*, each by its script."""
    folder = folder / "tools"
    folder.mkdir()
    for name in ("sh", "sed", "tr", "sort", "grep", "mktemp", "rm", "find", "head", "env", "cat"):
        (folder / name).symlink_to(next(p for p in (Path("/usr/bin", name), Path("/bin", name)) if p.exists()))
    for name, script in tools.items():
        (folder / name).write_text(f"#!/bin/sh\n{script}\n")
        (folder / name).chmod(0o755)
    environment = {"PATH": str(folder), "HOME": os.environ.get("HOME", "/")}
    return subprocess.run(
        [SCRIPT, "run", "test"], env=environment, capture_output=True, text=True, timeout=PATIENCE, check=False
    )


def said(folder: Path) -> str:
    path = folder / "said"
    return path.read_text() if path.exists() else ""


def of_debian_13() -> list[str]:
    """All that is wanted, as dpkg-query tells of it there."""
    lines = [f"{name}, " for name in wanted() if name not in (RENAMED, GONE)]
    return [*lines, f"{RENAMED}t64, {RENAMED} (= 2.84.4-3), libglib2.0 (= 2.84)"]


def offered_by_debian_13() -> list[str]:
    return [*(name for name in wanted() if name not in (RENAMED, GONE)), f"{RENAMED}t64"]


def test_where_all_is_installed_nobody_is_asked_for_rights(machine: Machine, tmp_path: Path) -> None:
    done = machine(there=of_debian_13(), offered=offered_by_debian_13())
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    assert said(tmp_path) == ""


def test_what_no_release_offers_is_not_asked_for(machine: Machine, tmp_path: Path) -> None:
    there = [line for line in of_debian_13() if not line.startswith((f"{PLAIN},", RENAMED))]
    done = machine(there=there, offered=offered_by_debian_13(), sudo=True)
    assert done.returncode == 0, done.stderr
    words = said(tmp_path).splitlines()[-1].split()
    assert set(words[words.index("install") + 1 :]) == {PLAIN, f"{RENAMED}t64"}


def test_who_may_not_install_is_told_what_to_ask_for(machine: Machine, tmp_path: Path) -> None:
    there = [line for line in of_debian_13() if not line.startswith(f"{PLAIN},")]
    done = machine(there=there, offered=wanted())
    assert done.returncode == 1
    # Debian 12 has what 13 does not.
    assert done.stderr == f"Please let an administrator run: apt-get install {PLAIN} {GONE} \n"
    assert said(tmp_path) == ""


@pytest.mark.parametrize(
    ("manager", "words"),
    [("dnf", "dnf install libvirt"), ("pacman", "pacman -S libvirt"), ("xbps-install", "libvirt with QEMU")],
)
def test_other_systems_are_told_what_is_needed_and_nothing_is_installed(
    tmp_path: Path, manager: str, words: str
) -> None:
    done = run_with({manager: f"touch {tmp_path}/said"}, tmp_path)
    assert (done.returncode, done.stdout) == (0, "")
    assert words in done.stderr and "bubblewrap" in done.stderr
    assert not (tmp_path / "said").exists()
