"""What the commands about applications share."""

from qubes_manager.cli.command import Session
from qubes_manager.services.app_lists import AppLists
from qubes_manager.services.guest_commands import GuestCommands
from qubes_manager.services.launching import Launching


def launching(session: Session) -> Launching:
    """What starts applications."""
    lifecycle = session.lifecycle()
    return Launching(session.store, GuestCommands(session.hosts, session.store, lifecycle), lifecycle)


async def app_lists(session: Session) -> AppLists:
    """The lists of applications, loaded."""
    lists = AppLists(session.store, GuestCommands(session.hosts, session.store, session.lifecycle()))
    await lists.load()
    return lists
