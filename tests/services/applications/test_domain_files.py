"""What is kept of a domain beside libvirt."""

from pathlib import Path

from qubes_manager.services.assembly import Services
from tests.services.applications.conftest import APPS, TEMPLATE, UUID, domain, files, keep


async def test_domains_that_are_gone_leave_nothing(tmp_path: Path) -> None:
    services = Services.connecting(watch=False)
    await services.menus.update(domain(), APPS)
    assert await services.menus.remove(TEMPLATE) == 0
    services.gui_options.put({"allow_fullscreen": True}, "work")
    keep(UUID, "{}")
    await services.domain_files.forget(domain())
    assert files(tmp_path) == []
    # A later domain of that name does not inherit what was allowed to this one.
    assert services.gui_options.load()[0].domains == {}
