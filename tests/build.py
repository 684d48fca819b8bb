"""What many tests make."""

from dataclasses import replace
from typing import Any

from qubes_manager.core.domain import Domain, DomainConfig, DomainKey, DomainState


def domain(name: str = "work", **changes: Any) -> Domain:
    return replace(Domain(DomainKey("test:///x", name), name, DomainState.RUNNING, config=DomainConfig()), **changes)
