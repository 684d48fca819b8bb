"""Domains' firewalls, as they are kept."""

from pathlib import Path

import pytest

from qubes_manager.backend.domains.new_domain import NewDomain
from qubes_manager.core.domain import DomainConfig
from qubes_manager.core.errors import BadInput, Overtaken
from qubes_manager.core.firewall.firewall import Firewall, parse_firewall
from qubes_manager.services.assembly import Services
from qubes_manager.services.hosts.domain_access import actions_on
from tests.driver import write_host

RULES = parse_firewall("accept example.org tcp 443\ndrop", 0)


async def test_what_nobody_can_read_is_said_and_reset(tmp_path: Path) -> None:
    services = Services.connecting(watch=False)
    uri = write_host(tmp_path, [NewDomain("work", DomainConfig(firewall="allow everything"))])
    await services.hosts.load(uri)
    domain = services.store.named(uri, "work")
    assert domain
    with pytest.raises(BadInput, match="rule 0, action: 'allow' cannot be used"):
        services.firewalls.of(domain.key)
    with pytest.raises(BadInput, match="rule 0"):
        await services.firewalls.change(domain.key, lambda before: before.insert(RULES.rules[0]))
    assert services.store.require(domain.key).config.firewall == "allow everything"
    await services.firewalls.reset(domain.key)
    assert services.firewalls.of(domain.key) == Firewall()
    await services.hosts.close()


async def test_what_others_set_meanwhile_is_changed_and_never_lost(tmp_path: Path) -> None:
    services = Services.connecting(watch=False)
    uri = write_host(tmp_path, [NewDomain("work", DomainConfig())])
    await services.hosts.load(uri)
    domain = services.store.named(uri, "work")
    assert domain
    key, calls = domain.key, 0
    theirs = await services.firewalls.change(key, lambda _before: RULES)
    assert "it has no network" in theirs

    def change(before: Firewall) -> Firewall:
        nonlocal calls
        calls += 1
        return before.insert(RULES.rules[1], 0)

    await services.firewalls.change(key, change)
    assert services.firewalls.of(key).rules == (RULES.rules[1], *RULES.rules)
    assert calls == 1

    def overtaken(_before: Firewall) -> Firewall:
        raise Overtaken("as the dialog says it")

    with pytest.raises(Overtaken):
        await services.firewalls.change(key, overtaken)
    stored = await actions_on(services.hosts, domain).stored_config()
    assert stored.firewall == "\n".join(map(str, (RULES.rules[1], *RULES.rules)))
    await services.hosts.close()
