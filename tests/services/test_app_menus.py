"""The desktop's menu of domains' applications, in files."""

import asyncio
import subprocess
from dataclasses import replace
from pathlib import Path

import pytest
from PIL import Image

from qubes_manager.core.applications import Application
from qubes_manager.core.domain import Domain, DomainClass, DomainConfig, DomainKey, DomainState
from qubes_manager.core.labels import LABELS
from qubes_manager.services.applications.app_lists import list_path, selected
from qubes_manager.services.applications.app_menus import AppMenus
from qubes_manager.services.applications.menu_keeper import update_menu
from qubes_manager.services.assembly import Services
from qubes_manager.services.files.user_folders import UserFolders

UUID, TEMPLATE = "11111111-1111-1111-1111-111111111111", "22222222-2222-2222-2222-222222222222"
RED_PIXELS = bytes((255, 0, 0, 255)) * 48 * 48
APPS = (Application("firefox", "Firefox", "browses", icon=RED_PIXELS), Application("org.x.Files", "Files & more; \\n"))


@pytest.fixture(autouse=True)
def data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))
    return tmp_path / "data"


def domain(name: str = "work", **config: object) -> Domain:
    fields = {"label": LABELS["blue"], "klass": DomainClass.APP, "template_uuid": TEMPLATE, **config}
    return Domain(DomainKey("qemu:///session", UUID), name, DomainState.HALTED, config=DomainConfig(**fields))


def files(tmp_path: Path) -> list[str]:
    return sorted(str(p.relative_to(tmp_path)) for p in tmp_path.rglob("*") if p.is_file() and UUID in str(p))


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


async def test_domains_that_are_gone_leave_nothing(tmp_path: Path) -> None:
    menus = AppMenus(UserFolders.of_environment())
    await menus.update(domain(), APPS)
    assert await menus.remove(TEMPLATE) == 0
    services = Services.connecting(watch=False)
    services.gui_options.put({"allow_fullscreen": True}, "work")
    keep(UUID, "{}")
    await services.domain_files.forget(domain())
    assert files(tmp_path) == []
    # A later domain of that name does not inherit what was allowed to this one.
    assert services.gui_options.load()[0].domains == {}


def keep(uuid: str, text: str) -> None:
    path = list_path(UserFolders.of_environment().applications, uuid)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)


async def test_a_domain_shows_its_template_s_list_and_never_gives_its_own_to_others() -> None:
    lists = Services.connecting(watch=False).lists
    other = replace(domain("other"), key=DomainKey("qemu:///session", TEMPLATE.replace("2", "3")))
    keep(UUID, '{"apps": [{"id": "own", "name": "Own"}]}')
    keep("broken", "nonsense")
    await lists.load()
    assert [app.id for app in lists.of(domain())] == ["own"]
    assert lists.of(other) == ()
    assert lists.wants(domain())
    keep(TEMPLATE, '{"apps": [{"id": "shared", "name": "Shared"}, {"id": "more", "name": "More"}]}')
    await lists.load()
    assert [app.id for app in lists.of(domain())] == ["more", "shared"] == [app.id for app in lists.of(other)]
    assert not lists.wants(domain())
    assert [app.id for app in selected(domain(menu=("shared", "gone")), lists.of(domain()))] == ["shared"]


async def test_the_menu_follows_the_store(data: Path) -> None:
    services = Services.connecting(watch=False)
    store, lists = services.store, services.lists
    keep(TEMPLATE, '{"apps": [{"id": "shared", "name": "Shared"}]}')
    keeper = asyncio.create_task(services.menu_keeper.run())
    template = replace(domain("debian", klass=DomainClass.TEMPLATE), key=DomainKey("qemu:///session", TEMPLATE))
    store.put([domain(), template])
    await lists.load()
    entry = data / f"applications/qubes-manager-{UUID}-shared.desktop"
    async with asyncio.timeout(10):
        while not entry.exists():
            await asyncio.sleep(0.05)
        store.put([domain("renamed")])
        while "renamed" not in entry.read_text():
            await asyncio.sleep(0.05)
        # One that somebody else removes goes from the menu too.
        assert len(list((data / "applications").iterdir())) == 1
        store.remove([domain().key])
        while entry.exists():
            await asyncio.sleep(0.05)
    keeper.cancel()
    # Templates are not for work: they come to the menu only when someone says so.
    assert list((data / "applications").iterdir()) == []
    chosen = replace(domain("debian", klass=DomainClass.TEMPLATE, menu=("shared",)), key=template.key)
    assert await update_menu(AppMenus(UserFolders.of_environment()), lists, chosen) > 0
    assert [path.name for path in (data / "applications").iterdir()] == [f"qubes-manager-{TEMPLATE}-shared.desktop"]
