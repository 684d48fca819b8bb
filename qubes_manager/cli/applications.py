"""What the commands about applications share."""

from qubes_manager.cli.command import Session
from qubes_manager.services.applications.app_lists import AppLists
from qubes_manager.services.domains.guest_commands import GuestCommands
from qubes_manager.services.gui.launching import Launching
from qubes_manager.services.gui.links import GuiLinks


def launching(session: Session) -> Launching:
    """What starts applications."""
    lifecycle = session.lifecycle()
    commands = GuestCommands(session.hosts, session.store, lifecycle)
    return Launching(session.store, commands, lifecycle, GuiLinks(session.store))


async def app_lists(session: Session) -> AppLists:
    """The lists of applications, loaded."""
    lists = AppLists(session.store, GuestCommands(session.hosts, session.store, session.lifecycle()))
    await lists.load()
    return lists
