"""The desktop’s menu of domains’ applications, in files."""

import subprocess
from pathlib import Path

import pytest
from PIL import Image

from qubes_manager.core.labels import LABELS
from qubes_manager.services.applications.app_menus import AppMenus
from qubes_manager.services.files.user_folders import UserFolders
from tests.services.applications.conftest import APPS, UUID, domain, files


async def test_a_domain_comes_to_the_menu_changes_and_goes(tmp_path: Path, data: Path) -> None:
    menus = AppMenus(UserFolders.of_environment())
    assert await menus.update(domain(), APPS) == 7
    entry = data / f"applications/qubes-manager-{UUID}-firefox.desktop"
    assert "Name=work: Firefox" in entry.read_text()
    assert "run --connect qemu:///session -- work firefox\n" in entry.read_text()
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


@pytest.mark.parametrize("name", ["work", "a b", 'x"; rm -rf ~ #', "50%U", "`id`$(id)", "new\nExec=evil", "ünï"])
async def test_no_name_of_a_domain_gets_out_of_its_place(data: Path, name: str) -> None:
    await AppMenus(UserFolders.of_environment()).update(domain(name), APPS)
    for path in (data / "applications").iterdir():
        checked = subprocess.run(["desktop-file-validate", path], capture_output=True, text=True, check=False)
        assert "error" not in checked.stdout
        assert path.read_text().count("\nExec=") == 1
