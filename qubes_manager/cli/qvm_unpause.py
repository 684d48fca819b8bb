"""qvm-unpause: let paused domains go on."""

from collections.abc import Sequence

from qubes_manager.cli.command import Session, power_command
from qubes_manager.core.domain import Domain, DomainState
from qubes_manager.core.errors import Refused


def main(argv: Sequence[str] | None = None) -> int:
    """Entry point."""

    async def act(session: Session, domain: Domain) -> None:
        if domain.state not in (DomainState.PAUSED, DomainState.SUSPENDED):
            raise Refused(f"“{domain.name}” is not paused")
        await session.services.lifecycle.start(domain.key)

    return power_command("qvm-unpause", "Let paused domains go on.", argv, act)
