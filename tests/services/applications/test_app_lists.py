"""Whose applications a domain shows."""

from dataclasses import replace

from qubes_manager.core.domain import DomainKey
from qubes_manager.services.applications.app_lists import selected
from qubes_manager.services.assembly import Services
from tests.services.applications.conftest import TEMPLATE, UUID, domain, keep


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
