"""qvm-kill: end domains at once."""

from collections.abc import Sequence

from qubes_manager.cli.command import Session, power_command
from qubes_manager.core.domain import Domain


def main(argv: Sequence[str] | None = None) -> int:
    """Entry point."""

    async def act(session: Session, domain: Domain) -> None:
        await session.services.lifecycle.kill(domain.key)

    return power_command("qvm-kill", "End domains at once; what they had not saved is lost.", argv, act)
