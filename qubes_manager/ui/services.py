"""The services that the window uses, made in one place."""

from dataclasses import dataclass

from qubes_manager.services.clipboard import InterDomainClipboard
from qubes_manager.services.creation import Creation
from qubes_manager.services.demo import Demo
from qubes_manager.services.guest_commands import GuestCommands
from qubes_manager.services.hosts import Hosts
from qubes_manager.services.lifecycle import Lifecycle
from qubes_manager.services.logs import Logs
from qubes_manager.services.properties import Properties
from qubes_manager.services.removal import Removal
from qubes_manager.services.store import DomainStore
from qubes_manager.services.usage_poller import UsagePoller


@dataclass(frozen=True, slots=True)
class Services:
    """One of each."""

    store: DomainStore
    hosts: Hosts
    lifecycle: Lifecycle
    properties: Properties
    creation: Creation
    removal: Removal
    demo: Demo
    commands: GuestCommands
    logs: Logs
    clipboard: InterDomainClipboard
    poller: UsagePoller


def make_services() -> Services:
    """Wire the services to each other."""
    store = DomainStore()
    hosts = Hosts(store, watch=True)
    lifecycle = Lifecycle(hosts, store)
    return Services(
        store=store,
        hosts=hosts,
        lifecycle=lifecycle,
        properties=Properties(hosts, store),
        creation=Creation(hosts, store),
        removal=Removal(hosts, store),
        demo=Demo(hosts, store),
        commands=GuestCommands(hosts, store, lifecycle),
        logs=Logs(),
        clipboard=InterDomainClipboard(),
        poller=UsagePoller(hosts, store),
    )
