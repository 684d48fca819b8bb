"""Domains of ours that were made before there were ports for what crosses between domains."""

import logging
from pathlib import PurePath

from qubes_manager.core.domain import Domain, DomainClass, DomainState
from qubes_manager.core.errors import QubesManagerError
from qubes_manager.services.hosts.domain_access import actions_on
from qubes_manager.services.hosts.hosts import Hosts

log = logging.getLogger(__name__)


async def add_missing_ports(hosts: Hosts, domain: Domain) -> None:
    """Give a halted domain of ours the ports that it lacks. One that is saved goes on as it was saved.

    Where that fails the domain is to start all the same: nothing crosses to it then, which whoever asks is told.
    """
    config = domain.config
    if config.crossing_ports or domain.state is DomainState.SAVED or not is_made_by_us(domain):
        return
    try:
        await actions_on(hosts, domain).edit_config(lambda document: document.add_crossing_ports())
    except QubesManagerError as error:
        log.warning("“%s” starts without ports for what crosses between domains: %s", domain.name, error)
        return
    await hosts.refresh(domain.key)


def is_made_by_us(domain: Domain) -> bool:
    """Whether the domain was made by this program: others, whatever label they may have got, keep their hardware."""
    config = domain.config
    return bool(
        config.volumes
        or config.klass is not DomainClass.STANDALONE
        # The demo's have no volumes, but their log.
        or PurePath(config.console_log).name == f"{domain.key.uuid}-console.log"
    )
