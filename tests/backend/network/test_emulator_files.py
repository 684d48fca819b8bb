"""The program in QEMU's place, as files."""

import os
import subprocess
import zipfile
from pathlib import Path

import pytest

from qubes_manager.backend.network.emulator_files import EmulatorFiles, emulator_files
from qubes_manager.backend.network.emulator_trial import trouble_of
from qubes_manager.core.firewall.isolation import is_ours

QEMU = "/bin/echo"
DAY = 24 * 3600


@pytest.fixture
def files(tmp_path: Path) -> EmulatorFiles:
    return emulator_files(tmp_path / "qubes-manager/volumes")


def test_it_is_known_as_ours_and_passes_on_what_is_no_network_of_the_users(files: EmulatorFiles) -> None:
    emulator = files.install(QEMU)
    assert is_ours(str(emulator))
    assert not is_ours("/usr/bin/qemu-system-x86_64")
    said = subprocess.run([emulator, "-machine", "none", "a b"], capture_output=True, text=True, timeout=60, check=True)
    assert said.stdout == "-machine none a b\n"


def test_what_is_as_it_should_be_is_not_written_again(files: EmulatorFiles) -> None:
    emulator = files.install(QEMU)
    before = {path: path.stat().st_mtime_ns for path in files.folder.iterdir()}
    assert files.install(QEMU) == emulator
    assert {path: path.stat().st_mtime_ns for path in files.folder.iterdir()} == before
    emulator.write_text("#!/bin/sh\n")
    files.install(QEMU)
    assert "qubes_manager.network" in emulator.read_text()


def test_its_modules_are_compiled_and_bring_nothing_but_the_core(files: EmulatorFiles) -> None:
    files.install(QEMU)
    [archive] = files.folder.glob("program-*.zip")
    names = set(zipfile.ZipFile(archive).namelist())
    assert "qubes_manager/network/emulator.pyc" in names
    assert {name.split("/")[1] for name in names if name.count("/") > 1} == {"core", "network"}


def test_what_is_left_of_before_goes_after_a_while(files: EmulatorFiles) -> None:
    files.install(QEMU)
    left = {name: files.folder / name for name in ("program-old.zip", "program-new.zip", "a.log", "b.log", "c.log.1")}
    for path in left.values():
        path.write_text("x")
    for name in ("program-old.zip", "a.log", "c.log.1"):
        stat = left[name].stat()
        os.utime(left[name], (stat.st_atime - 40 * DAY, stat.st_mtime - 40 * DAY))
    files.install(QEMU)
    assert {name for name, path in left.items() if path.exists()} == {"program-new.zip", "b.log"}


def test_what_cannot_be_run_is_trouble_in_words(files: EmulatorFiles, tmp_path: Path) -> None:
    emulator = files.install(QEMU)
    emulator.write_text("#!/nowhere/python\n")
    assert "cannot be run" in trouble_of(emulator)
    emulator.write_text("#!/bin/sh\necho the kernel does not like it; exit 1\n")
    assert trouble_of(emulator) == "the kernel does not like it"
    emulator.write_text("#!/bin/sh\nexit 3\n")
    assert trouble_of(emulator) == "it ended with code 3"
    emulator.write_text("#!/bin/sh\necho isolated\n")
    assert trouble_of(emulator) == ""
