"""The program's own entry in the desktop's menu, from a wheel as pip makes it."""

import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from qubes_manager.core.errors import QubesManagerError
from qubes_manager.services.setup.desktop_files import install_desktop_files
from tests.waiting import PATIENCE

PROJECT = Path(__file__).parents[3]
FILES = [
    "applications/qubes-manager.desktop",
    "icons/hicolor/scalable/apps/qubes-manager.svg",
    "metainfo/org.qubes_manager.QubesManager.metainfo.xml",
]


def below(folder: Path) -> list[str]:
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())


def test_a_wheel_puts_the_program_into_the_menu(tmp_path: Path) -> None:
    build = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--wheel-dir"]
    subprocess.run([*build, tmp_path, PROJECT], check=True, timeout=200)
    (wheel,) = tmp_path.glob("*.whl")
    zipfile.ZipFile(wheel).extractall(tmp_path / "site")
    data = tmp_path / "share"
    done = subprocess.run(
        [sys.executable, "-m", "qubes_manager", "setup", "--desktop"],
        env={**os.environ, "PYTHONPATH": str(tmp_path / "site"), "XDG_DATA_HOME": str(data)},
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert sorted(done.stdout.split()) == [str(data / name) for name in FILES]
    assert below(data) == FILES
    # Only the wheel's own files were there to be read.
    assert (data / FILES[2]).read_bytes() == (
        tmp_path / "site/qubes_manager/packaging" / Path(FILES[2]).name
    ).read_bytes()
    checked = subprocess.run(["desktop-file-validate", data / FILES[0]], capture_output=True, text=True, check=False)
    assert checked.stdout == ""
    assert f"Exec={Path(sys.executable).with_name('qubes-manager')}\n" in (data / FILES[0]).read_text()


def test_a_checkout_has_the_same_files(tmp_path: Path) -> None:
    install_desktop_files(tmp_path)
    assert below(tmp_path) == FILES


def test_a_menu_that_cannot_be_written_is_said(tmp_path: Path) -> None:
    (tmp_path / "applications").write_text("no folder")
    with pytest.raises(QubesManagerError, match="the desktop’s menu cannot be changed"):
        install_desktop_files(tmp_path)
