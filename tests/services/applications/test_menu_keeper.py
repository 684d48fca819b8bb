"""The menu follows the domains."""

import asyncio
from dataclasses import replace
from pathlib import Path

from qubes_manager.core.domain import DomainClass, DomainKey
from qubes_manager.services.applications.menu_keeper import update_menu
from qubes_manager.services.assembly import Services
from tests.services.applications.conftest import TEMPLATE, UUID, domain, keep
from tests.waiting import until


async def test_the_menu_follows_the_store(data: Path) -> None:
    services = Services.connecting(watch=False)
    store, lists = services.store, services.lists
    keep(TEMPLATE, '{"apps": [{"id": "shared", "name": "Shared"}]}')
    keeper = asyncio.create_task(services.menu_keeper.run())
    template = replace(domain("debian", klass=DomainClass.TEMPLATE), key=DomainKey("qemu:///session", TEMPLATE))
    store.put([domain(), template])
    await lists.load()
    entry = data / f"applications/qubes-manager-{UUID}-shared.desktop"
    await until(entry.exists)
    store.put([domain("renamed")])
    await until(lambda: "renamed" in entry.read_text())
    # One that somebody else removes goes from the menu too.
    assert len(list((data / "applications").iterdir())) == 1
    store.remove([domain().key])
    await until(lambda: not entry.exists())
    keeper.cancel()
    # Templates are not for work: they come to the menu only when someone says so.
    assert list((data / "applications").iterdir()) == []
    chosen = replace(domain("debian", klass=DomainClass.TEMPLATE, menu=("shared",)), key=template.key)
    assert await update_menu(services.menus, lists, chosen) > 0
    assert [path.name for path in (data / "applications").iterdir()] == [f"qubes-manager-{TEMPLATE}-shared.desktop"]
