"""Which guest tools domains have, for who shows it."""

from qubes_manager.backend.guests.guest_tools import tools_digest
from qubes_manager.core.domain import Domain, DomainClass
from qubes_manager.services.domains.port_upgrade import is_made_by_us


def tools_text(domain: Domain) -> str:
    """Which guest tools a template or a standalone domain of ours has, in a word; empty for others."""
    if not has_own_tools(domain) or not (domain.guest_tools or is_made_by_us(domain)):
        return ""
    return ("current" if domain.guest_tools == tools_digest() else "older") if domain.guest_tools else "none"


def has_own_tools(domain: Domain) -> bool:
    """Whether the domain's tools are its own."""
    return domain.klass in (DomainClass.TEMPLATE, DomainClass.STANDALONE)
