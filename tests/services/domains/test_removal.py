"""Which domains may go."""

import pytest

from qubes_manager.core.domain import Domain, DomainConfig, DomainKey, DomainState
from qubes_manager.core.errors import Refused
from qubes_manager.services.domains.removal import refuse_removal


def test_removal_is_refused_while_others_need_the_domain() -> None:
    def domain(name: str, **config: str) -> Domain:
        return Domain(DomainKey("x", name), name, DomainState.HALTED, config=DomainConfig(**config))

    template = domain("debian")
    users = [domain("b", template="debian"), domain("a", template="debian"), template]
    with pytest.raises(Refused, match="“debian” is the template of a, b: give them another one first"):
        refuse_removal(template, users)
    with pytest.raises(Refused, match="default dispvm of c"):
        refuse_removal(template, [domain("c", default_dispvm="debian")])
    refuse_removal(template, [template])
