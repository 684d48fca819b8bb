"""A domain's firewall, as its configuration says it."""

from qubes_manager.core.domain import DomainConfig
from qubes_manager.core.firewall.firewall import Firewall, parse_firewall

ON = "on"


def firewall_of(config: DomainConfig, now: float) -> Firewall:
    """Return a domain's firewall, at *now* in seconds since 1970; raises BadInput where it cannot be read."""
    home = config.home_network == ON
    return Firewall(home=home) if config.firewall is None else parse_firewall(config.firewall, now, home=home)
