"""The desktop’s menu of domains’ applications, in files."""

import errno
import subprocess
import tempfile
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from qubes_manager.core.applications import Application, check_id
from qubes_manager.core.errors import QubesManagerError
from qubes_manager.core.labels import LABELS
from qubes_manager.services.applications.app_menus import AppMenus
from qubes_manager.services.files.user_folders import UserFolders
from tests.services.applications.conftest import APPS, RED_PIXELS, UUID, domain, files


async def test_a_domain_comes_to_the_menu_changes_and_goes(tmp_path: Path, data: Path) -> None:
    menus = AppMenus(UserFolders.of_environment())
    assert await menus.update(domain(), APPS) == 7
    entry = data / f"applications/qubes-manager-{UUID}-firefox.desktop"
    assert "Name=work: Firefox" in entry.read_text()
    assert f"run --connect qemu:///session -- {UUID} firefox\n" in entry.read_text()
    assert await menus.update(domain(), APPS) == 0
    # Another colour is another icon; an application that is gone has no entry.
    assert await menus.update(domain(label=LABELS["red"]), APPS[:1]) > 0
    assert "X-Qubes-Label=red" in entry.read_text()
    assert not (data / f"applications/qubes-manager-{UUID}-org.x.Files.desktop").exists()
    picture = Image.open(data / f"qubes-manager/icons/{UUID}/firefox.png").convert("RGBA")
    assert picture.getpixel((picture.width // 2, 1)) == (0xCC, 0, 0, 255)
    assert picture.getpixel((picture.width // 2, picture.height // 2)) == (255, 0, 0, 255)
    assert await menus.update(domain(), ()) > 0
    assert files(tmp_path) == []


async def test_a_template_of_disposables_has_a_second_menu_whose_entries_each_make_one(
    tmp_path: Path, data: Path
) -> None:
    menus = AppMenus(UserFolders.of_environment())
    await menus.update(domain(), APPS)
    await menus.update(domain(template_for_dispvms=True), APPS)
    entry = data / f"applications/qubes-manager-{UUID}.disposable-firefox.desktop"
    assert "Name=Disposable: work: Firefox" in entry.read_text()
    assert f"run --connect qemu:///session --dispvm -- {UUID} firefox\n" in entry.read_text()
    assert subprocess.run(["desktop-file-validate", entry], check=False).returncode == 0
    await menus.update(domain(), APPS)
    assert not entry.exists()
    await menus.update(domain(), ())
    assert files(tmp_path) == []


@pytest.mark.parametrize("name", ["work", "a b", 'x"; rm -rf ~ #', "50%U", "`id`$(id)", "new\nExec=evil", "ünï"])
async def test_no_name_of_a_domain_gets_out_of_its_place(data: Path, name: str) -> None:
    await AppMenus(UserFolders.of_environment()).update(domain(name), APPS)
    for path in (data / "applications").iterdir():
        checked = subprocess.run(["desktop-file-validate", path], capture_output=True, text=True, check=False)
        assert "error" not in checked.stdout
        assert path.read_text().count("\nExec=") == 1


ODD = ["x" * 200, "x" * 199 + "y", "Firefox", "firefox", "a..b", "con", "x" * 121]


async def test_ids_of_any_length_and_case_have_files_of_their_own(data: Path) -> None:
    menus = AppMenus(UserFolders.of_environment())
    applications = [Application(app_id, f"App {number}") for number, app_id in enumerate(ODD)]
    assert [check_id(app_id) for app_id in ODD] == ODD
    await menus.update(domain(), applications)
    entries = list((data / "applications").iterdir())
    assert len({path.name.casefold() for path in entries}) == len(ODD)
    assert max(len(path.name) for path in entries) < 255
    # What is started is the application itself, whatever its file is called.
    started = sorted(path.read_text().partition(f" -- {UUID} ")[2].partition("\n")[0] for path in entries)
    assert started == sorted(ODD)
    assert await menus.update(domain(), applications[:1]) > 0
    assert len(list((data / "applications").iterdir())) == 1


async def test_a_menu_is_written_whole_or_stays_as_it_was(
    data: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    menus = AppMenus(UserFolders.of_environment())
    await menus.update(domain(), APPS)
    before = {path: (tmp_path / path).read_bytes() for path in files(tmp_path)}
    more = [*(Application(f"new{n}", "New", icon=RED_PIXELS) for n in range(20)), APPS[0]]
    left = 15

    def fill(**options: Any) -> tuple[int, str]:
        nonlocal left
        left -= 1
        if left < 0:
            raise OSError(errno.ENOSPC, "No space left on device")
        return honest(**options)

    honest = tempfile.mkstemp
    with monkeypatch.context() as patch:
        patch.setattr(tempfile, "mkstemp", fill)
        with pytest.raises(QubesManagerError, match="No space left on device"):
            await menus.update(domain(), more)
    assert {path: (tmp_path / path).read_bytes() for path in files(tmp_path)} == before
    assert list(data.rglob(".qubes-manager-*")) == []
    # With space again the next try has them all.
    await menus.update(domain(), more)
    assert len(list((data / "applications").iterdir())) == 21
