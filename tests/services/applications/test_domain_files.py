"""What is kept of a domain beside libvirt."""

from pathlib import Path

from qubes_manager.services.assembly import Services
from qubes_manager.services.files.host_paths import console_log_path
from tests.services.applications.conftest import APPS, TEMPLATE, UUID, domain, files, keep


async def test_domains_that_are_gone_leave_nothing(tmp_path: Path) -> None:
    services = Services.connecting(watch=False)
    await services.menus.update(domain(), APPS)
    assert await services.menus.remove(TEMPLATE) == 0
    services.gui_options.put({"allow_fullscreen": True}, domain())
    keep(UUID, "{}")
    await services.domain_files.forget(domain())
    assert files(tmp_path) == []
    # A later domain of that name does not inherit what was allowed to this one.
    assert services.gui_options.load()[0].domains == {}


async def test_of_the_logs_that_the_xml_names_only_the_one_that_is_ours_goes(tmp_path: Path) -> None:
    theirs = tmp_path / f"{UUID}-console.log"
    ours = Path(console_log_path("qemu:///session", UUID))
    for path in (theirs, ours, ours.with_name(f"{ours.name}.0")):
        path.write_text("said")
    services = Services.connecting(watch=False)
    await services.domain_files.forget(domain(console_log=str(theirs)))
    assert files(tmp_path) == [theirs.name]
